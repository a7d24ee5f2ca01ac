package journal

import (
	"context"
	"fmt"
	"time"

	"portreeve/internal/store"
)

const (
	// pruneChunk bounds one deletion, so that refusals never wait long behind it.
	pruneChunk = 2000
	// sizeChunk is smaller: it is how many entries may go that need not have gone.
	sizeChunk = 100
)

// last is above every id, those of a clock that ran ahead included.
var last = ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Prune deletes what is older than keep, then the oldest until the store's used
// pages are below maxSize bytes. 0 keeps everything.
func (j *Journal) Prune(ctx context.Context, now time.Time, keep time.Duration, maxSize int64) error {
	if keep > 0 {
		before := After(now.Add(-keep))
		for {
			n, err := j.deleteOldest(ctx, before, pruneChunk)
			if err != nil {
				return err
			}
			if n < pruneChunk {
				break
			}
		}
	}
	for maxSize > 0 {
		size, err := j.used(ctx)
		if err != nil {
			return err
		}
		if size <= maxSize {
			return nil
		}
		n, err := j.deleteOldest(ctx, last, sizeChunk)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

func (j *Journal) deleteOldest(ctx context.Context, before ID, most int) (int64, error) {
	var deleted int64 // the writer's until Write returns without an error
	err := j.db.Write(ctx, func(tx store.Tx) error {
		res, err := tx.Exec(`delete from decisions where id in
			(select id from decisions where id < ? order by id limit ?)`, before[:], most)
		if err == nil {
			deleted, err = res.RowsAffected()
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("pruning the journal: %w", err)
	}
	return deleted, nil
}

// used is the size in bytes of the pages in use; freed pages are used again
// before the file grows.
func (j *Journal) used(ctx context.Context) (int64, error) {
	var size int64
	err := j.db.Reader().QueryRowContext(ctx, `select (p.page_count - f.freelist_count) * s.page_size
		from pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s`).Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("measuring the journal: %w", err)
	}
	return size, nil
}
