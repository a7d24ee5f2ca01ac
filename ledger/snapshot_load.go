package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"portreeve/journal"
	"portreeve/ledger/table"
	"portreeve/rules"
)

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

// readSnapshot fills the tables; false where something in it is not what was written.
func (e *Embedded) readSnapshot(ctx context.Context, m mark, now time.Time, c Counting) (good bool, err error) {
	rows, err := e.db.Reader().QueryContext(ctx, "select login, sum, counters from packed where rowid between ? and ? order by rowid", m.first, m.until)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := m.first
	for ; rows.Next(); n++ {
		var (
			p   chunk
			sum int64
			raw sql.RawBytes
		)
		if err := rows.Scan(&p.login, &sum, &raw); err != nil {
			return false, err
		}
		if p.counters = raw; sum != int64(p.sum()) || !e.takeChunk(&p, now, c) {
			return false, nil
		}
	}
	return n == m.until+1, rows.Err()
}

// takeChunk takes over counters; false where they are none.
func (e *Embedded) takeChunk(p *chunk, now time.Time, c Counting) bool {
	of, w, old := e.clients, c.Client, now.Add(-c.retention())
	if p.login != 0 {
		of, w = e.logins, c.Login
		if w.Limit == 0 { // a reload has turned it off
			return true
		}
	}
	return p.each(func(key, body []byte) bool {
		if p.login == 0 && len(key) != 4+1 && len(key) != prefixKey {
			return false
		}
		return of.take(key, body, now, w, old)
	})
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
// count again; false where they are no counter.
func (t *counters) take(key, body []byte, now time.Time, w Window, old time.Time) bool {
	s := sumUp(body, now, w, nil)
	switch {
	case !s.begun || s.bad:
		return false
	case !w.Once && s.oldest >= old.UnixNano() && s.settled(now, w):
		t.put(key, body, s.counted > w.Limit)
		return true
	}
	c := unpackCounter(body)
	c.failures = slices.DeleteFunc(c.failures, func(f rules.Failure) bool { return f.Time.Before(old) })
	if len(c.failures) > 0 {
		c.settle(now, w)
		t.keep(key, c, now, w)
	}
	return true
}
