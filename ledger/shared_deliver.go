package ledger

import (
	"context"
	"slices"
	"time"

	"portreeve/ledger/valkey"
	"portreeve/rules"
)

const (
	// sweepEvery is how often what was told long enough ago is deleted.
	sweepEvery = time.Second
	// batchOps bounds the commands of one batch: a lifted block is many.
	batchOps = 1000
	// maxVisits bounds the addresses that one login is known from.
	maxVisits = 1000
)

// deliver tells the store what waits, whenever it is there.
func (s *Shared) deliver(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.out.wake:
		case <-tick.C:
			if err := s.out.sweep(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Error("outbox of the shared store not cleared", "error", err)
			}
			if n := s.out.forgotten(); n > 0 {
				s.o.Log.Error("outbox of the shared store is full, its oldest events are forgotten", "events", n)
			}
		}
		for s.link.Up() {
			n, err := s.deliverSome(ctx)
			if err != nil && s.link.Up() && ctx.Err() == nil {
				s.o.Log.Error("shared store not told", "error", err)
			}
			if n == 0 || err != nil {
				break
			}
		}
	}
}

// deliverSome tells a batch; it returns how many that were. The events of a client
// are told in their order.
func (s *Shared) deliverSome(ctx context.Context) (int, error) {
	list, err := s.out.next(ctx)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	now := s.o.Store.Now()
	for rest := list; len(rest) > 0; {
		b := batch{Batch: s.link.Batch()}
		n := 0
		for ; n < len(rest) && b.Len() < batchOps; n++ {
			// A block that begins must find its failures.
			if rest[n].Kind == tellBlock && b.failures {
				break
			}
			if !s.moot(rest[n].event, now) {
				if err := s.add(ctx, &b, rest[n].event); err != nil {
					return 0, err
				}
			}
		}
		if err := s.sendBatch(ctx, b); err != nil {
			return 0, err
		}
		for _, e := range rest[:n] {
			s.out.done(e)
		}
		rest = rest[n:]
	}
	return len(list), nil
}

// batch remembers which names the answers are about.
type batch struct {
	*valkey.Batch
	names    []string // empty: no counter
	failures bool
}

// moot tells whether the event can change nothing any more.
func (s *Shared) moot(e event, now time.Time) bool {
	age := now.Sub(e.at())
	switch e.Kind {
	case tellFailure, tellBlock, tellClear:
		return age >= s.counting.Load().retention()
	case tellGrant:
		return age >= s.grantsLast()
	case tellVisit:
		return age >= rules.KnownFor
	case tellCharge, tellRelease:
		return age >= time.Hour
	case tellReset, tellEntry:
		return false
	}
	return true // of another version
}

func (s *Shared) add(ctx context.Context, b *batch, e event) (err error) {
	switch e.Kind {
	case tellFailure:
		for _, a := range s.adds(e) {
			if a.Window.Limit > 0 {
				b.Add(a)
				b.names = append(b.names, a.Name)
			}
		}
		b.failures = true
	case tellBlock:
		for _, name := range e.Names {
			if w := s.window(name); w.Limit > 0 {
				b.Begin(name, e.ID, e.at(), w)
				b.names = append(b.names, name)
			}
		}
	case tellClear:
		if client, err := parseAddr(e.Client); err == nil {
			for _, name := range namesOf(client) {
				b.Clear(name, e.at(), s.window(name))
			}
		}
	case tellGrant:
		b.Grant(e.Client, e.Login, e.at(), s.grantsLast(), maxGrants)
	case tellVisit:
		b.Visit(e.Login, e.Client, e.at(), rules.KnownFor, maxVisits)
	case tellCharge:
		b.Commit(valkey.Place{Login: e.Login, Message: e.ID, Recipients: e.Recipients}, e.at())
	case tellRelease:
		b.Release(valkey.Place{Login: e.Login, Message: e.ID})
	case tellReset:
		b.Reset(e.Login, e.ID, e.at())
	case tellEntry:
		err = s.addEntry(ctx, b, e.ID)
	}
	for len(b.names) < b.Len() {
		b.names = append(b.names, "")
	}
	return err
}

func (s *Shared) sendBatch(ctx context.Context, b batch) error {
	if b.Len() == 0 {
		return nil
	}
	told, err := b.Send(ctx)
	if err != nil {
		return err
	}
	for i, t := range told {
		// Told again, it would be refused again.
		s.odd("telling it what happened here", t.Err)
		if t.Counter != nil && b.names[i] != "" {
			s.take(b.names[i], *t.Counter)
		}
	}
	return nil
}

const (
	// renewEvery is well below valkey.ReservedFor.
	renewEvery = 3 * time.Minute
	// askEvery is how often the store is asked for what seldom changes.
	askEvery = 10 * time.Second
)

// upkeep is what is done now and then while the store is there.
func (s *Shared) upkeep(ctx context.Context) {
	if now := s.o.Store.Now(); now.Sub(s.renewed).Abs() >= renewEvery {
		s.renewed = now
		s.renew(ctx)
	}
	now := time.Now()
	if now.Sub(s.asked) < askEvery {
		return
	}
	s.asked = now
	if err := s.askPeers(ctx); err != nil {
		s.o.Log.Warn("names of the other hosts not kept", "error", err)
	}
	if s.link.Twin() && !s.twin {
		s.twin = true
		s.o.Log.Error("another host that shares the store has this one's name, so their ids and messages may be taken for each other's: give each a name of its own (hostnamectl)", "name", s.o.Host)
	}
	m := s.link.ReadMemory(ctx)
	if m.Evicts() && !s.evicts {
		s.o.Log.Warn("shared store forgets blocks and quotas when its memory is full: set maxmemory-policy noeviction", "policy", m.Policy)
	}
	if s.link.Full() && !s.full {
		s.o.Log.Warn("shared store is nearly full, journal entries stay on this host: give it more memory", "used", m.Used, "maxmemory", m.Most)
	}
	s.evicts, s.full = m.Evicts(), s.link.Full()
}

// renew keeps the places of messages that take long.
func (s *Shared) renew(ctx context.Context) {
	for chunk := range slices.Chunk(s.quotas.under(), batchSize) {
		b := s.link.Batch()
		for _, r := range chunk {
			b.Renew(valkey.Place{Login: r.login, Message: s.messageName(r.transaction), Recipients: r.recipients})
		}
		if _, err := b.Send(ctx); err != nil {
			return // they last for long enough
		}
	}
}
