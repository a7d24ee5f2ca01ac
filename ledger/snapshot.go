package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger/table"
	"portreeve/rules"
)

// packedForm is the version of the packed counters' form. It stands in the mark with the
// way of counting, since what is kept depends on the limit.
func packedForm(c Counting) string { return fmt.Sprintf("1 %+v", c) }

// snapshotChunk is how many counters one write takes.
const snapshotChunk = 500

// Snapshot writes the counters as they are. It is for the end of a process: a start that
// finds them, and nothing that was written after them, need not count each failure again
// (a million clients with eleven each: minutes).
func (e *Embedded) Snapshot(ctx context.Context, c Counting) error {
	err := e.db.Write(ctx, dropSnapshot)
	if err != nil {
		return fmt.Errorf("making room for the counters: %w", err)
	}
	for login, of := range []*counters{e.clients, e.logins} {
		for _, t := range []*table.Table{of.below, of.above} {
			if err := e.writePacked(ctx, login, t); err != nil {
				return fmt.Errorf("writing the counters: %w", err)
			}
		}
	}
	err = e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("insert into packed_until(one, last, counting) select 1, ("+lastID+"), ?", packedForm(c))
		return err
	})
	if err != nil {
		return fmt.Errorf("writing until when the counters are good: %w", err)
	}
	return nil
}

// lastID is the highest id that the file has given to a failure or a clearing, or nothing.
// Each max is a look at the end of its table only where it stands alone.
const lastID = "select max(coalesce((select max(id) from failures), x''), coalesce((select max(id) from cleared), x''))"

func dropSnapshot(tx store.Tx) error {
	if _, err := tx.Exec("delete from packed_until"); err != nil {
		return err
	}
	_, err := tx.Exec("delete from packed")
	return err
}

// writePacked writes a table, chunk by chunk.
func (e *Embedded) writePacked(ctx context.Context, login int, t *table.Table) error {
	type row struct{ key, body []byte }
	var (
		rows []row
		err  error
	)
	flush := func() {
		some := rows
		rows = nil
		err = e.db.Write(ctx, func(tx store.Tx) error {
			for _, r := range some {
				if _, err := tx.Exec("insert into packed(login, key, body) values(?, ?, ?)", login, r.key, r.body); err != nil {
					return err
				}
			}
			return nil
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t.All(func(key, body []byte) bool {
		if body = keepable(login == 1, body); len(body) > 0 {
			rows = append(rows, row{slices.Clone(key), slices.Clone(body)})
		}
		if len(rows) == snapshotChunk {
			flush()
		}
		return err == nil
	})
	if err == nil && len(rows) > 0 {
		flush()
	}
	return err
}

// keepable is a counter as it may be kept: a login without @ may be a password, whatever
// login.default_domain has made of it. Of a client's failure what may be shown is kept;
// a login's does not count after a restart, and nothing is kept of a login that has no
// other.
func keepable(login bool, body []byte) []byte {
	r := read(body)
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

// loadSnapshot takes over what the last process has left, if that is good.
func (e *Embedded) loadSnapshot(ctx context.Context, now time.Time, c Counting) (bool, error) {
	var good bool
	err := e.db.Reader().QueryRowContext(ctx, "select count(*) > 0 from packed_until where counting = ? and last = ("+lastID+")", packedForm(c)).Scan(&good)
	if err != nil || !good {
		return false, err
	}
	// Before it is used: what comes now is not in it.
	if err := e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("delete from packed_until")
		return err
	}); err != nil {
		return false, nil //nolint:nilerr // a file that cannot be written is read as if there were no snapshot
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if good, err = e.readSnapshot(ctx, now, c); good || err != nil {
		return good, err
	}
	arena := table.NewArena()
	if e.clients, err = newCounters(arena, e.most); err == nil {
		e.logins, err = newCounters(arena, e.most)
	}
	return false, err
}

// readSnapshot fills the tables; false where something in it is not readable.
func (e *Embedded) readSnapshot(ctx context.Context, now time.Time, c Counting) (good bool, err error) {
	rows, err := e.db.Reader().QueryContext(ctx, "select login, key, body from packed order by rowid")
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
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
		of.take(key, body, now, w)
	}
	return true, rows.Err()
}

// take puts packed bytes where they belong now.
func (t *counters) take(key, body []byte, now time.Time, w Window) {
	if tally, ok := packedTally(body, now, w); ok {
		t.put(key, body, tally.Count > w.Limit)
		return
	}
	c := unpackCounter(body)
	c.settle(now, w)
	t.keep(key, c, now, w)
}
