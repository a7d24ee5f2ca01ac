package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"portreeve/rules"
)

// AddGrant implements Ledger.
func (s *Shared) AddGrant(ctx context.Context, client netip.Addr, g rules.Grant) error {
	s.addGrant(client, g)
	e := event{Kind: tellGrant, Client: client.String(), Login: g.Login, Time: g.Last.UnixNano()}
	if err := s.later(ctx, e, writeGrant(client, g)); err != nil {
		return fmt.Errorf("remembering a POP login: %w", err)
	}
	return nil
}

// Grants implements Ledger. An address that was asked about before costs no question,
// until the store tells of a change (client-side caching).
func (s *Shared) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	list, err := s.link.Grants(client.String())
	s.odd("asking for POP logins", err)
	for _, seen := range list {
		s.addGrant(client, rules.Grant{Login: seen.Name, Last: seen.Last})
	}
	return s.Embedded.Grants(client, now, validity)
}

// AddLogin implements Ledger.
func (s *Shared) AddLogin(ctx context.Context, login string, client netip.Prefix, now time.Time) error {
	v := visit{login, client}
	if !s.addLogin(v, now) {
		return nil
	}
	e := event{Kind: tellVisit, Login: login, Client: client.String(), Time: now.UnixNano()}
	if err := s.later(ctx, e, v.write(now)); err != nil {
		return fmt.Errorf("remembering a login: %w", err)
	}
	return nil
}

// HasLoggedIn implements Ledger. Only a login that is being guessed is asked about.
func (s *Shared) HasLoggedIn(login string, client netip.Prefix, now time.Time) bool {
	if s.Embedded.HasLoggedIn(login, client, now) {
		return true
	}
	last, err := s.link.Visit(login, client.String())
	s.odd("asking where a login has come from", err)
	if err != nil || last.IsZero() {
		return false
	}
	s.mu.Lock()
	s.seen.Add(visit{login, client}, last) // for when the store is away
	s.mu.Unlock()
	return now.Sub(last) < rules.KnownFor
}
