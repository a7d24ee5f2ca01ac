//go:build real

package ledger_test

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// played is what the suite talks to: what happens, happens on one host, and what is
// asked, is asked on the other. Both may be the same one. The clock is the hosts' and
// the store's, and is what the suite says.
type played struct {
	ledger.Ledger // nothing is left to it
	t             *testing.T
	clock         *hand
	tells, asks   *mx
}

func (p *played) at(now time.Time) {
	p.clock.set(now)
}

// ask lets the asked host hear what there is to hear.
func (p *played) ask() *mx {
	p.t.Helper()
	p.tells.told()
	p.asks.told()
	p.tells.hears()
	p.asks.hears()
	return p.asks
}

func (p *played) AddFailure(ctx context.Context, prefix netip.Prefix, f rules.Failure, c ledger.Counting) (ledger.Tallies, error) {
	p.clock.atLeast(f.Time)
	p.asks.CountBy(c) // hosts are configured alike
	return p.tells.AddFailure(ctx, prefix, f, c)
}

func (p *played) Tally(prefix netip.Prefix, now time.Time, w ledger.Window) rules.Tally {
	p.at(now)
	p.ask().Failures(prefix, netip.Addr{}, now) // a count below the limit is not told to all
	return p.asks.Tally(prefix, now, w)
}

func (p *played) Failures(prefix netip.Prefix, client netip.Addr, since time.Time) []rules.Failure {
	return p.ask().Failures(prefix, client, since)
}

func (p *played) FindFailures(ctx context.Context, q ledger.FailureQuery) ([]rules.Failure, error) {
	return p.tells.FindFailures(ctx, q) // each host's own
}

func (p *played) BeginBlock(ctx context.Context, prefix netip.Prefix, id string, now time.Time, w ledger.Window) (string, error) {
	p.at(now)
	return p.tells.BeginBlock(ctx, prefix, id, now, w)
}

func (p *played) Blocks(now time.Time, w ledger.Window) []ledger.Block {
	p.at(now)
	return p.ask().Blocks(now, w)
}

func (p *played) Blocked(now time.Time, w ledger.Window) int {
	p.at(now)
	return p.ask().Blocked(now, w)
}

func (p *played) Unblock(ctx context.Context, client netip.Addr, now time.Time, w ledger.Window) ([]ledger.Block, error) {
	asks := p.ask() // before the clock: lifting alone is meant to happen at that time
	p.at(now)
	return asks.Unblock(ctx, client, now, w)
}

func (p *played) LoginTally(login string, now time.Time, w ledger.Window) rules.Tally {
	p.at(now)
	p.ask().LoginFailures(login, now)
	return p.asks.LoginTally(login, now, w)
}

func (p *played) LoginFailures(login string, since time.Time) []rules.Failure {
	return p.ask().LoginFailures(login, since)
}

func (p *played) BeginGuessed(ctx context.Context, login, id string, now time.Time, w ledger.Window) (string, error) {
	p.at(now)
	return p.tells.BeginGuessed(ctx, login, id, now, w)
}

func (p *played) Guessed(now time.Time, w ledger.Window) []ledger.Guessed {
	p.at(now)
	return p.ask().Guessed(now, w)
}

func (p *played) AddLogin(ctx context.Context, login string, client netip.Prefix, now time.Time) error {
	p.at(now)
	return p.tells.AddLogin(ctx, login, client, now)
}

func (p *played) HasLoggedIn(login string, client netip.Prefix, now time.Time) bool {
	p.at(now)
	return p.ask().HasLoggedIn(login, client, now)
}

func (p *played) AddGrant(ctx context.Context, client netip.Addr, g rules.Grant) error {
	p.clock.atLeast(g.Last)
	return p.tells.AddGrant(ctx, client, g)
}

func (p *played) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	p.at(now)
	return p.ask().Grants(client, now, validity)
}

func (p *played) Look(login string, l rules.Limits, now time.Time) rules.Room {
	p.at(now)
	return p.ask().Look(login, l, now)
}

// of is the host that a message is sent on: every second of the numbered ones on the
// one that is asked.
func (p *played) of(transaction string) *mx {
	if n, err := strconv.Atoi(transaction); err == nil && n%2 == 1 {
		return p.asks
	}
	return p.tells
}

func (p *played) Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	p.at(now)
	return p.of(transaction).Reserve(login, transaction, l, now, always)
}

func (p *played) Finish(ctx context.Context, transaction string, accepted bool, now time.Time) error {
	p.at(now)
	err := p.of(transaction).Finish(ctx, transaction, accepted, now)
	p.of(transaction).told()
	return err
}

func (p *played) Charge(ctx context.Context, c ledger.Charge, l rules.Limits, now time.Time) (rules.Room, error) {
	p.at(now)
	return p.tells.Charge(ctx, c, l, now)
}

func (p *played) Usage(login string, now time.Time) ledger.Usage {
	p.at(now)
	return p.ask().Usage(login, now)
}

func (p *played) Reset(ctx context.Context, login string) error { return p.asks.Reset(ctx, login) }

func (p *played) Prune(ctx context.Context, now time.Time, c ledger.Counting, validity time.Duration) error {
	p.at(now)
	p.clock.expire()
	if err := p.tells.Prune(ctx, now, c, validity); err != nil || p.tells == p.asks {
		return err
	}
	return p.asks.Prune(ctx, now, c, validity)
}

func (p *played) Healthy() error { return p.tells.Healthy() }

// reopen restarts the hosts. A new one has an empty file: all that it knows, it has
// from the store.
func (p *played) reopen(after time.Duration, fresh bool) {
	p.t.Helper()
	p.at(ledgertest.Noon.Add(after))
	p.clock.expire()
	p.tells.close()
	p.tells.open()
	switch {
	case p.asks == p.tells:
	case fresh:
		o := p.asks.store
		p.asks.close()
		p.asks = newMX(p.t, "mx3", o)
	default:
		p.asks.close()
		p.asks.open()
	}
}

// apart are the suite's tests of what hosts do not share.
var apart = []string{
	"login of a default domain", // it may be a password, so no other host is told of it
}

// serverClock are the suite's tests of a host that finds its own times in the future
// when it starts. The store's it finds when it asks.
var serverClock = []string{"logins seen, clock"}

// The suite of the embedded ledger, with one host, with two, and with a second host
// that begins with an empty file after each restart.
func TestShared(t *testing.T) {
	_, o := server(t)
	for _, hosts := range []string{"one host", "two hosts", "a new host"} {
		t.Run(hosts, func(t *testing.T) { suite(t, o, hosts) })
	}
}

// One client's keys share a slot, so a Cluster does the same.
func TestSharedCluster(t *testing.T) {
	suite(t, valkey.Options{Addresses: valkeytest.StartCluster(t, 3).Addrs()}, "two hosts")
}

func suite(t *testing.T, o valkey.Options, hosts string) {
	without := serverClock
	if hosts != "one host" {
		without = slices.Concat(without, apart)
	}
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		flushAll(t, o.Addresses)
		return play(t, o, hosts)
	}, without...)
}

func play(t *testing.T, o valkey.Options, hosts string) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
	t.Helper()
	p := &played{t: t, clock: newHand(newShelf(t, o.Addresses))}
	o.Now, o.Clock = p.clock.Now, p.clock.Now
	p.tells = newMX(t, "mx1", o)
	p.asks = p.tells
	if hosts != "one host" {
		p.asks = newMX(t, "mx2", o)
	}
	return p, func(after time.Duration) ledger.Ledger {
		p.reopen(after, hosts == "a new host")
		return p
	}
}
