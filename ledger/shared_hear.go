package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// hear takes over what others have changed. What it could not finish it goes on with
// at the next call.
func (s *Shared) hear(ctx context.Context, changes valkey.Changes) error {
	for _, login := range changes.Resets {
		s.quotas.reset(login)
		s.others.forget(login)
		s.db.Later(dropQuota(login))
	}
	if changes.Start {
		// What is blocked here, too: its block may have been lifted, and times are of the
		// clocks as they were.
		changes.Counters = append(changes.Counters, s.above()...)
	}
	for _, name := range changes.Counters {
		if !slices.Contains(s.unheard, name) {
			s.unheard = append(s.unheard, name)
		}
	}
	for len(s.unheard) > 0 {
		some := s.unheard[:min(len(s.unheard), batchSize)]
		if err := s.hearSome(ctx, some); err != nil {
			return err
		}
		s.unheard = s.unheard[len(some):]
	}
	if changes.Start {
		if err := s.compareMarks(ctx, changes.Lost); err != nil {
			s.o.Log.Error("shared store may miss what this host knows", "error", err)
		}
	}
	return nil
}

func (s *Shared) hearSome(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	b := s.link.Batch()
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.window(name).Limit == 0 })
	for _, name := range names {
		b.Look(name, s.window(name))
	}
	told, err := b.Send(ctx)
	if err != nil {
		return err
	}
	for i, t := range told {
		s.odd("hearing what has changed", t.Err)
		if t.Counter != nil {
			s.take(names[i], *t.Counter)
		}
	}
	return nil
}

// above names the clients and the logins that are above the limit here.
func (s *Shared) above() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.logins.above.Keys()
	for _, p := range s.clients.above.Keys() {
		names = append(names, p.String())
	}
	return names
}

// compareMarks finds out whether the store is the one that it was when this host saw
// it last. If not, it is told all that this host knows.
func (s *Shared) compareMarks(ctx context.Context, lost bool) error {
	const name = "marks"
	marks := s.link.Marks()
	var old string
	err := s.db.Reader().QueryRowContext(ctx, "select coalesce(max(value), '') from shared where name = ?", name).Scan(&old)
	if err != nil {
		return fmt.Errorf("reading what is known of the shared store: %w", s.db.Read(err))
	}
	if old == marks && !lost {
		return nil
	}
	n, err := s.tellAll(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		s.o.Log.Info("shared store has lost what it had, or is new: it is told what this host knows", "events", n)
	}
	return s.putShared(ctx, name, marks)
}

func (s *Shared) putShared(ctx context.Context, name, value string) error {
	err := s.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("insert into shared(name, value) values(?, ?) on conflict(name) do update set value = excluded.value", name, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping what is known of the shared store: %w", err)
	}
	return nil
}

// tellAll puts into the outbox what the file knows and the store may need: failures
// that count, blocks, POP logins. It is told again, so it may be there already.
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
		err = s.each(ctx, "select client, login, last from grants where last > ?", []any{now.Add(-s.validity).UnixNano()}, func(rows *sql.Rows) error {
			e := event{Kind: tellGrant}
			err := rows.Scan(&e.Client, &e.Login, &e.Time)
			events = append(events, e)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("reading what the shared store should be told: %w", s.db.Read(err))
	}
	for chunk := range slices.Chunk(events, batchSize) {
		if err := s.laterAll(ctx, chunk); err != nil {
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

// laterAll puts several events.
func (s *Shared) laterAll(ctx context.Context, events []event) error {
	if len(events) == 0 {
		return nil
	}
	seqs := make([]int64, len(events))
	for i := range seqs {
		seqs[i] = s.out.number()
	}
	err := s.db.Write(ctx, func(tx store.Tx) error {
		for i, e := range events {
			if err := e.put(seqs[i])(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, seq := range seqs {
		s.out.send(seq)
	}
	if err != nil {
		return fmt.Errorf("writing what the shared store should be told: %w", err)
	}
	return nil
}

// Peers are the names of the hosts that share the store, as far as this one knows:
// one of them may have made an id.
func (s *Shared) Peers() []string {
	if p := s.peers.Load(); p != nil {
		return *p
	}
	return nil
}

const peerName = "host "

func (s *Shared) loadPeers(ctx context.Context) error {
	var names []string
	err := s.each(ctx, "select name from shared where name like ? order by name", []any{peerName + "%"}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, strings.TrimPrefix(name, peerName))
		return err
	})
	s.peers.Store(&names)
	return err
}

// askPeers learns who shares the store.
func (s *Shared) askPeers(ctx context.Context) error {
	hosts, err := s.link.Hosts()
	if err != nil {
		s.odd("asking for the hosts", err)
		return nil // it will be asked again
	}
	var names []string
	for _, h := range hosts {
		if s.o.Store.Now().Sub(h.Last) < s.o.Keep {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(s.Peers(), name) {
			if err := s.putShared(ctx, peerName+name, strconv.FormatInt(s.o.Store.Now().Unix(), 10)); err != nil {
				return err
			}
		}
	}
	s.peers.Store(&names)
	return nil
}
