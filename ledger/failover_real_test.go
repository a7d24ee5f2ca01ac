//go:build real

package ledger_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// The master dies with writes that its replica has not heard of. The hosts go on, find
// the new master, and tell it what it misses.
func TestSentinelFailover(t *testing.T) {
	g := valkeytest.StartSentinels(t)
	o := valkey.Options{Addresses: g.Addrs(), SentinelMaster: g.Name, Timeout: 200 * time.Millisecond}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	b.up(true)
	a.fail(2)
	b.until("it counts what happened on the other host", func() bool { return b.counts().Count == 2 })
	g.Replica.Freeze()
	a.fail(3)
	a.told()
	g.Master.Kill()
	g.Replica.Thaw()
	quick(t, o.Timeout, "the first failure without a master", func() { a.fail(1) })
	a.up(false)
	for range 3 {
		quick(t, 0, "a failure without a master", func() { b.fail(1) })
	}
	g.Replica.Until("it is the master", g.Replica.IsMaster)
	a.up(true)
	b.up(true)
	a.told()
	b.told()
	a.fail(2)
	for _, h := range []*mx{a, b} {
		if got := h.counts().Count; got != 11 {
			t.Errorf("%s: %d count, want 11", h.name, got)
		}
	}
	together(t, a, b)
}

// A Cluster that lost a server without a replica is no store for a third of the names,
// and so it is none. It is one again when the server is back.
func TestClusterLosesAServer(t *testing.T) {
	c := valkeytest.StartCluster(t, 3)
	o := valkey.Options{Addresses: c.Addrs(), Timeout: 200 * time.Millisecond}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	b.up(true)
	a.fail(3)
	c[1].Kill()
	a.up(false)
	b.up(false)
	a.fail(4)
	quick(t, 0, "four failures", func() { b.fail(4) })
	c[1].Launch()
	c[1].Ready()
	a.up(true)
	b.up(true)
	a.told()
	b.told()
	for _, h := range []*mx{a, b} {
		if got := h.counts().Count; got != 11 {
			t.Errorf("%s: %d count, want 11", h.name, got)
		}
	}
	together(t, a, b)
}

// What a host counts while the store is away outlasts its restart, and its crash; so
// do the blocks that it had heard of.
func TestRestartDuringTheOutage(t *testing.T) {
	for name, end := range map[string]func(*mx){
		"restart": func(h *mx) { h.close(); h.open() },
		"crash":   func(h *mx) { h.crash(); h.open() },
	} {
		t.Run(name, func(t *testing.T) {
			s, o := server(t, "--appendonly", "yes", "--appendfsync", "always")
			o.Timeout = 200 * time.Millisecond
			a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
			a.up(true)
			b.up(true)
			other, from := netip.MustParsePrefix("198.51.100.1/32"), netip.MustParseAddr("198.51.100.1")
			for range 11 {
				f := rules.Failure{Time: time.Now(), Client: from, Login: "eva@domena.cz", Shown: "eva@domena.cz", Counted: true}
				if _, err := b.AddFailure(context.Background(), other, f, ledgertest.Counting); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := b.BeginBlock(context.Background(), other, "theirs", time.Now(), ledgertest.Window); err != nil {
				t.Fatal(err)
			}
			knows := func() bool { return a.Tally(other, time.Now(), ledgertest.Window).Block == "theirs" }
			soon(t, a, "the other's block is known", knows)
			if err := a.write(); err != nil {
				t.Fatal(err)
			}

			s.Kill()
			a.fail(11)
			a.block("alone")
			e := a.refusal("throttled")
			if err := a.journal.Write(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			end(a)
			if !knows() {
				t.Error("the other host's block is forgotten")
			}
			if got := a.Tally(guessers, time.Now(), ledgertest.Window); got.Count != 11 || got.Block != "alone" {
				t.Errorf("after the restart: %+v", got)
			}
			s.Launch()
			s.Ready()
			a.up(true)
			b.up(true)
			a.told()
			soon(t, b, "the block is known", func() bool {
				got := b.Tally(guessers, time.Now(), ledgertest.Window)
				return got.Block == "alone" && got.Count == 11
			})
			if got, err := b.journal.Get(context.Background(), e.ID); err != nil || got.Host != "mx1" {
				t.Errorf("the entry of the outage: %+v, %v", got, err)
			}
		})
	}
}

// crash loses what a killed process loses: all but the file.
func (h *mx) crash() {
	h.t.Helper()
	h.Abandon()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// write waits for what nobody waits for.
func (h *mx) write() error {
	return h.db.Write(context.Background(), func(store.Tx) error { return nil })
}

// A host whose file knows blocks joins a store, or finds it emptied: all hosts know
// them then.
func TestAnEmptiedStore(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(11)
	a.block("first")
	if err := a.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	a.told()
	a.close()
	knows := func() bool { return b.Tally(guessers, time.Now(), ledgertest.Window).Block == "first" }
	soon(t, b, "the block is known", knows)
	if err := b.write(); err != nil {
		t.Fatal(err)
	}
	s.Do("FLUSHALL")
	b.close()
	b.open()
	soon(t, b, "it has what it knew", knows)
	c := newMX(t, "mx3", o)
	a.open()
	a.up(true)
	a.told()
	b.told()
	soon(t, c, "the block is known", func() bool { return c.Tally(guessers, time.Now(), ledgertest.Window).Block == "first" })
	if got := c.counts().Count; got != 11 {
		t.Errorf("%d count, want 11", got)
	}
	if got := c.Grants(guesser, time.Now(), ledgertest.Validity); len(got) != 1 {
		t.Errorf("grants: %+v", got)
	}
	// Emptied under its eyes.
	s.Do("FLUSHALL")
	b.until("it was told again", func() bool { return b.log.count("shared store has lost what it had") > 1 })
	b.told()
	if got := newMX(t, "mx4", o).counts().Count; got != 11 {
		t.Errorf("after it was emptied %d count, want 11", got)
	}
}
