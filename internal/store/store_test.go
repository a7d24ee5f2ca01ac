package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	// testSchema is a second step after the real first one.
	testSchema = []string{Schema[0], "create table notes(k text primary key, v text not null) without rowid"}
)

func path(t *testing.T) string { return filepath.Join(t.TempDir(), "portreeve.db") }

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path, testSchema, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// note is a write of one row. A nil value breaks the table's constraint.
func note(key string, value any) func(Tx) error {
	return func(tx Tx) error {
		_, err := tx.Exec("insert into notes(k, v) values(?, ?)", key, value)
		return err
	}
}

func count(t *testing.T, db *DB) int {
	t.Helper()
	var n int
	if err := db.Reader().QueryRow("select count(*) from notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// waitFor asks until it is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// hold keeps the writer busy with one write, so that others gather behind it.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	held, released := make(chan struct{}), make(chan struct{})
	if !db.Later(func(Tx) error { close(held); <-released; return nil }) {
		t.Fatal("the queue of an idle store is full")
	}
	<-held
	return sync.OnceFunc(func() { close(released) })
}

// gather starts writes and waits until all of them are queued.
func gather(t *testing.T, db *DB, writes []func(Tx) error) (errs func() []error) {
	t.Helper()
	results := make([]error, len(writes))
	var all sync.WaitGroup
	for i, do := range writes {
		all.Go(func() { results[i] = db.Write(context.Background(), do) })
		waitFor(t, "the write is queued", func() bool { return len(db.queue) == i+1 })
	}
	return func() []error { all.Wait(); return results }
}

func TestWaitingWritesShareOneCommit(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	const callers = 200
	var writes []func(Tx) error
	ran := make([]int, callers)
	for i := range callers {
		writes = append(writes, func(tx Tx) error { ran[i]++; return note(fmt.Sprint(i), "v")(tx) })
	}
	seen := -1
	writes = append(writes, func(Tx) error { seen = count(t, db); return nil })
	errs := gather(t, db, writes)
	release()
	for i, err := range errs() {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if seen != 0 {
		t.Errorf("a reader saw %d rows before the group was complete: it was not one transaction", seen)
	}
	for i, n := range ran {
		if n != 1 {
			t.Errorf("write %d ran %d times", i, n)
		}
	}
	if n := count(t, db); n != callers {
		t.Errorf("%d rows, want %d", n, callers)
	}
}

func TestBadWriteDoesNotFailItsNeighbours(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	own := errors.New("changed its mind")
	errs := gather(t, db, []func(Tx) error{
		note("a", "v"),
		note("b", nil),
		func(tx Tx) error { return errors.Join(note("half", "v")(tx), own) },
		note("c", "v"),
		note("c", "twice"),
		func(tx Tx) error { _, err := tx.Exec("no such statement"); return err },
		note("d", "v"),
	})
	release()
	got := errs()
	for i, bad := range []bool{false, true, true, false, true, true, false} {
		if (got[i] != nil) != bad {
			t.Errorf("write %d: %v", i, got[i])
		}
	}
	if !errors.Is(got[2], own) {
		t.Errorf("the write's own error is lost: %v", got[2])
	}
	if n := count(t, db); n != 3 {
		t.Errorf("%d rows, want a, c and d", n)
	}
	if err := db.Healthy(); err != nil {
		t.Errorf("a write that is wrong in itself raised the alarm: %v", err)
	}
}

func TestConcurrentWritesAllArrive(t *testing.T) {
	db := open(t, path(t))
	var measured sync.Map
	db.Measure = func(d time.Duration) { measured.Store(d, true) }
	const callers, each = 64, 50
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range each {
				key := fmt.Sprintf("%d-%d", c, i)
				if err := db.Write(context.Background(), note(key, "v")); err != nil {
					t.Error(err)
					return
				}
				var v string
				if err := db.Reader().QueryRow("select v from notes where k = ?", key).Scan(&v); err != nil {
					t.Errorf("%s was answered but cannot be read: %v", key, err)
				}
			}
		})
	}
	all.Wait()
	if n := count(t, db); n != callers*each {
		t.Errorf("%d rows, want %d", n, callers*each)
	}
	empty := true
	measured.Range(func(any, any) bool { empty = false; return false })
	if empty {
		t.Error("nothing was measured")
	}
}

