package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// While somebody else copies the log, it is not ours that copied, and nothing is synced.
func TestSomebodyElseCopies(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	other, err := sql.Open("sqlite", "file:"+db.path+"?_pragma=busy_timeout(60000)")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ended := make(chan error, 1)
	go func() { // it waits for the writer, unless it comes upon a copy of ours
		for copied := -1; copied < 0; {
			var busy, pages int
			if err := other.QueryRow("pragma wal_checkpoint(full)").Scan(&busy, &pages, &copied); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	waitFor(t, "the other one's copy", func() bool {
		pages, err := db.copyOnce()
		return err == nil && pages < 0
	})
	db.commits.Add(1)
	if pages, err := db.copyOnce(); err != nil || pages >= 0 || allSynced(db) {
		t.Errorf("%d pages, %v, synced: %v", pages, err, allSynced(db))
	}
	release()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	waitFor(t, "the copy", func() bool { return allSynced(db) })
}

// Whenever a commit comes, it has reached the disk a second later, though somebody reads
// what was there before and nothing can be copied.
func TestSyncedWithinASecond(t *testing.T) {
	p := path(t)
	synctest.Test(t, func(t *testing.T) {
		db := open(t, p)
		write := func(key string) {
			t.Helper()
			if err := db.Write(context.Background(), note(key, "v")); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 40 {
			write(fmt.Sprint("before ", i))
			for !allSynced(db) {
				time.Sleep(time.Millisecond)
			}
			old, err := db.Reader().BeginTx(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if err := old.QueryRow("select count(*) from notes").Scan(&n); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(i) * 27 * time.Millisecond)
			write(fmt.Sprint("beneath ", i))
			commits := db.commits.Load()
			time.Sleep(syncEvery)
			synctest.Wait()
			if synced := db.synced.Load(); synced < commits {
				t.Errorf("write %d: %d of %d commits are synced", i, synced, commits)
			}
			if err := old.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// While somebody reads, no commit tries in vain to copy a long log; once nobody does, the
// goroutine copies it, though nothing is committed any more.
func TestLongLogBeneathAReader(t *testing.T) {
	db := open(t, path(t))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	old, err := db.Reader().BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := old.QueryRow("select count(*) from notes").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(ctx, note("long", strings.Repeat("v", longestLog+1))); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a copy that ends early", db.held.Load)
	func() {
		db.copying.Lock()
		defer db.copying.Unlock()
		if err := db.Write(ctx, note("a", "v")); err != nil {
			t.Errorf("a commit waits for the copy: %v", err)
		}
	}()
	waitFor(t, "the writer's sync", func() bool { return allSynced(db) })
	if err := old.Rollback(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the copy", func() bool { return !db.held.Load() })
	if err := db.Write(ctx, note("b", "v")); err != nil {
		t.Fatal(err)
	}
	if db.isLogLong() {
		t.Error("the log is still long")
	}
}
