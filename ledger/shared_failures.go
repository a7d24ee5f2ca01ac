package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// fresh is how long what the store has said of a counter is taken for the latest.
// Within one decision it need not be asked twice.
var fresh = 100 * time.Millisecond

// AddFailure implements Ledger. The store counts, while the file is written.
func (s *Shared) AddFailure(ctx context.Context, prefix netip.Prefix, f rules.Failure, c Counting) (Tallies, error) {
	s.counting.Store(&c)
	n := s.note(prefix, f, c)
	if n.known {
		return n.Tallies, nil
	}
	e := s.failureEvent(prefix, n.f, c)
	if len(e.Names) == 0 {
		return n.Tallies, s.remember(s.db.Write(ctx, n.write))
	}
	seq := s.out.number()
	written := make(chan error, 1)
	go func() { written <- s.write(ctx, seq, e, n.write) }()
	counters, err := s.link.AddFailures(s.adds(e)...)
	s.odd("counting a failed login", err)
	werr := s.remember(<-written)
	if err != nil {
		s.out.send(numbered{seq, e}, werr)
		return n.Tallies, werr
	}
	s.out.done(numbered{seq, e})
	for i, k := range counters {
		s.take(e.Names[i], k)
		t := &n.Client
		if isLogin(e.Names[i]) {
			t = &n.Login
		}
		// This host may know of more: of failures that the store has not heard of.
		if s.out.length() == 0 || k.Count >= t.Count {
			*t = tallyOf(k, s.window(e.Names[i]).Limit)
		}
	}
	return n.Tallies, werr
}

func (s *Shared) remember(err error) error {
	if err != nil {
		return fmt.Errorf("remembering a failed login: %w", err)
	}
	return nil
}

// failureEvent names what the failure counts against.
func (s *Shared) failureEvent(prefix netip.Prefix, f rules.Failure, c Counting) event {
	w := toWire(f, s.host, s.o.Store.Now())
	e := event{
		Kind: tellFailure, Time: f.Time.UnixNano(), Told: w.Told.UnixNano(),
		Event: w.ID, Same: w.Same, Counted: w.Counted, Detail: w.Detail,
	}
	if prefix.IsValid() {
		e.Names = append(e.Names, prefix.String())
	}
	// A default domain may have made a password look like a login.
	if login, counts := counted(f, c.Login); counts && strings.Contains(f.Shown, "@") {
		e.Names = append(e.Names, login)
	}
	return e
}

// adds is a failure as the store is told it.
func (s *Shared) adds(e event) []valkey.Add {
	list := make([]valkey.Add, len(e.Names))
	for i, name := range e.Names {
		list[i] = valkey.Add{Name: name, Window: s.window(name), Failure: valkey.Failure{
			ID: e.Event, Time: e.at(), Told: time.Unix(0, e.Told), Counted: e.Counted, Same: e.Same, Detail: e.Detail,
		}}
	}
	return list
}

// tallyOf is the store's count as the rules read it.
func tallyOf(k valkey.Counter, limit int) rules.Tally {
	t := rules.Tally{Count: k.Count, Until: k.Until}
	if k.Count > limit {
		t.Block, t.Since = k.Block, k.Since
	}
	return t
}

// Failures implements Ledger. It asks the store, whose answer stays in memory.
func (s *Shared) Failures(prefix netip.Prefix, client netip.Addr, since time.Time) []rules.Failure {
	s.refresh(prefix.String())
	return s.Embedded.Failures(prefix, client, since)
}

// LoginFailures implements Ledger, as Failures.
func (s *Shared) LoginFailures(login string, since time.Time) []rules.Failure {
	if isLogin(login) {
		s.refresh(login)
	}
	return s.Embedded.LoginFailures(login, since)
}

func (s *Shared) refresh(name string) {
	w := s.window(name)
	if w.Limit == 0 || s.isFresh(name) {
		return
	}
	k, err := s.link.Look(name, w)
	s.odd("asking for failed logins", err)
	if err == nil {
		s.take(name, k)
	}
}

// FindFailures implements Ledger. It finds what this host's file has: its own
// failures, and others' of clients and logins that were above the limit.
func (s *Shared) FindFailures(ctx context.Context, q FailureQuery) ([]rules.Failure, error) {
	all := q
	all.Limit *= 2 // one that is kept for its client and for its login has two rows
	list, err := s.Embedded.FindFailures(ctx, all)
	seen := map[uint64]bool{}
	list = slices.DeleteFunc(list, func(f rules.Failure) bool {
		again := seen[f.ID]
		seen[f.ID] = true
		return again
	})
	return list[:min(len(list), q.Limit)], err
}

// isFresh tells whether the store has just spoken of the name.
func (s *Shared) isFresh(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c *counter
	if isLogin(name) {
		c = s.logins.find([]byte(name))
	} else if prefix, err := netip.ParsePrefix(name); err == nil {
		c = s.clients.find(keyOf(prefix))
	}
	return c != nil && time.Since(time.Unix(0, c.asked)).Abs() < fresh // the clock may have been set back
}
