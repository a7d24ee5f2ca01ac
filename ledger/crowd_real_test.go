//go:build real

package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// crowd is how many clients fail to log in at the same moment.
const crowd = 100

// failure is a failed login of one of them.
func failure(n int) rules.Failure {
	login := fmt.Sprintf("user%d@domena.cz", n)
	return rules.Failure{Time: time.Now(), Client: one(n).Addr(), Login: login, Shown: login, Protocol: "smtp", Counted: true}
}

// oneTooMany is the longest decision that there is: a failed login that blocks its client
// and makes its login a guessed one, with all that the journal wants to know.
func (h *mx) oneTooMany(n int) (took time.Duration) {
	ctx, f := context.Background(), failure(n)
	began := time.Now()
	got, err := h.AddFailure(ctx, one(n), f, ledgertest.Counting)
	if err != nil {
		h.t.Error(err)
	}
	if got.Client.Count != 11 || got.Login.Count != 11 {
		h.t.Errorf("client %d: %+v", n, got)
	}
	h.Failures(one(n), netip.Addr{}, f.Time.Add(-time.Hour))
	if _, err := h.BeginBlock(ctx, one(n), fmt.Sprint("block ", n), f.Time, ledgertest.Window); err != nil {
		h.t.Error(err)
	}
	h.LoginFailures(f.Login, f.Time.Add(-time.Hour))
	if _, err := h.BeginGuessed(ctx, f.Login, fmt.Sprint("guess ", n), f.Time, ledgertest.Counting.Login); err != nil {
		h.t.Error(err)
	}
	return time.Since(began)
}

// A hundred clients are blocked at the moment at which the store is lost. Each decision
// ends in time, and afterwards all hosts know all blocks, by one id each.
func TestCrowdWhenTheStoreIsLost(t *testing.T) {
	for name, o := range outages() {
		t.Run(name, func(t *testing.T) { crowded(t, o) })
	}
}

func crowded(t *testing.T, o outage) {
	s, options := server(t, o.options...)
	options.Password = s.Password
	b := newMX(t, "mx2", options)
	options.Timeout = 200 * time.Millisecond
	a, p := behind(t, "mx1", options, s.Addr)
	for n := range crowd {
		for range ledgertest.Window.Limit {
			if _, err := a.AddFailure(context.Background(), one(n), failure(n), ledgertest.Counting); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.told()
	b.up(true)
	o.lose(t, s, p)
	busy := busyness(a)
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		worst time.Duration
	)
	for n := range crowd {
		all.Go(func() {
			took := a.oneTooMany(n)
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, took)
		})
	}
	all.Wait()
	late := busy()
	t.Logf("the longest of %d decisions took %s, where this machine is %s late", crowd, worst, late)
	if worst > options.Timeout+slack+4*late {
		t.Errorf("the longest decision took %s", worst)
	}
	o.heal(t, s, p)
	a.up(true)
	b.up(true)
	a.told()
	b.until("it knows all blocks", func() bool {
		return b.blocked(crowd) == crowd && len(b.Guessed(time.Now(), ledgertest.Counting.Login)) == crowd
	})
	if a.blocked(crowd) != crowd {
		t.Errorf("%d of %d blocks are known where they began", a.blocked(crowd), crowd)
	}
}

// Ten thousand clients are blocked on one host while the other one does not listen. Once
// it does, it knows all of them soon.
func TestTenThousandBlocks(t *testing.T) {
	const many = 10_000
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	b.up(true)
	c := ledger.Counting{Client: ledger.Window{Limit: 1, Length: time.Hour}} // so that it does not take long
	b.CountBy(c)
	hear := b.Deaf()
	var all sync.WaitGroup
	for lane := range 8 {
		all.Go(func() {
			for n := lane; n < many; n += 8 {
				for range c.Client.Limit + 1 {
					f := rules.Failure{Time: time.Now(), Client: one(n).Addr(), Counted: true}
					if _, err := a.AddFailure(context.Background(), one(n), f, c); err != nil {
						t.Error(err)
					}
				}
				if _, err := a.BeginBlock(context.Background(), one(n), fmt.Sprint("block ", n), time.Now(), c.Client); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	began := time.Now()
	hear()
	b.until("it knows all blocks", func() bool { return b.Blocked(time.Now(), c.Client) == many })
	t.Logf("the other host knows %d blocks after %s", many, time.Since(began))
	for n := range many {
		if got := b.Tally(one(n), time.Now(), c.Client); got.Block != fmt.Sprint("block ", n) {
			t.Fatalf("client %d: %+v", n, got)
		}
	}
}
