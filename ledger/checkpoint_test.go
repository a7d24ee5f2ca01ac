package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// pausing is a ledger whose daemon writes a checkpoint now and then, between whatever it
// is told.
type pausing struct {
	*host
	told atomic.Int64
}

func (p *pausing) pause() {
	p.t.Helper()
	if p.told.Add(1)%3 != 0 {
		return
	}
	if err := p.CheckpointNow(context.Background(), ledgertest.Counting); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pausing) AddFailure(ctx context.Context, prefix netip.Prefix, f rules.Failure, c ledger.Counting) (ledger.Tallies, error) {
	p.pause()
	return p.host.AddFailure(ctx, prefix, f, c)
}

func (p *pausing) BeginBlock(ctx context.Context, prefix netip.Prefix, id string, now time.Time, w ledger.Window) (string, error) {
	p.pause()
	return p.host.BeginBlock(ctx, prefix, id, now, w)
}

func (p *pausing) Unblock(ctx context.Context, client netip.Addr, now time.Time, w ledger.Window) ([]ledger.Block, error) {
	p.pause()
	return p.host.Unblock(ctx, client, now, w)
}

// A daemon that was killed after a checkpoint knows everything that it had been told.
func TestEmbeddedCheckpoints(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		p := &pausing{host: newHost(t, 1000)}
		return p, func(after time.Duration) ledger.Ledger {
			p.reopen(after)
			return p
		}
	})
}

// What came before the checkpoint is read from it, and what came after it from the
// failures, the clearings and the blocks.
func TestStartAfterCheckpoint(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	block := func(n int, id string, after time.Duration) {
		t.Helper()
		for range 11 {
			h.fail(numbered(n), after)
		}
		if _, err := h.BeginBlock(ctx, numbered(n), id, ledgertest.Noon.Add(after), ledgertest.Window); err != nil {
			t.Fatal(err)
		}
	}
	block(1, "before", time.Minute)
	block(2, "lifted", time.Minute)
	block(3, "lifted, and again", time.Minute)
	h.fail(numbered(4), time.Minute)
	if err := h.CheckpointNow(ctx, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	// The failures are gone, so that it shows what was read from where.
	if err := h.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("delete from failures where id < (select max(id) from failures)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 3} {
		if _, err := h.Unblock(ctx, numbered(n).Addr(), ledgertest.Noon.Add(2*time.Minute), ledgertest.Window); err != nil {
			t.Fatal(err)
		}
	}
	block(3, "again", 3*time.Minute)
	h.fail(numbered(4), 3*time.Minute)
	block(5, "after", 3*time.Minute)

	h.reopen(4 * time.Minute)
	for n, want := range map[int]string{1: "11 before", 2: "0 ", 3: "11 again", 4: "2 ", 5: "11 after", 6: "0 "} {
		tally := h.Tally(numbered(n), ledgertest.Noon.Add(4*time.Minute), ledgertest.Window)
		if got := fmt.Sprintf("%d %s", tally.Count, tally.Block); got != want {
			t.Errorf("client %d: %q, want %q", n, got, want)
		}
	}
}

// A checkpoint that was not finished changes nothing, and the next pruning removes it.
func TestCheckpointThatWasNotFinished(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	h.fail(numbered(1), time.Minute)
	if err := h.CheckpointNow(ctx, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	if err := h.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("insert into packed(login, sum, counters) select login, sum, counters from packed")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.reopen(2 * time.Minute)
	if got := h.Tally(numbered(1), ledgertest.Noon.Add(2*time.Minute), ledgertest.Window).Count; got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
	if n := h.rows("packed"); n != 4 { // one of the client, one of the login
		t.Fatalf("%d rows, want the good ones and the others", n)
	}
	if err := h.Prune(ctx, ledgertest.Noon.Add(2*time.Minute), ledgertest.Counting, time.Hour); err != nil {
		t.Fatal(err)
	}
	if n := h.rows("packed"); n != 2 {
		t.Errorf("%d rows after a pruning, want 2", n)
	}
	h.reopen(3 * time.Minute)
	if got := h.Tally(numbered(1), ledgertest.Noon.Add(3*time.Minute), ledgertest.Window).Count; got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
}

// Counters that move between the tables while they are written are written all the same.
func TestCheckpointWhileCountersMove(t *testing.T) {
	const clients = 3000
	h := newHost(t, 2*clients)
	w := ledgertest.Window
	var all []rules.Failure
	for n := range clients {
		for i := range 11 {
			f := rules.Failure{
				Time: ledgertest.Noon.Add(time.Duration(i) * time.Second), Client: numbered(n).Addr(), Login: "jan@domena.cz",
				Shown: "jan@domena.cz", Protocol: "smtp", Counted: true, ID: uint64(n*11 + i + 1),
			}
			all = append(all, f)
		}
	}
	for _, f := range all {
		h.Note(netip.PrefixFrom(f.Client, 32), f, ledgertest.Counting)
	}
	written := map[string]bool{}
	pieces := 0
	err := h.WalkPieces(func(keys []string) error {
		for _, k := range keys {
			written[k] = true
		}
		// The oldest failure of each leaves the window: one piece after the other sinks.
		pieces++
		for n := clients - 1; n >= clients-pieces*700 && n >= 0; n-- {
			h.Tally(numbered(n), ledgertest.Noon.Add(time.Hour+time.Second), w)
		}
		// And some rise again.
		for n := pieces * 100; n < min(pieces*200, clients); n++ {
			f := all[n*11]
			f.ID, f.Time = uint64(1_000_000+n), ledgertest.Noon.Add(time.Hour)
			h.Note(numbered(n), f, ledgertest.Counting)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(written) < clients || pieces < 7 {
		t.Errorf("%d counters written in %d pieces, want all %d", len(written), pieces, clients)
	}
}