func TestCallerMayGiveUp(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() { answer <- db.Write(ctx, note("late", "v")) }()
	waitFor(t, "the write is queued", func() bool { return len(db.queue) == 1 })
	cancel()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	waitFor(t, "the write happens all the same", func() bool { return count(t, db) == 1 })
}

func TestFullQueue(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	for i := range queueLength {
		if !db.Later(note(fmt.Sprint(i), "v")) {
			t.Fatalf("dropped %d of %d", i, queueLength)
		}
	}
	if db.Later(note("beyond", "v")) {
		t.Error("the queue has no bound")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := db.Write(ctx, note("also", "v")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller with no time left waits: %v", err)
	}
	release()
	waitFor(t, "the queue is written", func() bool { return count(t, db) == queueLength })
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	p := path(t)
	db := open(t, p)
	release := hold(t, db)
	var writes []func(Tx) error
	for i := range 300 {
		writes = append(writes, note(fmt.Sprint(i), "v"))
	}
	errs := gather(t, db, writes)
	for i := range 1000 { // more than one group
		if !db.Later(note(fmt.Sprintf("later-%d", i), "v")) {
			t.Fatal("dropped")
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	<-db.quit
	release()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for i, err := range errs() {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if err := db.Write(context.Background(), note("x", "v")); !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
	if db.Later(note("y", "v")) {
		t.Error("Later took a write after Close")
	}
	if err := db.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if n := count(t, open(t, p)); n != 1300 {
		t.Errorf("%d rows after reopening, want 1300", n)
	}
}

func TestWritesRaceWithClose(t *testing.T) {
	p := path(t)
	db := open(t, p)
	var all sync.WaitGroup
	written := make(chan string, 8*10_000)
	for c := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", c, i)
				err := db.Write(context.Background(), note(key, "v"))
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("%s: %v", key, err)
					return
				}
				written <- key
			}
		})
	}
	waitFor(t, "some writes", func() bool { return len(written) > 100 })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	close(written)
	again := open(t, p)
	for key := range written {
		var v string
		if err := again.Reader().QueryRow("select v from notes where k = ?", key).Scan(&v); err != nil {
			t.Errorf("%s was answered and is gone: %v", key, err)
		}
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	p := path(t)
	first := open(t, p)
	_, err := Open(p, testSchema, noon)
	want := "another portreeve uses this store (" + p + ".lock is locked): stop it first, or give this one another store.path"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v\nwant %s", err, want)
	}
	if err := first.Write(context.Background(), note("a", "v")); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, p)
}

func TestSchemaSteps(t *testing.T) {
	p := path(t)
	db, err := Open(p, testSchema[:1], noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, p)); n != 0 {
		t.Errorf("%d rows in a new table", n)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	p := path(t)
	if err := open(t, p).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(p, testSchema[:1], noon)
	want := "opening the store " + p + ": it was written by a newer portreeve (schema 2, this one knows 1): install that version, or change store.path"
	if err == nil || err.Error() != want {
		t.Fatalf("got %v\nwant %s", err, want)
	}
	if db := open(t, p); db.Damaged != "" {
		t.Error("a newer file was taken for a damaged one")
	}
}

func TestBrokenStepLeavesTheOldVersion(t *testing.T) {
	p := path(t)
	_, err := Open(p, append(testSchema[:1:1], "create table a(x); create table a(x)"), noon)
	if err == nil || !strings.Contains(err.Error(), "bringing the schema to version 2") {
		t.Fatalf("got %v", err)
	}
	open(t, p) // version 1, and unlocked
}

func TestPathsWithOddCharacters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?b#c %20;d=ž")
	db := open(t, filepath.Join(dir, "x&y.db"))
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "x&y.db*")); err != nil || len(names) < 2 {
		t.Errorf("the file is not where it should be: %v %v", names, err)
	}
}

// Nobody writes, nothing waits to be synced: the probe alone finds the store healed.
func TestProbeOfIdleStore(t *testing.T) {
	db := open(t, path(t))
	db.fault.Store(&fault{err: errors.New("disk full"), since: noon})
	if err := db.Healthy(); err == nil || err.Error() != "the store has not been writable since 2026-11-22T12:00:00Z: disk full" {
		t.Errorf("got %v", err)
	}
	waitFor(t, "the probe", func() bool { return db.Healthy() == nil })
}
