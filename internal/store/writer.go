package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"runtime"
	"time"
)

// write is the only goroutine that changes the file.
func (db *DB) write(conn *sql.Conn) {
	defer close(db.ended)
	w := &writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}
	defer w.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case first := <-db.queue:
			db.works(func() { w.commit(w.collect(first)) })
		case <-tick.C:
			// While writes fail, this is also the probe that finds them healed.
			if db.late(time.Now()) || db.fault.Load() != nil {
				db.works(w.sync)
			}
		case <-db.restart:
			db.works(w.copyRest)
		case <-db.quit:
			for {
				select {
				case first := <-db.queue:
					db.works(func() { w.commit(w.collect(first)) })
				default:
					if db.commits.Load() != db.synced.Load() || db.fault.Load() != nil {
						db.works(w.sync)
					}
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
}

// collect takes what is waiting already, and what comes from goroutines that could
// run now: the scheduler hands over to the writer as soon as the first of them
// waits for it, and a commit costs more than ten rows. It never waits for more,
// so a lone write is committed at once.
func (w *writer) collect(first write) []write {
	w.group = append(w.group[:0], first)
	for range yields {
		before := len(w.group)
		runtime.Gosched()
		w.take()
		if len(w.group) == before {
			break
		}
	}
	return w.group
}

func (w *writer) take() {
	for len(w.group) < groupSize {
		select {
		case next := <-w.db.queue:
			w.group = append(w.group, next)
		default:
			return
		}
	}
}

// outcome is what became of a transaction.
type outcome struct {
	err   error
	began bool // some write was tried; if none was, there is no use in trying each
	fault bool // the error is the store's, not the write's own
}

// commit writes the group in one transaction. If that fails, each write is
// tried alone, so that a bad one does not fail its neighbours.
func (w *writer) commit(group []write) {
	all := w.transact(group)
	if all.err == nil || !all.began || len(group) == 1 {
		w.report(all)
		for _, one := range group {
			one.answer(all.err)
		}
		return
	}
	health := outcome{err: all.err}
	for _, one := range group {
		alone := w.transact([]write{one})
		one.answer(alone.err)
		if alone.fault || alone.err == nil && !health.fault {
			health = alone
		}
	}
	w.report(health)
}

func (one write) answer(err error) {
	if one.done != nil {
		one.done <- err
	}
}

func (w *writer) transact(group []write) outcome {
	if err := w.run("begin immediate"); err != nil {
		w.rollback()
		return outcome{err: err, fault: true}
	}
	for _, one := range group {
		if err := one.do(w); err != nil {
			w.rollback()
			return outcome{err: err, began: true, fault: blamesStore(err)}
		}
	}
	if err := w.run("commit"); err != nil {
		w.rollback()
		return outcome{err: err, began: true, fault: true}
	}
	if !w.db.held.Load() && w.db.isLogLong() {
		w.copyRest()
	}
	w.db.commits.Add(1)
	return outcome{began: true}
}

// rollback ends what is left of a failed transaction. SQLite has ended it by
// itself after some errors (a full disk); then this one's error says nothing.
func (w *writer) rollback() { _ = w.run("rollback") }

// blamesStore tells a store that cannot be written from a write that is wrong in
// itself: only the former is an alarm.
func blamesStore(err error) bool {
	var coded interface{ Code() int }
	if !errors.As(err, &coded) {
		return errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn)
	}
	switch coded.Code() & 0xff {
	case 1, 18, 19, 20, 21, 25: // ERROR, TOOBIG, CONSTRAINT, MISMATCH, MISUSE, RANGE
		return false
	}
	return true
}

// sync makes a commit with synchronous=FULL, which syncs the whole WAL before it returns:
// where copyLog has not done so lately, for while somebody reads, it cannot always.
func (w *writer) sync() {
	began := time.Now()
	err := w.exec("pragma synchronous = full")
	if err == nil {
		err = w.transact([]write{{do: func(tx Tx) error {
			_, err := tx.Exec("insert into synced(one, at) values(1, ?) on conflict(one) do update set at = excluded.at", time.Now().UnixNano())
			return err
		}}}).err
	}
	err = errors.Join(err, w.exec("pragma synchronous = normal"))
	w.report(outcome{err: err, fault: err != nil})
	if err == nil {
		w.db.reached(w.db.commits.Load(), began)
	}
}

// report keeps the fault that Healthy shows, with the time of the first failure.
// A write that was wrong in itself says nothing about the store.
func (w *writer) report(o outcome) {
	switch old := w.db.fault.Load(); {
	case o.err == nil && old != nil:
		w.db.fault.Store(nil)
	case o.fault && old == nil:
		w.db.fault.Store(&fault{err: o.err, since: time.Now()})
	case o.fault:
		w.db.fault.Store(&fault{err: o.err, since: old.since})
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

// run runs a statement that is prepared once, exec one that is rare.
func (w *writer) run(query string) error {
	_, err := w.Exec(query)
	return err
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
