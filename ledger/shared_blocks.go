package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// BeginBlock implements Ledger. Of hosts that begin a block at the same time the first
// one's id is in force on all.
func (s *Shared) BeginBlock(ctx context.Context, prefix netip.Prefix, id string, now time.Time, w Window) (string, error) {
	if k := s.begin(prefix.String(), id, now, w); k.Block != "" {
		return k.Block, s.putBlock(ctx, insertBlock, prefix.String(), k)
	}
	inForce, err := s.Embedded.BeginBlock(ctx, prefix, id, now, w)
	if inForce == id && s.Tally(prefix, now, w).Block == id {
		err = errors.Join(err, s.tellBlock(ctx, prefix.String(), id, now))
	}
	return inForce, err
}

// BeginGuessed implements Ledger.
func (s *Shared) BeginGuessed(ctx context.Context, login, id string, now time.Time, w Window) (string, error) {
	secret := s.isSecret(login)
	if !secret {
		if k := s.begin(login, id, now, w); k.Block != "" {
			return k.Block, s.putBlock(ctx, insertGuessed, login, k)
		}
	}
	inForce, err := s.Embedded.BeginGuessed(ctx, login, id, now, w)
	if inForce == id && !secret && s.LoginTally(login, now, w).Block == id {
		err = errors.Join(err, s.tellBlock(ctx, login, id, now))
	}
	return inForce, err
}

// begin asks the store for the id in force. There is none where the store is away, or
// knows of no block: it has not heard of the failures yet.
func (s *Shared) begin(name, id string, since time.Time, w Window) valkey.Counter {
	k, err := s.link.Begin(name, id, since, s.wire(w))
	s.odd("beginning a block", err)
	if err != nil || k.Block == "" {
		return valkey.Counter{}
	}
	s.take(name, k)
	return k
}

// putBlock writes a block before anybody is told of it, as the embedded ledger does.
func (s *Shared) putBlock(ctx context.Context, insert, name string, k valkey.Counter) error {
	err := s.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(insert, name, k.Block, k.Since.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("remembering a block: %w", err)
	}
	return nil
}

func (s *Shared) tellBlock(ctx context.Context, name, id string, since time.Time) error {
	err := s.later(ctx, event{Kind: tellBlock, Names: []string{name}, ID: id, Time: since.UnixNano()})
	if err != nil {
		return fmt.Errorf("keeping a block for the other hosts: %w", err)
	}
	return nil
}

// isSecret tells whether the login may be a password that a default domain has made
// look like one. It is told to nobody.
func (s *Shared) isSecret(login string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.logins.find([]byte(login))
	return c != nil && !slices.ContainsFunc(c.failures, func(f rules.Failure) bool { return strings.Contains(f.Shown, "@") })
}

// Unblock implements Ledger. While the store is away, the block is lifted here, and on
// the other hosts when it is back: that is an error, because it is not what was asked.
func (s *Shared) Unblock(ctx context.Context, client netip.Addr, now time.Time, w Window) ([]Block, error) {
	c := s.clear(client, now, w)
	names := namesOf(client)
	seq := s.out.number()
	e := event{Kind: tellClear, Client: client.String(), Time: now.UnixNano()}
	err := s.write(ctx, seq, e, c.write)
	before, told := s.link.Clear(names, now, s.wire(w))
	if told != nil {
		s.out.send(numbered{seq, e}, err)
	}
	if err != nil {
		err = fmt.Errorf("lifting a block: %w: it is lifted until the daemon restarts", err)
	}
	if told != nil {
		return c.lifted, errors.Join(err, fmt.Errorf("the block is lifted on this host, and on the others once the shared store is back: %w: see `portreeve status`", told))
	}
	s.out.done(numbered{seq, e})
	for i, k := range before {
		known := func(b Block) bool { return b.Prefix.String() == names[i] }
		if k.Count > w.Limit && !slices.ContainsFunc(c.lifted, known) {
			c.lifted = append(c.lifted, s.asBlock(names[i], k))
		}
	}
	return c.lifted, err
}

// namesOf are the names that the address's failures may have been counted under.
func namesOf(client netip.Addr) []string {
	var names []string
	for bits := client.BitLen(); bits > 0; bits-- {
		if p, err := client.Prefix(bits); err == nil {
			names = append(names, p.String())
		}
	}
	return names
}

// asBlock is a block that only the store knew of.
func (s *Shared) asBlock(name string, k valkey.Counter) Block {
	b := Block{ID: k.Block, Since: k.Since, Until: k.Until, Count: k.Count}
	if p, err := netip.ParsePrefix(name); err == nil {
		b.Prefix = p
	}
	for _, w := range k.Failures {
		if f, err := fromWire(w); err == nil && f.Counted {
			b.Failures = append(b.Failures, f)
		}
	}
	return b
}
