package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// write is the only goroutine that changes the file.
func (db *DB) write(conn *sql.Conn) {
	defer close(db.ended)
	w := &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}
	defer w.close()
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case first := <-db.queue:
			w.commit(w.collect(first))
		case <-tick.C:
			w.sync()
		case <-db.quit:
			for {
				select {
				case first := <-db.queue:
					w.commit(w.collect(first))
				default:
					w.sync()
					return
				}
			}
		}
	}
}

type writer struct {
	db    *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	group []write
	dirty bool // something is committed that is not yet synced
}

// collect takes what is waiting already; it never waits for more, so a lone
// write is committed at once.
func (w *writer) collect(first write) []write {
	w.group = append(w.group[:0], first)
	for len(w.group) < groupSize {
		select {
		case next := <-w.db.queue:
			w.group = append(w.group, next)
		default:
			return w.group
		}
	}
	return w.group
}

// commit writes the group in one transaction. If that fails, each write is
// tried alone, so that a bad one does not fail its neighbours.
func (w *writer) commit(group []write) {
	err := w.transact(group)
	if err == nil || len(group) == 1 {
		w.report(err)
		for _, one := range group {
			one.answer(err)
		}
		return
	}
	var last error
	for i := range group {
		err := w.transact(group[i : i+1])
		group[i].answer(err)
		if err != nil {
			last = err
		}
	}
	w.report(last)
}

func (one write) answer(err error) {
	if one.done != nil {
		one.done <- err
	}
}

func (w *writer) transact(group []write) error {
	if err := w.exec("begin immediate"); err != nil {
		return err
	}
	for _, one := range group {
		if err := one.do(w); err != nil {
			return errors.Join(err, w.exec("rollback"))
		}
	}
	if err := w.exec("commit"); err != nil {
		// A failed commit may have rolled back by itself; then this one's error says nothing.
		_ = w.exec("rollback")
		return err
	}
	w.dirty = true
	return nil
}

// sync makes a commit with synchronous=FULL, which syncs the whole WAL before
// it returns. While writes fail it is also the probe that finds them healed.
func (w *writer) sync() {
	if !w.dirty && w.db.fault.Load() == nil {
		return
	}
	err := w.exec("pragma synchronous = full")
	if err == nil {
		err = w.transact([]write{{do: func(tx Tx) error {
			_, err := tx.Exec("insert into synced(one, at) values(1, ?) on conflict(one) do update set at = excluded.at", time.Now().UnixNano())
			return err
		}}})
	}
	err = errors.Join(err, w.exec("pragma synchronous = normal"))
	w.report(err)
	if err == nil {
		w.dirty = false
	}
}

// report keeps the fault that Healthy shows, with the time of the first failure.
func (w *writer) report(err error) {
	switch old := w.db.fault.Load(); {
	case err == nil && old != nil:
		w.db.fault.Store(nil)
	case err != nil && old == nil:
		w.db.fault.Store(&fault{err: err, since: time.Now()})
	case err != nil:
		w.db.fault.Store(&fault{err: err, since: old.since})
	}
}

// Exec implements Tx.
func (w *writer) Exec(query string, args ...any) (sql.Result, error) {
	stmt, ok := w.stmts[query]
	if !ok {
		var err error
		if stmt, err = w.conn.PrepareContext(context.Background(), query); err != nil {
			return nil, err
		}
		w.stmts[query] = stmt
	}
	return stmt.ExecContext(context.Background(), args...)
}

func (w *writer) exec(query string) error {
	_, err := w.conn.ExecContext(context.Background(), query)
	return err
}

func (w *writer) close() {
	for _, s := range w.stmts {
		s.Close()
	}
	w.conn.Close()
}
