//go:build real

package ledger_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// A block is lifted on one host while another one, whose disk is slow, still writes down
// the failure that led to it. It stays lifted on both.
func TestLiftedWhileAFailureIsWritten(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(10)
	begun, slow := make(chan bool), make(chan bool)
	go a.db.Write(context.Background(), func(store.Tx) error { //nolint:errcheck // it writes nothing
		close(begun)
		<-slow
		return nil
	})
	<-begun
	failed := make(chan bool)
	go func() {
		a.fail(1)
		close(failed)
	}()
	b.until("the store has the eleventh failure", func() bool { return b.counts().Count == 11 })
	if _, err := b.Unblock(context.Background(), guesser, time.Now(), ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	soon(t, a, "the block is lifted", func() bool { return a.Tally(guessers, time.Now(), ledgertest.Window).Count == 0 })
	close(slow)
	<-failed
	if got := a.Tally(guessers, time.Now(), ledgertest.Window); got.Count != 0 {
		t.Errorf("the lifted block is back: %+v", got)
	}
	if got := a.counts(); got.Count != 0 {
		t.Errorf("the store counts %+v", got)
	}
}

// What was told of late is told again after the server was restarted: a block that was
// lifted before the present one began, and a quota that was begun afresh. Neither undoes
// what has happened since.
func TestToldAgain(t *testing.T) {
	s, o := server(t, "--appendonly", "yes", "--appendfsync", "always")
	o.Timeout = time.Second
	a, p := behind(t, "mx1", o, s.Addr)
	b := newMX(t, "mx2", o)
	ctx := context.Background()
	for n := range 60 { // what is told first, so that the rest comes late
		if err := a.AddGrant(ctx, one(n).Addr(), rules.Grant{Login: account, Last: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	a.told()
	a.fail(11)
	a.block("first")
	if _, err := a.Unblock(ctx, guesser, time.Now(), ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	a.send("m1")
	a.told()
	if err := a.Reset(ctx, account); err != nil {
		t.Fatal(err)
	}
	a.told()
	a.fail(11)
	if got := a.block("second"); got != "second" {
		t.Fatalf("the later block is %q", got)
	}
	b.send("m2")
	b.told()
	events := a.Events()
	s.Kill()
	a.up(false)
	p.Delay(200 * time.Millisecond)
	s.Launch()
	s.Ready()
	a.until("it is told again", func() bool { return a.Events()-events >= 84 })
	b.up(true)
	a.told()
	b.told()
	p.Fail(0, 0)
	a.up(true)
	if got := newMX(t, "mx3", o).counts(); got.Count != 11 || got.Block != "second" {
		t.Errorf("the store has %+v", got)
	}
	if got := b.Usage(account, time.Now()); got.Messages != 1 {
		t.Errorf("used since the quota began afresh: %+v", got)
	}

	// A server that only was slow has all that it has acknowledged.
	events = a.Events()
	s.Freeze()
	a.up(false)
	s.Thaw()
	a.up(true)
	a.hears()
	if n := a.Events() - events; n > 0 {
		t.Errorf("%d events were told again to the same server", n)
	}
}

// A store that was emptied is told again what was sent within the hour, and what is under
// way; not what a reset has given back.
func TestQuotaOfAnEmptiedStore(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	ctx := context.Background()
	again := func(login string) ledger.Charge {
		return ledger.Charge{Login: login, Instance: "1a.2b." + login, Recipients: 1}
	}
	const given = "eva@domena.cz"
	if _, err := a.Charge(ctx, again(given), limits, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := b.Reset(ctx, given); err != nil {
		t.Fatal(err)
	}
	b.told()
	a.until("the reset is heard", func() bool { return a.Embedded.Usage(given, time.Now()).Messages == 0 })
	if a.send("m1") || b.send("m1") {
		t.Fatal("no place")
	}
	if _, err := b.Charge(ctx, again(account), limits, time.Now()); err != nil {
		t.Fatal(err)
	}
	a.Reserve(account, "open", rules.Limits{}, time.Now(), true)
	a.told()
	b.told()
	a.Forget()
	b.Forget()
	s.Do("FLUSHALL")
	want := ledger.Usage{Messages: 3, Recipients: 3, ReservedMessages: 1, ReservedRecipients: 1}
	for _, h := range []*mx{a, b} {
		h.until("the store has all again", func() bool { return h.Usage(account, time.Now()) == want })
	}
	if _, err := b.Charge(ctx, again(account), limits, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*mx{a, b} {
		h.told()
		if got := h.Usage(account, time.Now()); got != want {
			t.Errorf("%s: %+v, want %+v", h.name, got, want)
		}
		if got := h.Usage(given, time.Now()); got != (ledger.Usage{}) {
			t.Errorf("%s: what was given back is used: %+v", h.name, got)
		}
	}
}

// Prefix lengths and limits are changed by a reload, on one host after the other.
func TestReload(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	ctx := context.Background()
	a.fail(5)
	b.fail(6)
	a.block("narrow")
	soon(t, b, "the block is known", func() bool { return b.Tally(guessers, time.Now(), ledgertest.Window).Block == "narrow" })

	// ipv4_prefix = 24: what was counted by addresses is no count of the network, and ends
	// by itself; unblock finds it.
	wide := netip.MustParsePrefix("192.0.2.0/24")
	for n, h := range []*mx{a, b, a, b} {
		f := rules.Failure{Time: time.Now(), Client: guesser, Login: account, Shown: account, Counted: true}
		got, err := h.AddFailure(ctx, wide, f, ledgertest.Counting)
		if err != nil || got.Client.Count != n+1 {
			t.Fatalf("failure %d of the network: %+v, %v", n+1, got, err)
		}
	}
	// limit = 3 on one host: it blocks, and the other one does not, until it has the same.
	lower := ledgertest.Counting
	lower.Client.Limit = 3
	b.CountBy(lower)
	b.LoginFailures(account, time.Now())
	id, err := b.BeginBlock(ctx, wide, "wide", time.Now(), lower.Client)
	if err != nil || id != "wide" {
		t.Fatalf("%q, %v", id, err)
	}
	if got := a.Tally(wide, time.Now(), ledgertest.Window); got.Block != "" || got.Count != 3 {
		t.Errorf("the other limit: %+v", got)
	}
	a.CountBy(lower)
	a.Failures(wide, netip.Addr{}, time.Now())
	if got := a.Tally(wide, time.Now(), lower.Client); got.Block != "wide" || got.Count != 4 {
		t.Errorf("with the same limit: %+v", got)
	}
	lifted, err := a.Unblock(ctx, guesser, time.Now(), lower.Client)
	if err != nil || len(lifted) != 2 {
		t.Errorf("lifted: %+v, %v", lifted, err)
	}
	for _, p := range []netip.Prefix{guessers, wide} {
		soon(t, b, p.String()+" is free", func() bool { return b.Tally(p, time.Now(), lower.Client).Count == 0 })
	}
}
