package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/rules"
)

// tellAll puts into the outbox what the file knows and the store may need: failures
// that count, blocks, POP logins, the messages of the hour. It is told again, so it may
// be there already.
func (s *Shared) tellAll(ctx context.Context) (n int, err error) {
	now, c := s.o.Store.Now(), *s.counting.Load()
	var events []event
	from := journal.After(now.Add(-c.retention()))
	err = s.each(ctx, `select f.id, f.prefix, f.client, f.time, f.login, f.service, f.password, f.counted
		from failures f left join cleared c on c.prefix = f.prefix
		where f.id >= ? and (c.id is null or f.id > c.id) order by f.id`, []any{from[:]}, func(rows *sql.Rows) error {
		e, err := s.rowEvent(rows, c)
		events = append(events, e)
		return err
	})
	if err == nil {
		for _, query := range []string{"select prefix, id, since from blocks", "select login, id, since from guessed"} {
			err = s.each(ctx, query, nil, func(rows *sql.Rows) error {
				e := event{Kind: tellBlock, Names: make([]string, 1)}
				err := rows.Scan(&e.Names[0], &e.ID, &e.Time)
				events = append(events, e)
				return err
			})
			if err != nil {
				break
			}
		}
	}
	if err == nil {
		err = s.each(ctx, "select client, login, last from grants where last > ?", []any{now.Add(-s.grantsLast()).UnixNano()}, func(rows *sql.Rows) error {
			e := event{Kind: tellGrant}
			err := rows.Scan(&e.Client, &e.Login, &e.Time)
			events = append(events, e)
			return err
		})
	}
	if err == nil {
		err = s.each(ctx, "select message, login, recipients, time from charged where time > ?", []any{now.Add(-time.Hour).UnixNano()}, func(rows *sql.Rows) error {
			e := event{Kind: tellCharge}
			err := rows.Scan(&e.ID, &e.Login, &e.Recipients, &e.Time)
			events = append(events, e)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("reading what the shared store should be told: %w", s.db.Read(err))
	}
	s.out.drop(s.toldAll) // what still waits of the last time
	s.toldAll = nil
	for chunk := range slices.Chunk(events, batchSize) {
		seqs, err := s.laterAll(ctx, chunk)
		s.toldAll = append(s.toldAll, seqs...)
		if err != nil {
			return n, err
		}
		n += len(chunk)
	}
	return n, nil
}

// rowEvent is a failure of the file as an event.
func (s *Shared) rowEvent(rows *sql.Rows, c Counting) (event, error) {
	var (
		f              rules.Failure
		id             []byte
		prefix, client string
		at             int64
	)
	if err := rows.Scan(&id, &prefix, &client, &at, &f.Shown, &f.Protocol, &f.Password, &f.Counted); err != nil {
		return event{}, err
	}
	if len(id) != len(journal.ID{}) {
		return event{}, fmt.Errorf("a remembered failure has an id of %d bytes", len(id))
	}
	var (
		p   netip.Prefix
		err error
	)
	if prefix != "" {
		if p, err = netip.ParsePrefix(prefix); err != nil {
			return event{}, err
		}
	}
	if f.Client, err = parseAddr(client); err != nil {
		return event{}, err
	}
	f.Time, f.ID = time.Unix(0, at), eventOf(journal.ID(id))
	f.Login, _ = rules.Logins{}.Canonical(f.Shown)
	e := s.failureEvent(p, f, c)
	e.Event, e.Told = wireID(journal.ID(id).Host(), f.ID), e.Time
	return e, nil
}

// laterAll puts several events; it returns their numbers.
func (s *Shared) laterAll(ctx context.Context, events []event) (seqs []int64, err error) {
	if len(events) == 0 {
		return nil, nil
	}
	seqs = make([]int64, len(events))
	for i := range seqs {
		seqs[i] = s.out.number()
	}
	err = s.db.Write(ctx, func(tx store.Tx) error {
		for i, e := range events {
			if err := e.put(seqs[i])(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for i, e := range events {
		s.out.send(numbered{seqs[i], e}, err)
	}
	if err != nil {
		err = fmt.Errorf("writing what the shared store should be told: %w", err)
	}
	return seqs, err
}
