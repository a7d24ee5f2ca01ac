//go:build real

package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// one is the n-th of many clients.
func one(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)}), 32)
}

// blocks blocks many clients.
func (h *mx) blocks(n int) {
	h.t.Helper()
	for i := range n {
		now := time.Now()
		for range ledgertest.Window.Limit + 1 {
			f := rules.Failure{Time: now, Client: one(i).Addr(), Counted: true}
			if _, err := h.AddFailure(context.Background(), one(i), f, ledgertest.Counting); err != nil {
				h.t.Fatal(err)
			}
		}
		if _, err := h.BeginBlock(context.Background(), one(i), fmt.Sprint("block ", i), now, ledgertest.Window); err != nil {
			h.t.Fatal(err)
		}
	}
}

// blocked is how many of them are blocked on the host.
func (h *mx) blocked(n int) (blocked int) {
	for i := range n {
		if h.Tally(one(i), time.Now(), ledgertest.Window).Block == fmt.Sprint("block ", i) {
			blocked++
		}
	}
	return blocked
}

// behind starts a host behind a proxy.
func behind(t *testing.T, name string, o valkey.Options, to string) (*mx, *valkeytest.Proxy) {
	t.Helper()
	p := valkeytest.StartProxy(t, to)
	o.Addresses = []string{p.Addr}
	h := newMX(t, name, o)
	h.up(true)
	return h, p
}

// The connection ends in the middle of what has changed: nothing of it is missed.
func TestChangesAreTorn(t *testing.T) {
	const many = 40
	s, o := server(t)
	a, p := behind(t, "mx1", o, s.Addr)
	b := newMX(t, "mx2", o)
	b.up(true)
	for bucket := range 64 { // of each, something was heard before
		s.Do("XADD", fmt.Sprintf("pr1:{%02x}:feed", bucket), "*", "f", "198.51.100.9/32")
	}
	b.blocks(1)
	soon(t, a, "it hears", func() bool { return a.blocked(1) == 1 })
	hear := a.Deaf()
	b.blocks(many)
	p.FailLong(1500, valkeytest.Tear)
	hear()
	a.until("the store has failed", func() bool { return a.Away() != nil })
	p.Fail(0, 0)
	a.up(true)
	soon(t, a, "it has heard all", func() bool { return a.blocked(many) == many })
}

// The store is emptied, and the connection ends while the host asks for its blocks: the
// store is told all the same what the host knows.
func TestEmptiedAndTorn(t *testing.T) {
	const many = 40
	s, o := server(t)
	a, p := behind(t, "mx1", o, s.Addr)
	a.blocks(many)
	a.fail(5)
	a.told()
	hear := a.Deaf()
	s.Do("FLUSHALL")
	a.Forget()
	p.FailLong(1500, valkeytest.Tear)
	hear()
	a.until("the store has failed", func() bool { return a.Away() != nil })
	p.Fail(0, 0)
	a.up(true)
	// Once, or, as the store has other marks at the second try, once more: it counts once.
	a.until("it has told what it knows", func() bool { return a.log.count("shared store has lost what it had") > 0 })
	a.told()
	b := newMX(t, "mx2", o)
	soon(t, b, "it knows the blocks", func() bool { return b.blocked(many) == many })
	if got := b.counts().Count; got != 5 {
		t.Errorf("%d count, want 5", got)
	}
}

// A server that comes back with its data of some time ago is told what it misses.
func TestOlderData(t *testing.T) {
	s, o := server(t)
	b := newMX(t, "mx2", o)
	b.up(true)
	s.Do("SAVE")
	a := newMX(t, "mx1", o)
	a.up(true)
	a.fail(8)
	a.told()
	a.Forget()
	s.Restart()
	a.until("it has told what it knows", func() bool { return a.log.count("shared store has lost what it had") == 1 })
	a.told()
	if got := newMX(t, "mx3", o).counts().Count; got != 8 {
		t.Errorf("%d count, want 8", got)
	}
}

// More has changed than the feed goes back, while the host was away for a moment. It
// misses no block, and does not take the store for another one.
func TestFeedIsCut(t *testing.T) {
	for name, heard := range map[string]bool{"begun before": true, "not begun": false} {
		t.Run(name, func(t *testing.T) {
			s, o := server(t)
			a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
			a.up(true)
			b.up(true)
			feed := func() string {
				b.fail(1)
				name := s.Strings("KEYS", "pr1:*:f:"+guessers.String())[0]
				return name[:len("pr1:{00}:")] + "feed"
			}()
			if heard {
				b.fail(10)
				soon(t, a, "the client is blocked", func() bool { return a.Tally(guessers, time.Now(), ledgertest.Window).Count == 11 })
				if _, err := b.Unblock(context.Background(), guesser, time.Now(), ledgertest.Window); err != nil {
					t.Fatal(err)
				}
				soon(t, a, "the block is lifted", func() bool { return a.Tally(guessers, time.Now(), ledgertest.Window).Count == 0 })
			}
			hear := a.Deaf()
			b.fail(11)
			b.block("missed")
			s.Do("EVAL", "for i = 1, 3000 do redis.call('XADD', KEYS[1], 'MAXLEN', '~', 1000, '*', 'f', '198.51.100.9/32') end", "1", feed)
			hear()
			soon(t, a, "the block is known", func() bool { return a.Tally(guessers, time.Now(), ledgertest.Window).Block == "missed" })
			if n := a.log.count("shared store has lost what it had"); n > 0 {
				t.Error("the store was taken for another one")
			}
		})
	}
}

// A store that is too far away for decisions to wait for is used in the background.
func TestSlowStore(t *testing.T) {
	s, o := server(t)
	o.Timeout = 400 * time.Millisecond
	a, p := behind(t, "mx1", o, s.Addr)
	b := newMX(t, "mx2", o)
	b.up(true)
	p.Delay(150 * time.Millisecond)
	quick(t, o.Timeout, "the first failure", func() { a.fail(1) })
	a.until("it says why", func() bool {
		return a.Away() != nil && a.log.count("raise store.valkey.timeout") == 1
	})
	quick(t, 0, "ten failures", func() { a.fail(10) })
	b.until("it knows what the slow one counts", func() bool { return b.Tally(guessers, time.Now(), ledgertest.Window).Count == 11 })
	b.block("first")
	a.until("it knows the block", func() bool { return a.Tally(guessers, time.Now(), ledgertest.Window).Block == "first" })
	p.Fail(0, 0)
	a.up(true)
	if n := a.log.count("shared store is back"); n != 1 {
		t.Errorf("the log says %d times that it is back", n)
	}
}

// Two hosts have one name, as two that were copied from one image.
func TestSameName(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx1", o)
	a.until("one of them says so", func() bool { return a.log.count("has this one's name")+b.log.count("has this one's name") > 0 })
	a.fail(5)
	if got := b.fail(6); got.Count != 11 {
		t.Errorf("together they count %d, want 11", got.Count)
	}
}
