package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// allSynced tells whether every commit has reached the disk.
func allSynced(db *DB) bool { return db.commits.Load() == db.synced.Load() }

// What is committed is copied into the file, and so synced, by the goroutine that copies;
// the writer makes no commit of its own for it.
func TestCopiedIsSynced(t *testing.T) {
	db := open(t, path(t))
	db.reached(db.commits.Load(), noon.AddDate(100, 0, 0)) // the writer finds nothing late
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	commits := db.commits.Load()
	waitFor(t, "the copy", func() bool { return allSynced(db) })
	if n := db.commits.Load(); n != commits {
		t.Errorf("%d commits for one write", n-commits+1)
	}
}

// While somebody reads what was there before, the log cannot be copied, and the writer
// syncs it.
func TestSyncedWhileSomebodyReads(t *testing.T) {
	db := open(t, path(t))
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first copy", func() bool { return allSynced(db) })
	old, err := db.Reader().BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Rollback() //nolint:errcheck // it only reads
	seen := func() (n int) {
		if err := old.QueryRow("select count(*) from notes").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if seen() != 1 {
		t.Fatal("the first note is not there")
	}
	for i := range 2 {
		if err := db.Write(context.Background(), note(fmt.Sprint(i), "v")); err != nil {
			t.Fatal(err)
		}
		if pages, err := db.copyOnce(); err != nil || pages == 0 || allSynced(db) {
			t.Fatalf("copied beneath a reader: %d pages, %v", pages, err)
		}
		waitFor(t, "the writer's sync", func() bool { return allSynced(db) })
	}
	if seen() != 1 {
		t.Error("the reader sees what came later")
	}
}

// A flood does not make the log longer than it may be, and all of it is there after a
// kill.
func TestLogStaysShort(t *testing.T) {
	p := path(t)
	db := open(t, p)
	const writers, each = 16, 75
	value := strings.Repeat("v", 64<<10)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := db.Write(context.Background(), note(fmt.Sprintf("%d.%d", w, i), value)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	info, err := os.Stat(p + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(longestLog + writers*len(value)*2); info.Size() > most { // the last group's came after the look
		t.Errorf("the log has %d bytes", info.Size())
	}
	if n := count(t, db); n != writers*each {
		t.Errorf("%d notes of %d", n, writers*each)
	}
	again := p + ".again"
	for _, suffix := range []string{"", "-wal"} {
		body, err := os.ReadFile(p + suffix)
		if err == nil {
			err = os.WriteFile(again+suffix, body, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, open(t, again)); n != writers*each {
		t.Errorf("%d notes of %d after a kill", n, writers*each)
	}
}

// A log that cannot be copied is an alarm until it can be: it grows until the disk is full.
func TestCopyFails(t *testing.T) {
	db := open(t, path(t))
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the copy", func() bool { return allSynced(db) })
	db.uncopied.Store(&fault{err: errors.New("disk full"), since: noon})
	want := "the store's log has not been copied into its file since 2026-11-22T12:00:00Z, and grows: disk full: see whether its disk is full or fails"
	if err := db.Healthy(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	waitFor(t, "the end of the alarm", func() bool { return db.Healthy() == nil })
	if err := db.copier.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(context.Background(), note("b", "v")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the alarm", func() bool { return db.Healthy() != nil })
	waitFor(t, "the writer's sync", func() bool { return allSynced(db) })
	if err := db.Healthy(); err == nil {
		t.Error("what is synced is taken for copied")
	}
}

// What a change of the schema has written is copied before the daemon serves: the first
// commit would do it, and whoever waits for that.
func TestLongLogIsCopiedAtOpen(t *testing.T) {
	p := path(t)
	step := fmt.Sprintf("create table big(b blob); insert into big values(zeroblob(%d))", longestLog+1)
	db, err := Open(p, append(testSchema[:2:2], step), noon)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if info, err := os.Stat(p); err != nil || info.Size() < longestLog {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	if db.isLogLong() {
		t.Error("the log is still long")
	}
}
