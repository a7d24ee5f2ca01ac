package ledger

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/table"
	"portreeve/rules"
)

// packedForm is the version of the packed counters' form. It stands in the mark with the
// way of counting, since what is kept depends on the limit.
func packedForm(c Counting) string { return fmt.Sprintf("4 %+v", c) }

// A start counts failures at some hundred thousand a second. A checkpoint is due when so
// many have come since the latest, or a quarter as many as there are counters, so that
// what it writes is in proportion.
const (
	checkpointAfter   = 100_000
	checkpointPortion = 4
)

// Snapshot writes the counters as they are. It is for the end of a process: a start that
// finds them counts only what came after them (a million clients with eleven failures
// each: minutes).
func (e *Embedded) Snapshot(ctx context.Context, c Counting) error {
	return e.writeSnapshot(ctx, c, e.inOrder)
}

// Checkpoint does the same while the process works, for a start after a crash, when it is
// due. Others may write between two of its pieces.
func (e *Embedded) Checkpoint(ctx context.Context, c Counting) error {
	e.mu.Lock()
	due := e.loose >= max(checkpointAfter, (e.clients.len()+e.logins.len())/checkpointPortion)
	e.mu.Unlock()
	if !due {
		return nil
	}
	if err := e.writeSnapshot(ctx, c, e.inPieces); err != nil {
		return err
	}
	return e.prunePacked(ctx)
}

// walk calls write with all counters, a chunk at a time, which is used again after that.
type walk func(write func(*chunk) error) error

// writeSnapshot writes the rows behind all others, and then that they are good. Whatever
// is in memory when it begins is in them; what comes later may be, and is known by its id.
func (e *Embedded) writeSnapshot(ctx context.Context, c Counting, through walk) error {
	e.packing.Lock()
	defer e.packing.Unlock()
	e.mu.Lock()
	last, loose := e.last, e.loose
	e.mu.Unlock()
	var first, until int64
	if err := e.db.Reader().QueryRowContext(ctx, "select coalesce(max(rowid), 0) + 1 from packed").Scan(&first); err != nil {
		return fmt.Errorf("looking for room for the counters: %w", err)
	}
	until = first - 1
	e.leftovers.Store(true)
	err := through(func(p *chunk) error {
		if len(p.counters) == 0 {
			return nil
		}
		until++
		row, whole := until, *p
		if err := e.db.Write(ctx, func(tx store.Tx) error { return whole.write(tx, row) }); err != nil {
			return err // it may be written yet: the bytes are not ours any more
		}
		p.counters = p.counters[:0]
		return nil
	})
	if err != nil {
		return fmt.Errorf("writing the counters: %w", err)
	}
	mark := journal.After(last)
	err = e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("insert or replace into packed_until(one, first, until, last, counting) values(1, ?, ?, ?, ?)",
			first, until, mark[:], packedForm(c))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing until when the counters are good: %w", err)
	}
	e.mu.Lock()
	e.loose -= loose
	e.mu.Unlock()
	return nil
}

// inOrder walks through all counters, the least recently used first, while nobody else
// works.
func (e *Embedded) inOrder(write func(*chunk) error) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for login, of := range []*counters{e.clients, e.logins} {
		p := &chunk{login: login}
		for _, t := range []*table.Table{of.below, of.above} {
			t.All(func(key, body []byte) bool {
				if !p.add(key, body) {
					err = write(p)
				}
				return err == nil
			})
			if err == nil {
				err = write(p)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// inPieces walks through them while others work. A counter that rises meanwhile is met
// at least once, for those below the limit come first; one that sinks is asked for at
// the end.
func (e *Embedded) inPieces(write func(*chunk) error) error {
	for login, of := range []*counters{e.clients, e.logins} {
		e.locked(func() { of.sunk = map[string]struct{}{} })
		p := &chunk{login: login}
		err := e.walkPieces(p, of, write)
		var sunk map[string]struct{}
		e.locked(func() { sunk, of.sunk = of.sunk, nil })
		if err != nil {
			return err
		}
		for keys := range slices.Chunk(slices.Collect(maps.Keys(sunk)), sunkAtOnce) {
			e.locked(func() {
				for _, k := range keys {
					for _, t := range []*table.Table{of.below, of.above} { // it may have risen again
						if body, ok := t.Peek([]byte(k)); ok {
							p.add([]byte(k), body)
						}
					}
				}
			})
			if err := write(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// sunkAtOnce is how many are asked for while the lock is held.
const sunkAtOnce = 500

func (e *Embedded) walkPieces(p *chunk, of *counters, write func(*chunk) error) error {
	for _, t := range []*table.Table{of.below, of.above} {
		for at, more := uint32(0), true; more; more = at != 0 {
			e.locked(func() { at = t.Walk(at, chunkPlaces, p.add) })
			if err := write(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Embedded) locked(do func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	do()
}

// prunePacked deletes the counters of other snapshots than the good one. While one is
// written, its rows are not good yet: whoever writes it prunes when it is.
func (e *Embedded) prunePacked(ctx context.Context) error {
	if !e.leftovers.Load() || !e.packing.TryLock() {
		return nil
	}
	defer e.packing.Unlock()
	e.leftovers.Store(false)
	for _, where := range []string{
		"rowid < (select first from packed_until)", "rowid > (select until from packed_until)", "not exists (select 1 from packed_until)",
	} {
		for deleted := int64(pruneChunks); deleted == pruneChunks; {
			err := e.db.Write(ctx, func(tx store.Tx) error {
				res, err := tx.Exec("delete from packed where rowid in (select rowid from packed where "+where+" limit ?)", pruneChunks)
				if err == nil {
					deleted, err = res.RowsAffected()
				}
				return err
			})
			if err != nil {
				e.leftovers.Store(true)
				return fmt.Errorf("deleting counters that were left over: %w", err)
			}
		}
	}
	return nil
}

// pruneChunks is how many chunks, of some thirty pages each, one deletion takes.
const pruneChunks = 20

// keepable is a counter as it may be kept: a login without @ may be a password, whatever
// login.default_domain has made of it. Of a client's failure what may be shown is kept;
// a login's does not count after a restart, and nothing is kept of a login that has no
// other.
func keepable(login bool, body []byte) []byte {
	r := read(body)
	r.spell = true
	for r.next() {
		if bytes.IndexByte(r.shown, '@') >= 0 || len(r.login) == 0 {
			continue
		}
		c := unpackCounter(body)
		if login {
			c.failures = slices.DeleteFunc(c.failures, func(f rules.Failure) bool { return !strings.Contains(f.Shown, "@") })
		}
		if len(c.failures) == 0 {
			return nil
		}
		for i := range c.failures {
			f := &c.failures[i]
			f.Login, _ = rules.Logins{}.Canonical(f.Shown)
			f.Vague = f.Shown != "" && !strings.Contains(f.Shown, "@")
		}
		return c.pack(nil)
	}
	return body
}
