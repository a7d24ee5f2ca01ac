package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
)

// onlyLast deletes the failures but for the latest, so that it shows what a start reads
// from where.
func (h *host) onlyLast() {
	h.t.Helper()
	if err := h.db.Write(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec("delete from failures where id < (select max(id) from failures)")
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) wantCounts(after time.Duration, want map[int]int) {
	h.t.Helper()
	for n, count := range want {
		if got := h.Tally(numbered(n), ledgertest.Noon.Add(after), ledgertest.Window).Count; got != count {
			h.t.Errorf("client %d: %d failures, want %d", n, got, count)
		}
	}
}

// A pruning that comes while a checkpoint is written leaves its rows alone.
func TestPruningWithinACheckpoint(t *testing.T) {
	ctx := context.Background()
	for _, before := range []int{0, 1} { // good checkpoints
		h := newHost(t, 1000)
		for range 11 {
			h.fail(numbered(1), time.Minute)
		}
		h.fail(numbered(2), time.Minute)
		for range before {
			if err := h.CheckpointNow(ctx, ledgertest.Counting); err != nil {
				t.Fatal(err)
			}
		}
		prune := func() {
			if err := h.Prune(ctx, ledgertest.Noon.Add(2*time.Minute), ledgertest.Counting, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		pieces := 0
		if err := h.CheckpointAnd(ctx, ledgertest.Counting, func() {
			if pieces++; pieces == 2 {
				prune()
			}
		}); err != nil {
			t.Fatal(err)
		}
		h.onlyLast()
		h.reopen(3 * time.Minute)
		h.wantCounts(3*time.Minute, map[int]int{1: 11, 2: 1})
		prune()
		if n := h.rows("packed"); n != 3 { // of both clients, and of their login
			t.Errorf("%d rows after a pruning, want 3", n)
		}
	}
}

// A daemon that is told to stop gives up its checkpoint; a piece of that, which is still to
// be written, does not take the place of a counter of the last snapshot.
func TestSnapshotBehindACheckpointThatWasGivenUp(t *testing.T) {
	h := newHost(t, 1000)
	for n := range 3 {
		for range n + 9 {
			h.fail(numbered(n), time.Minute)
		}
	}
	// The disk is slow: the writer is at a commit while the daemon is told to stop.
	busy, goOn, ended := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		first := true
		ended <- h.db.Write(context.Background(), func(store.Tx) error {
			if first {
				first = false
				close(busy)
				<-goOn
			}
			return nil
		})
	}()
	<-busy
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, stop)
	if err := h.CheckpointNow(ctx, ledgertest.Counting); err == nil {
		t.Fatal("the checkpoint was not given up")
	}
	time.AfterFunc(20*time.Millisecond, func() { close(goOn) })
	if err := h.Snapshot(context.Background(), ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	h.onlyLast()
	h.reopen(2 * time.Minute)
	h.wantCounts(2*time.Minute, map[int]int{0: 9, 1: 10, 2: 11})
}

// A block that is in force keeps its row, whatever its client fails at meanwhile: a start
// with another limit counts again, and has the id from there alone.
func TestBlockKeepsItsRowAfterASnapshot(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	for range 11 {
		h.fail(numbered(1), time.Minute)
	}
	if _, err := h.BeginBlock(ctx, numbered(1), "first", ledgertest.Noon.Add(time.Minute), ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	if _, err := h.BeginGuessed(ctx, "jan@domena.cz", "guessed", ledgertest.Noon.Add(time.Minute), ledgertest.Counting.Login); err != nil {
		t.Fatal(err)
	}
	if err := h.Snapshot(ctx, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	h.reopen(2 * time.Minute)
	h.fail(numbered(1), 2*time.Minute) // one that was on its way
	for _, table := range []string{"blocks", "guessed"} {
		if n := h.rows(table); n != 1 {
			t.Errorf("%d rows of %s, want 1", n, table)
		}
	}
	if err := h.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("update packed_until set counting = 'other'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.reopen(3 * time.Minute)
	tally := h.Tally(numbered(1), ledgertest.Noon.Add(3*time.Minute), ledgertest.Window)
	if got := fmt.Sprintf("%d %s", tally.Count, tally.Block); got != "12 first" {
		t.Errorf("%q, want the block with its id", got)
	}
}

// Ids go on above the snapshot's last one, though the failure that had it has gone: what
// comes then would else be taken for a part of the snapshot.
func TestIdsGoOnAboveTheSnapshot(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	h.fail(numbered(1), time.Hour) // the clock is ahead, and is set back
	for n := range 3 {
		h.fail(numbered(2+n), time.Minute)
	}
	if err := h.Snapshot(ctx, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("delete from failures where id > (select min(id) from failures)") // old by their time
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.reopen(2 * time.Minute)
	h.fail(numbered(7), 2*time.Minute)
	h.reopen(3 * time.Minute)
	h.wantCounts(3*time.Minute, map[int]int{7: 1})
}

// With rule 11 off no login is being guessed, though memory, or what the last process has
// left, still counts some.
func TestNobodyIsGuessedWhileThatIsOff(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	for range 4 {
		h.fail(numbered(1), time.Minute)
	}
	off := ledgertest.Counting
	off.Login.Limit = 0 // a reload
	now := ledgertest.Noon.Add(2 * time.Minute)
	if got := h.Guessed(now, off.Login); len(got) != 0 {
		t.Errorf("%d logins, want none", len(got))
	}
	if err := h.Snapshot(ctx, off); err != nil {
		t.Fatal(err)
	}
	e, err := ledger.OpenEmbedded(ctx, h.db, journal.NewIDs("mx1"), h.most, now, off, ledgertest.Validity)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Guessed(now, off.Login); len(got) != 0 {
		t.Errorf("%d logins after a start, want none", len(got))
	}
	if got := e.LoginFailures("jan@domena.cz", ledgertest.Noon); len(got) != 0 {
		t.Errorf("%d failures of the login after a start, want none", len(got))
	}
	if got := e.Tally(numbered(1), now, ledgertest.Window).Count; got != 4 {
		t.Errorf("%d failures of the client after a start, want 4", got)
	}
}
