//go:build real

package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// work is what many clients do on two hosts, and what came of it.
type work struct {
	t       *testing.T
	hosts   []*mx
	mu      sync.Mutex
	failed  map[netip.Addr]int
	sent    map[string]int // messages by account
	entries []string
	worst   time.Duration
}

// measure is what a decision's questions to the store take, without the file's.
func (w *work) measure(do func()) {
	began := time.Now()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.worst = max(w.worst, time.Since(began))
}

// round is one client's failed login, one message by the milter, one by the policy
// service, which Postfix asks twice, and one refusal.
func (w *work) round(h *mx, host, n int) {
	ctx := context.Background()
	now := time.Now()
	client := netip.AddrFrom4([4]byte{198, 51, 100, byte(n % 20)})
	prefix := netip.PrefixFrom(client, 32)
	login := fmt.Sprintf("user%d@domena.cz", n%7)
	f := rules.Failure{Time: now, Client: client, Login: login, Shown: login, Protocol: "smtp", Counted: true}
	w.measure(func() {
		got, err := h.AddFailure(ctx, prefix, f, ledgertest.Counting)
		if err != nil {
			w.t.Error(err)
		}
		if got.Client.Count > ledgertest.Window.Limit && got.Client.Block == "" {
			if _, err := h.BeginBlock(ctx, prefix, fmt.Sprintf("block %d %d", host, n), now, ledgertest.Window); err != nil {
				w.t.Error(err)
			}
		}
		if l := ledgertest.Counting.Login; got.Login.Count > l.Limit && got.Login.Block == "" {
			if _, err := h.BeginGuessed(ctx, login, fmt.Sprintf("guess %d %d", host, n), now, l); err != nil {
				w.t.Error(err)
			}
		}
	})
	many := rules.Limits{Messages: 10000}
	transaction := fmt.Sprintf("t%d", n)
	w.measure(func() { h.Reserve(login, transaction, many, now, false) })
	if err := h.Finish(ctx, transaction, n%3 > 0, now); err != nil {
		w.t.Error(err)
	}
	other := "policy-" + login // a message that is under way by the milter would be taken for the same one
	for range 2 {
		c := ledger.Charge{Login: other, Instance: "i" + strconv.Itoa(n), Recipients: 1}
		w.measure(func() {
			if _, err := h.Charge(ctx, c, many, now); err != nil {
				w.t.Error(err)
			}
		})
	}
	e := h.refusal("sender")
	if err := h.journal.Write(ctx, e); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed[client]++
	w.sent[other]++
	if n%3 > 0 {
		w.sent[login]++
	}
	w.entries = append(w.entries, e.ID)
}

// check compares what a host that has its knowledge from the store says with what the
// clients were told.
func (w *work) check(h *mx) {
	now := time.Now()
	for client, want := range w.failed {
		prefix := netip.PrefixFrom(client, 32)
		h.Failures(prefix, netip.Addr{}, now)
		if got := h.Tally(prefix, now, ledgertest.Window); got.Count != want {
			w.t.Errorf("%s: %s failed %d times, which counts %d", h.name, client, want, got.Count)
		}
	}
	for login, want := range w.sent {
		if got := h.Usage(login, now); got.Messages != want || got.ReservedMessages != 0 {
			w.t.Errorf("%s: %s sent %d messages: %+v", h.name, login, want, got)
		}
	}
	for _, id := range w.entries {
		if strings.HasSuffix(w.t.Name(), "/emptied") {
			break // its host has it
		}
		if _, err := h.journal.Get(context.Background(), id); err != nil {
			w.t.Errorf("%s: %s: %v", h.name, id, err)
		}
	}
}

// Answers are lost in every way that a connection can lose them, again and again, after
// the server has done what it was asked. Nothing is lost, and nothing counts twice.
func TestAnswersLost(t *testing.T) {
	for name, f := range map[string]valkeytest.Fault{
		"cut": valkeytest.Cut, "torn": valkeytest.Tear, "half closed": valkeytest.HalfClose,
		"silent": valkeytest.Silence, "late": valkeytest.Late,
	} {
		t.Run(name, func(t *testing.T) {
			disturb(t, func(_ *valkeytest.Server, proxies []*valkeytest.Proxy) func() {
				for i, p := range proxies {
					p.Fail(5+4*i, f)
				}
				return func() {
					for _, p := range proxies {
						p.Fail(0, f)
						p.Heal()
					}
				}
			})
		})
	}
}

