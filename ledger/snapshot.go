package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/table"
	"portreeve/rules"
)

// packedForm is the version of the packed counters' form. It stands in the mark with the
// way of counting, since what is kept depends on the limit.
func packedForm(c Counting) string { return fmt.Sprintf("3 %+v", c) }

// snapshotChunk is how many counters one write takes, and for how many the lock is held.
const snapshotChunk = 500

// A start counts failures at some hundred thousand a second. A checkpoint is due when so
// many have come since the latest, or a quarter as many as there are counters, so that
// what it writes is in proportion.
const (
	checkpointAfter   = 100_000
	checkpointPortion = 4
)

// packedRow is a counter as the file has it.
type packedRow struct {
	login     int // 1 for those of logins
	key, body []byte
}

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

// insertPacked says which row it is: a snapshot that was given up (the daemon was told to
// stop) may still have a piece in the queue, which comes before the first of the next one
// and would else take its place.
const insertPacked = "insert or replace into packed(rowid, login, key, body) values(?, ?, ?, ?)"

// writeSnapshot writes the rows behind all others, and then that they are good. Whatever
// is in memory when it begins is in them; what comes later may be, and is known by its id.
func (e *Embedded) writeSnapshot(ctx context.Context, c Counting, walk func(write func([]packedRow) error) error) error {
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
	err := walk(func(rows []packedRow) error {
		next := until + 1
		until += int64(len(rows))
		return e.db.Write(ctx, func(tx store.Tx) error {
			for i, r := range rows {
				if _, err := tx.Exec(insertPacked, next+int64(i), r.login, r.key, r.body); err != nil {
					return err
				}
			}
			return nil
		})
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
func (e *Embedded) inOrder(write func([]packedRow) error) (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for login, of := range []*counters{e.clients, e.logins} {
		for _, t := range []*table.Table{of.below, of.above} {
			var p piece
			t.All(func(key, body []byte) bool {
				if p.add(login, key, body); len(p) == snapshotChunk {
					err = write(p)
					p = nil
				}
				return err == nil
			})
			if err == nil && len(p) > 0 {
				err = write(p)
			}
		}
	}
	return err
}

// inPieces walks through them while others work. A counter that rises meanwhile is met
// at least once, for those below the limit come first; one that sinks is asked for at
// the end.
func (e *Embedded) inPieces(write func([]packedRow) error) error {
	for login, of := range []*counters{e.clients, e.logins} {
		e.locked(func() { of.sunk = map[string]struct{}{} })
		err := e.walkPieces(login, of, write)
		var sunk map[string]struct{}
		e.locked(func() { sunk, of.sunk = of.sunk, nil })
		if err != nil {
			return err
		}
		for keys := range slices.Chunk(slices.Collect(maps.Keys(sunk)), snapshotChunk) {
			var p piece
			e.locked(func() {
				for _, k := range keys {
					for _, t := range []*table.Table{of.below, of.above} { // it may have risen again
						if body, ok := t.Peek([]byte(k)); ok {
							p.add(login, []byte(k), body)
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

func (e *Embedded) walkPieces(login int, of *counters, write func([]packedRow) error) error {
	for _, t := range []*table.Table{of.below, of.above} {
		for at, more := uint32(0), true; more; more = at != 0 {
			var p piece
			e.locked(func() {
				at = t.Walk(at, snapshotChunk, func(key, body []byte) { p.add(login, key, body) })
			})
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

// piece is what is written at a time.
type piece []packedRow

func (p *piece) add(login int, key, body []byte) {
	if body = keepable(login == 1, body); len(body) > 0 {
		*p = append(*p, packedRow{login, slices.Clone(key), slices.Clone(body)})
	}
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
		for deleted := int64(pruneChunk); deleted == pruneChunk; {
			err := e.db.Write(ctx, func(tx store.Tx) error {
				res, err := tx.Exec("delete from packed where rowid in (select rowid from packed where "+where+" limit ?)", pruneChunk)
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

// mark is until when a snapshot is good.
type mark struct {
	first, until int64 // its rows
	last         journal.ID
}

// loadSnapshot takes over what the last process has left, if that is good. Whatever has
// an id below the mark's is counted then.
func (e *Embedded) loadSnapshot(ctx context.Context, now time.Time, c Counting) (m mark, good bool, err error) {
	var last []byte
	err = e.db.Reader().QueryRowContext(ctx, "select first, until, last from packed_until where counting = ?", packedForm(c)).
		Scan(&m.first, &m.until, &last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return m, false, nil
	case err != nil:
		return m, false, err
	case copy(m.last[:], last) != len(m.last):
		return m, false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if good, err = e.readSnapshot(ctx, m, now, c); good || err != nil {
		return m, good, err
	}
	arena := table.NewArena()
	if e.clients, err = newCounters(arena, e.most); err == nil {
		e.logins, err = newCounters(arena, e.most)
	}
	return m, false, err
}

// readSnapshot fills the tables; false where something in it is not readable.
func (e *Embedded) readSnapshot(ctx context.Context, m mark, now time.Time, c Counting) (good bool, err error) {
	rows, err := e.db.Reader().QueryContext(ctx, "select login, key, body from packed where rowid between ? and ? order by rowid", m.first, m.until)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	old := now.Add(-c.retention())
	n := m.first
	for ; rows.Next(); n++ {
		var (
			login     bool
			key, body sql.RawBytes
		)
		if err := rows.Scan(&login, &key, &body); err != nil {
			return false, err
		}
		if !wellFormed(body) || !login && len(key) != 4+1 && len(key) != prefixKey {
			return false, nil
		}
		of, w := e.clients, c.Client
		if login {
			of, w = e.logins, c.Login
		}
		if login && w.Limit == 0 { // a reload has turned it off
			continue
		}
		of.take(key, body, now, w, old)
	}
	return n == m.until+1, rows.Err()
}

// loadClearings forgets the clients that were cleared after the snapshot; what they failed
// since then is counted again.
func (e *Embedded) loadClearings(ctx context.Context, after journal.ID) error {
	return e.each(ctx, "select prefix from cleared where id >= ?", []any{after[:]}, func(rows *sql.Rows) error {
		var prefix string
		if err := rows.Scan(&prefix); err != nil {
			return err
		}
		p, err := netip.ParsePrefix(prefix)
		if err != nil {
			return fmt.Errorf("a client that was let in: %w", err)
		}
		e.locked(func() { e.clients.remove(keyOf(p)) })
		return nil
	})
}

// take puts packed bytes where they belong now, without the failures that no start would
// count again.
func (t *counters) take(key, body []byte, now time.Time, w Window, old time.Time) {
	first := read(body)
	aged := first.next() && first.time < old.UnixNano()
	if tally, ok := packedTally(body, now, w); ok && !aged {
		t.put(key, body, tally.Count > w.Limit)
		return
	}
	c := unpackCounter(body)
	c.failures = slices.DeleteFunc(c.failures, func(f rules.Failure) bool { return f.Time.Before(old) })
	if len(c.failures) == 0 {
		return
	}
	c.settle(now, w)
	t.keep(key, c, now, w)
}
