//go:build real

package ledger_test

import (
	"context"
	"testing"
	"time"

	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// Hosts whose clocks differ by hours count as one, and so does what they bring from an
// outage.
func TestClocksDiffer(t *testing.T) {
	s, o := server(t, "--appendonly", "yes", "--appendfsync", "always")
	at := func(by time.Duration) valkey.Options {
		o := o
		o.Timeout = time.Second
		o.Now = func() time.Time { return time.Now().Add(by) }
		return o
	}
	slow, fast := newMX(t, "mx1", at(-3*time.Hour)), newMX(t, "mx2", at(5*time.Hour))
	slow.up(true)
	fast.up(true)
	slow.fail(3)
	fast.fail(3)
	s.Kill()
	slow.up(false)
	fast.up(false)
	slow.fail(3)
	fast.fail(1)
	s.Launch()
	s.Ready()
	slow.up(true)
	fast.up(true)
	slow.told()
	fast.told()
	if got := slow.fail(1); got.Count != 11 {
		t.Errorf("the eleventh failure is number %d", got.Count)
	}
	slow.block("first")
	soon(t, fast, "the block is known", func() bool { return fast.Tally(guessers, fast.store.Now(), ledgertest.Window).Block == "first" })
	for _, h := range []*mx{slow, fast} {
		now := h.store.Now()
		got := h.counts()
		if left := got.Until.Sub(now); left < 59*time.Minute || left > time.Hour {
			t.Errorf("%s: the block lasts %s more", h.name, left)
		}
		if age := now.Sub(got.Since); age < 0 || age > time.Minute {
			t.Errorf("%s: the block began %s ago", h.name, age)
		}
	}
	if err := slow.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: slow.store.Now()}); err != nil {
		t.Fatal(err)
	}
	slow.told()
	g := fast.Grants(guesser, fast.store.Now(), ledgertest.Validity)
	if len(g) != 1 || fast.store.Now().Sub(g[0].Last).Abs() > time.Minute {
		t.Errorf("the grant of a host that is eight hours behind: %+v", g)
	}
}

// The host's clock is set while it runs: blocks of other hosts end when they should.
func TestClockIsSet(t *testing.T) {
	_, o := server(t)
	a := newMX(t, "mx1", o)
	by := time.Duration(0)
	o.Now = func() time.Time { return time.Now().Add(by) }
	b := newMX(t, "mx2", o)
	a.fail(11)
	a.block("first")
	b.hears()
	for _, by = range []time.Duration{2 * time.Hour, -2 * time.Hour} {
		b.hears()
		now := b.store.Now()
		got := b.Tally(guessers, now, ledgertest.Window)
		if left := got.Until.Sub(now); got.Block != "first" || left < 59*time.Minute || left > time.Hour {
			t.Errorf("a clock set by %s: %+v, which is %s more", by, got, left)
		}
	}
}

// What a host that died had reserved is free again; what takes long is not.
func TestReservationsOfADeadHost(t *testing.T) {
	_, o := server(t)
	clock := newHand(newShelf(t, o.Addresses))
	o.Now, o.Clock = clock.Now, clock.Now
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	one := rules.Limits{Messages: 1}
	if a.Reserve(account, "long", one, clock.Now(), false).Full {
		t.Fatal("no place")
	}
	for range 10 { // half an hour's upload
		clock.set(clock.Now().Add(3 * time.Minute))
		a.hears()
		if !b.Look(account, one, clock.Now()).Full {
			t.Fatalf("%s after noon the place is free", clock.Now().Sub(ledgertest.Noon))
		}
	}
	a.crash()
	a.db = nil
	clock.set(clock.Now().Add(valkey.ReservedFor))
	if b.Reserve(account, "next", one, clock.Now(), false).Full {
		t.Error("the dead host's place is not free")
	}
}

// A block that others had begun, and that is over, does not lend its id to the next one
// when a host restarts.
func TestEndedBlockOfOthers(t *testing.T) {
	_, o := server(t)
	clock := newHand(newShelf(t, o.Addresses))
	o.Now, o.Clock = clock.Now, clock.Now
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(11)
	a.block("first")
	b.hears()
	if got := b.counts(); got.Block != "first" {
		t.Fatalf("the other host knows %+v", got)
	}
	clock.set(clock.Now().Add(2 * time.Hour))
	a.fail(11)
	b.hears()
	b.close()
	b.open()
	b.hears()
	if got := b.counts(); got.Count != 11 || got.Block != "" {
		t.Errorf("after a restart the next one is %+v", got)
	}
	a.block("second")
	soon(t, b, "it knows the next one", func() bool { return b.counts().Block == "second" })
}
