//go:build real

package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

var (
	guesser  = netip.MustParseAddr("192.0.2.7")
	guessers = netip.MustParsePrefix("192.0.2.7/32")
	limits   = rules.Limits{Messages: 3}
)

const account = "jan@domena.cz"

// fail is one failed login now.
func (h *mx) fail(n int) (t rules.Tally) {
	h.t.Helper()
	for range n {
		f := rules.Failure{
			Time: h.store.Now(), Client: guesser, Login: account, Shown: account, Protocol: "smtp", Password: "02a1", Counted: true,
		}
		tallies, err := h.AddFailure(context.Background(), guessers, f, ledgertest.Counting)
		if err != nil {
			h.t.Fatal(err)
		}
		t = tallies.Client
	}
	return t
}

// counts is what the host says of the client, after it has asked.
func (h *mx) counts() rules.Tally {
	h.Failures(guessers, netip.Addr{}, h.store.Now())
	return h.Tally(guessers, h.store.Now(), ledgertest.Window)
}

func (h *mx) block(id string) string {
	h.t.Helper()
	inForce, err := h.BeginBlock(context.Background(), guessers, id, h.store.Now(), ledgertest.Window)
	if err != nil {
		h.t.Fatal(err)
	}
	return inForce
}

func (h *mx) send(message string) (full bool) {
	h.t.Helper()
	if h.Reserve(account, message, limits, h.store.Now(), false).Full {
		return true
	}
	if err := h.Finish(context.Background(), message, true, h.store.Now()); err != nil {
		h.t.Fatal(err)
	}
	return false
}

// slack is what a call may take for itself: it writes to the file, on a machine that
// has other work.
const slack = 150 * time.Millisecond

// busyness measures by how much this machine's other work makes a write to the file, and
// a timer, late; a test does not take that for the store's.
func busyness(h *mx) (stop func() time.Duration) {
	end, worst := make(chan bool), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-end:
				worst <- most
				return
			case <-time.After(time.Millisecond):
			}
			began := time.Now()
			<-time.After(50 * time.Millisecond)
			if err := h.write(); err != nil {
				h.t.Error(err)
			}
			most = max(most, time.Since(began)-50*time.Millisecond)
		}
	}()
	return func() time.Duration {
		close(end)
		return <-worst
	}
}

// quick checks how long something takes.
func quick(t *testing.T, most time.Duration, what string, do func()) {
	t.Helper()
	began := time.Now()
	do()
	if took := time.Since(began); took > most+slack {
		t.Errorf("%s took %s, more than %s", what, took, most)
	}
}

// outage is a way to lose a store, and to get it back.
type outage struct {
	options    []string // of the server
	lose, heal func(t *testing.T, s *valkeytest.Server, p *valkeytest.Proxy)
	says       string // part of the error
	one        bool   // only the first host loses it
}

func outages() map[string]outage {
	config := func(s *valkeytest.Server, kv ...string) { s.Do(append([]string{"CONFIG", "SET"}, kv...)...) }
	saved := []string{"--appendonly", "yes", "--appendfsync", "always"}
	return map[string]outage{
		"killed": {
			options: saved, says: "refused",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Kill() },
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Launch(); s.Ready() },
		},
		"killed, and empty when it comes back": {
			says: "refused",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Kill() },
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Launch(); s.Ready() },
		},
		"frozen": {
			says: "no answer within",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Freeze() },
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Thaw() },
		},
		"network lost": {
			one: true, says: "no answer within",
			lose: func(_ *testing.T, _ *valkeytest.Server, p *valkeytest.Proxy) { p.Lose() },
			heal: func(_ *testing.T, _ *valkeytest.Server, p *valkeytest.Proxy) { p.Heal() },
		},
		"answers lost": {
			one: true, says: "no answer within",
			lose: func(_ *testing.T, _ *valkeytest.Server, p *valkeytest.Proxy) { p.LoseAnswers() },
			heal: func(_ *testing.T, _ *valkeytest.Server, p *valkeytest.Proxy) { p.Heal() },
		},
		"read-only replica": {
			says: "READONLY",
			lose: func(t *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) {
				s.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(valkeytest.FreePort(t)))
			},
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { s.Do("REPLICAOF", "NO", "ONE") },
		},
		"memory full": {
			says: "OOM",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { config(s, "maxmemory", "1mb") },
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) { config(s, "maxmemory", "0") },
		},
		"another password": {
			options: []string{"--requirepass", "first"}, says: "WRONGPASS",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) {
				config(s, "requirepass", "second")
				s.Password = "second"
				s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			},
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) {
				config(s, "requirepass", "first")
				s.Password = "first"
			},
		},
		"loading its data": {
			options: append([]string{"--enable-debug-command", "yes"}, saved...), says: "LOADING",
			lose: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) {
				s.Do("DEBUG", "POPULATE", "20000")
				s.Do("BGREWRITEAOF")
				s.Until("the data is written", func() bool { return s.Info("aof_rewrite_in_progress") == "0" })
				s.Kill()
				s.With("--key-load-delay", "200", "--loading-process-events-interval-bytes", "1024")
				s.Launch()
			},
			heal: func(_ *testing.T, s *valkeytest.Server, _ *valkeytest.Proxy) {
				s.Until("it has read its data", func() bool { _, err := s.Try("GET", "none"); return err == nil || strings.Contains(err.Error(), "nil") })
			},
		},
	}
}