// The same, while somebody does to the server what an administrator may do.
func TestServerIsDisturbed(t *testing.T) {
	for name, command := range map[string][]string{
		"clients killed":    {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"},
		"scripts forgotten": {"SCRIPT", "FLUSH"},
		"emptied":           {"FLUSHALL"},
		"paused":            {"CLIENT", "PAUSE", "150", "ALL"},
	} {
		t.Run(name, func(t *testing.T) {
			disturb(t, func(s *valkeytest.Server, _ []*valkeytest.Proxy) func() {
				stop, stopped := make(chan bool), make(chan bool)
				go func() {
					defer close(stopped)
					for {
						select {
						case <-stop:
							return
						case <-time.After(70 * time.Millisecond):
							if _, err := s.Try(command...); err != nil {
								t.Error(err)
							}
						}
					}
				}()
				return func() {
					close(stop)
					<-stopped
				}
			})
		})
	}
}

func disturb(t *testing.T, begin func(*valkeytest.Server, []*valkeytest.Proxy) (end func())) {
	s, o := server(t)
	const within = 200 * time.Millisecond
	o.Timeout = within
	w := &work{t: t, failed: map[netip.Addr]int{}, sent: map[string]int{}}
	var proxies []*valkeytest.Proxy
	for i := range 2 {
		h, p := behind(t, fmt.Sprintf("mx%d", i+1), o, s.Addr)
		w.hosts, proxies = append(w.hosts, h), append(proxies, p)
	}
	end := begin(s, proxies)
	busy := busyness(w.hosts[0])
	var all sync.WaitGroup
	for i, h := range w.hosts {
		for lane := range 4 {
			all.Go(func() {
				for n := range 50 {
					w.round(h, i, lane*50+n)
				}
			})
		}
	}
	all.Wait()
	late := busy()
	end()
	for _, h := range w.hosts {
		h.up(true)
		h.told()
		h.until("it hears", func() bool { return h.Listen(context.Background()) == nil }) // that it was emptied, perhaps
		h.told()
	}
	t.Logf("the longest decision took %s, where this machine is %s late; trouble: %d and %d", w.worst, late, w.hosts[0].log.count("is away"), w.hosts[1].log.count("is away"))
	o.Timeout = 0 // what is asked now must be answered
	fresh := newMX(t, "mx3", o)
	w.check(fresh)
	for client, failed := range w.failed {
		if failed <= ledgertest.Window.Limit {
			continue
		}
		prefix := netip.PrefixFrom(client, 32)
		id, err := fresh.BeginBlock(context.Background(), prefix, "the sum's", time.Now(), ledgertest.Window)
		if err != nil {
			t.Error(err)
		}
		for _, h := range w.hosts {
			soon(t, h, client.String()+"'s block is the one of all", func() bool {
				got := h.Tally(prefix, time.Now(), ledgertest.Window)
				return got.Block == id && got.Count == failed
			})
		}
	}
	if w.worst > within+slack+4*late {
		t.Errorf("the longest decision took %s", w.worst)
	}
}

// What has piled up is told in small parts, so that what a decision asks in between does
// not wait behind it for longer than it may.
func TestBacklogLetsDecisionsThrough(t *testing.T) {
	s, o := server(t)
	o.Timeout = time.Second
	a, p := behind(t, "mx1", o, s.Addr)
	a.fail(1)
	p.Lose()
	a.up(false)
	for n := range 600 {
		if _, err := a.AddFailure(context.Background(), one(n), failure(n), ledgertest.Counting); err != nil {
			t.Fatal(err)
		}
	}
	p.Heal()
	a.up(true)
	a.told()
	if got := p.Most(); got > 40_000 {
		t.Errorf("%d bytes were told at once", got)
	}
}

// A host is stopped while it reads an entry for the others: it tells them all the same.
func TestStoppedWhileTelling(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.close()
	reads := make(chan bool, 1)
	first := true
	a.entry = func(ctx context.Context, id string) ([]byte, bool, error) {
		if first {
			first = false
			reads <- true
			<-ctx.Done()
			return nil, false, ctx.Err()
		}
		return a.journal.Body(ctx, id)
	}
	a.open()
	a.up(true)
	e := a.refusal("sender")
	if err := a.journal.Write(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	<-reads
	a.close()
	if _, err := b.journal.Get(context.Background(), e.ID); err != nil {
		t.Error(err)
	}
}
