package store

import (
	"database/sql"
	"testing"
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