// While the store is away, each host goes on by itself, at once; when it is back, all
// that they have counted is merged: not lost, and not doubled.
func TestAway(t *testing.T) {
	for name, o := range outages() {
		t.Run(name, func(t *testing.T) { away(t, o) })
	}
}

func away(t *testing.T, o outage) {
	s, options := server(t, o.options...)
	options.Timeout, options.Password = 200*time.Millisecond, s.Password
	proxy := valkeytest.StartProxy(t, s.Addr)
	behind := options
	behind.Addresses = []string{proxy.Addr}
	a, b := newMX(t, "mx1", behind), newMX(t, "mx2", options)
	a.up(true)
	b.up(true)
	a.fail(3)
	if got := b.counts(); got.Count != 3 {
		t.Fatalf("before: the other host counts %d of 3", got.Count)
	}
	if a.send("m1") || b.send("m2") {
		t.Fatal("before: no place")
	}
	a.told()
	b.told()

	o.lose(t, s, proxy)
	alone := []*mx{a, b}
	if o.one {
		alone = alone[:1]
	}
	for _, h := range alone {
		decides(t, h, options.Timeout)
		h.up(false)
	}
	last := alone[len(alone)-1] // what the first sees of a dead server is the proxy's
	says := map[string]bool{}
	last.until("it says "+o.says, func() bool {
		if err := last.Away(); err != nil {
			says[err.Error()] = true
			return strings.Contains(err.Error(), o.says)
		}
		t.Fatalf("it is back, and has said %v", says)
		return false
	})
	if text := last.Away().Error(); strings.Contains(text, "first") {
		t.Errorf("the password is shown: %s", text)
	}
	for _, h := range alone {
		for range 3 {
			decides(t, h, 0)
		}
	}
	// Three before and four times one; the other host had heard of the three.
	if got := a.counts().Count; got != 7 {
		t.Errorf("alone: %d count, want 7", got)
	}
	if !o.one {
		if got := b.counts().Count; got != 7 {
			t.Errorf("alone: %d count on the other host, want 7", got)
		}
	} else {
		b.fail(4)
	}
	if got := a.log.count("shared store is away"); got != 1 {
		t.Errorf("the log says %d times that the store is away", got)
	}

	o.heal(t, s, proxy)
	for _, h := range []*mx{a, b} {
		h.up(true)
		h.told()
	}
	for _, h := range []*mx{a, b} {
		if got := h.counts(); got.Count != 11 || got.Until.IsZero() {
			t.Errorf("%s: after the outage %d count, want 11", h.name, got.Count)
		}
	}
	if got := a.log.count("shared store is back"); got != 1 {
		t.Errorf("the log says %d times that the store is back", got)
	}
	together(t, a, b)
}

// decides does what a decision may ask for, one after the other.
func decides(t *testing.T, h *mx, most time.Duration) {
	t.Helper()
	now := h.store.Now()
	quick(t, most, h.name+"'s decision", func() {
		h.Tally(guessers, now, ledgertest.Window)
		h.Grants(guesser, now, ledgertest.Validity)
		h.HasLoggedIn(account, guessers, now)
		h.Failures(guessers, guesser, now.Add(-time.Minute))
		h.fail(1)
	})
	quick(t, most, h.name+"'s RCPT", func() {
		h.Reserve(account, "away", rules.Limits{Messages: 100}, now, false)
	})
}

// together checks that the hosts share a block, its end, and an account's last place.
func together(t *testing.T, a, b *mx) {
	t.Helper()
	if got := a.block("first"); got != "first" {
		t.Errorf("begun as %q", got)
	}
	if got := b.block("second"); got != "first" {
		t.Errorf("the other host's block is %q", got)
	}
	soon(t, b, "the block is known", func() bool { return b.Tally(guessers, b.store.Now(), ledgertest.Window).Block == "first" })
	lifted, err := b.Unblock(context.Background(), guesser, b.store.Now(), ledgertest.Window)
	if err != nil || len(lifted) != 1 {
		t.Errorf("lifted %v: %v", lifted, err)
	}
	soon(t, a, "the block is lifted", func() bool { return a.Tally(guessers, a.store.Now(), ledgertest.Window).Count == 0 })
	for _, h := range []*mx{a, b} {
		if err := h.Finish(context.Background(), "away", false, h.store.Now()); err != nil {
			t.Error(err)
		}
		h.told()
	}
	if u := a.Usage(account, a.store.Now()); u != (ledger.Usage{Messages: u.Messages, Recipients: u.Messages}) {
		t.Errorf("places are left over: %+v", u)
	}
}

// soon is within a second: what SPEC.md promises of a block and of its end.
func soon(t *testing.T, h *mx, what string, is func() bool) {
	t.Helper()
	began := time.Now()
	h.until(what, is)
	if took := time.Since(began); took > time.Second {
		t.Errorf("%s: %s only after %s", h.name, what, took)
	}
}
