package store

import (
	"context"
	"os"
	"sync/atomic"
	"time"
)

// Commits go to a log beside the file (WAL), which must be copied into it now and then.
// By itself SQLite has the writer do that after each thousand pages, four times a second in
// a flood, and every commit waits meanwhile for the disk. So a goroutine copies while the
// writer goes on; only where the log has become long the writer copies what is left, for
// it can begin the log anew when nothing is.
const (
	copyEvery = 500 * time.Millisecond
	// longLog is how many pages of 4 KiB the log has then: 32 MiB.
	longLog = 8 << 10
	// longestLog is the size in bytes at which the writer waits for the goroutine, should it
	// ever be so much faster, and which the log's file keeps. It may be longer while somebody
	// reads for long, as a backup does: then waiting would be of no use.
	longestLog = 64 << 20
)

const checkpoint = "pragma wal_checkpoint(passive)"

// progress is what has become of the commits.
type progress struct {
	commits  atomic.Int64              // so many there are,
	synced   atomic.Int64              // and so many of them have reached the disk,
	syncedAt atomic.Pointer[time.Time] // with all that were there then;
	inFile   atomic.Int64              // so many are copied into the file
}

// reached is told that the first n commits have reached the disk, and what was committed
// before a time.
func (p *progress) reached(n int64, began time.Time) {
	p.synced.Store(n)
	p.syncedAt.Store(&began)
}

// late tells whether a commit may wait for the disk for too long, if it is not synced
// before the writer looks again.
func (p *progress) late(now time.Time) bool {
	at := p.syncedAt.Load()
	return p.commits.Load() != p.synced.Load() && (at == nil || now.Sub(*at) >= syncEvery-lookEvery)
}

// copyLog copies until the store is closed, and that syncs what it copies. What cannot be
// copied stays in the log and is tried again. On a disk that hangs the writer's syncs do,
// too, and they raise the alarm.
func (db *DB) copyLog() {
	defer close(db.copied)
	tick := time.NewTicker(copyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-db.ended:
			return
		}
		if db.commits.Load() == db.inFile.Load() && db.uncopied.Load() == nil {
			continue
		}
		if pages, err := db.copyOnce(); err != nil || pages < longLog || db.held.Load() {
			continue
		}
		if _, err := db.copyOnce(); err != nil { // what came during the first
			continue
		}
		select {
		case db.restart <- struct{}{}:
		case <-db.ended:
			return
		}
	}
}

// copyOnce returns how many pages the log has.
func (db *DB) copyOnce() (pages int, err error) {
	db.copying.Lock()
	defer db.copying.Unlock()
	began, commits := time.Now(), db.commits.Load()
	var busy, copied int
	err = db.copier.QueryRowContext(context.Background(), checkpoint).Scan(&busy, &pages, &copied)
	if err == nil && busy == 0 { // while somebody else copies, both are -1
		db.held.Store(copied < pages)
		if copied == pages {
			db.reached(commits, began)
			db.inFile.Store(commits)
		}
	}
	switch {
	case err == nil:
		db.uncopied.Store(nil)
	case db.uncopied.Load() == nil:
		db.uncopied.Store(&fault{err: err, since: began})
	}
	return pages, err
}

// copyRest copies what is left of the log; the next commit begins it anew. What fails
// here fails in copyLog, too.
func (w *writer) copyRest() {
	w.db.copying.Lock()
	defer w.db.copying.Unlock()
	_ = w.exec(checkpoint)
}

// isLogLong tells whether the log has become longer than its file may be.
func (db *DB) isLogLong() bool {
	info, err := os.Stat(db.path + "-wal")
	return err == nil && info.Size() > longestLog
}
