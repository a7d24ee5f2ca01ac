//go:build real

package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// What docs/sizing.md says of a store: bytes by key, and operations a second. The
// benchmarks print what they measured; TestBytes holds the table in its bounds.

// someone is the i-th of many clients.
func someone(i int) (netip.Prefix, netip.Addr) {
	a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return netip.PrefixFrom(a, 32), a
}

func someFailure(i int, from netip.Addr) rules.Failure {
	login := fmt.Sprintf("jmeno.prijmeni%d@domena.cz", i)
	return rules.Failure{
		Time: time.Now(), Client: from, Login: login, Shown: login, Protocol: "submission", Password: "02a1", Counted: true,
	}
}

// bytesOf is the memory of the keys that match.
func bytesOf(s *valkeytest.Server, pattern string) (sum, keys int64) {
	for _, key := range s.Strings("KEYS", pattern) {
		sum += s.Number("MEMORY", "USAGE", key, "SAMPLES", "0")
		keys++
	}
	return sum, keys
}

func TestBytes(t *testing.T) {
	s, o := server(t)
	a := newMX(t, "mx1", o)
	ctx, now := context.Background(), time.Now()
	const n = 200
	report := func(what, pattern string, most int64) {
		t.Helper()
		a.told()
		sum, keys := bytesOf(s, pattern)
		t.Logf("%-40s %6d bytes", what, sum/n)
		if sum/n > most || keys == 0 {
			t.Errorf("%s: %d bytes in %d keys, want %d at most, as docs/sizing.md says", what, sum/n, keys, most)
		}
	}
	for failures, most := range map[int]int64{1: 200, 3: 450, 11: 1500} {
		for i := range n {
			p, from := someone(failures<<16 + i)
			for k := range failures {
				if _, err := a.AddFailure(ctx, p, someFailure(i*100+k, from), ledgertest.Counting); err != nil {
					t.Fatal(err)
				}
			}
			if failures > ledgertest.Window.Limit {
				if _, err := a.BeginBlock(ctx, p, a.refusal("x").ID, now, ledgertest.Window); err != nil {
					t.Fatal(err)
				}
			}
		}
		report(fmt.Sprintf("a client with %d failures", failures), fmt.Sprintf("pr1:*:f:10.%d.*", failures), most)
	}
	report("blocked clients' names, together", "pr1:*:blocks", 120)
	for i := range n {
		_, from := someone(i)
		if err := a.AddGrant(ctx, from, rules.Grant{Login: someFailure(i, from).Login, Last: now}); err != nil {
			t.Fatal(err)
		}
	}
	report("an address with one POP login", "pr1:*:g:*", 150)
	for i := range n {
		for k := range 5 {
			p, from := someone(i*5 + k)
			if err := a.AddLogin(ctx, someFailure(i, from).Login, p, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	report("a login known from 5 clients", "pr1:*:v:*", 300)
	for i := range n {
		for k := range 20 {
			login, message := fmt.Sprintf("jmeno.prijmeni%d@domena.cz", i), fmt.Sprintf("%d-%d", i, k)
			a.Reserve(login, message, rules.Limits{Messages: 100}, now, false)
			if err := a.Finish(ctx, message, true, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	report("an account that has sent 20 messages", "pr1:*:[uod]:*", 1300)
	for i := range n {
		if err := a.journal.Write(ctx, typicalEntry(t, a, i)); err != nil {
			t.Fatal(err)
		}
	}
	report("a journal entry of a block", "pr1:*:j:*", 1000)
	for i := range n {
		e := a.refusal("sender")
		e.Facts = json.RawMessage(`{"looked_at":"a@b.cz","count":0,"accounts":[{"login":"jan@domena.cz","found":true,"smtp":true,"forward":false}],"domains":{"domena.cz":["domena.cz","domena.eu"]}}`)
		e.Sender = fmt.Sprintf("user%d@b.cz", i)
		if err := a.journal.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	report("that, and one of a refused sender", "pr1:*:j:*", 1700)
}

// typicalEntry is a block with the failures that led to it, the longest of entries.
func typicalEntry(t testing.TB, h *mx, i int) journal.Entry {
	t.Helper()
	e := h.refusal("throttled")
	_, from := someone(i)
	var failures []rules.Failure
	for k := range 11 {
		f := someFailure(i*100+k, from)
		f.Time = f.Time.Add(-time.Duration(k*k) * 7 * time.Second)
		failures = append(failures, f)
	}
	until := time.Now().Add(time.Hour).UTC()
	body, err := json.Marshal(gate.Facts{Limit: 10, Count: 11, BlockedSince: &e.Time, BlockedUntil: &until, Prefix: from.String(), Failures: gate.FailureFacts(failures)})
	if err != nil {
		t.Fatal(err)
	}
	e.Client, e.Facts = from.String(), body
	e.Reply = "550 5.1.0 " + e.ID + " Connection refused from " + from.String() + ". Too many authorization failures from this IP, try again later."
	return e
}

// client is a connection to a new server, without a host behind it.
func client(b *testing.B, options ...string) (*valkey.Client, *valkeytest.Server) {
	b.Helper()
	s := valkeytest.Start(b, options...).Ready()
	c := valkey.New(valkey.Options{Addresses: []string{s.Addr}, Timeout: 20 * time.Second, Now: time.Now, Host: "mx1"})
	b.Cleanup(c.Close)
	if _, err := c.Probe(context.Background()); err != nil {
		b.Fatal(err)
	}
	return c, s
}

// BenchmarkStoreFailure counts failures of a million clients, from many callers at once.
func BenchmarkStoreFailure(b *testing.B) {
	for _, kind := range []string{"no persistence", "appendonly"} {
		b.Run(kind, func(b *testing.B) {
			var options []string
			if kind == "appendonly" {
				options = []string{"--appendonly", "yes"} // appendfsync everysec
			}
			c, s := client(b, options...)
			w := valkey.Window{Limit: 10, Length: time.Hour, Keep: time.Hour}
			var n atomic.Uint64
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					p, _ := someone(int(i*2654435761) & 0xfffff)
					now := time.Now()
					f := valkey.Failure{ID: i, Time: now, Told: now, Counted: true, Detail: []byte(strings.Repeat("x", 45))}
					if _, err := c.AddFailures(valkey.Add{Name: p.String(), Failure: f, Window: w}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "failures/s")
			b.Logf("the server's CPU: %s s user, %s s system", s.Info("used_cpu_user"), s.Info("used_cpu_sys"))
		})
	}
}

// BenchmarkStoreReserve reserves places for the messages of 100,000 accounts.
func BenchmarkStoreReserve(b *testing.B) {
	c, s := client(b)
	var n atomic.Uint64
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			p := valkey.Place{Login: fmt.Sprintf("user%d@domena.cz", i%100_000), Message: fmt.Sprint(i), Recipients: 1}
			if _, err := c.Reserve(p, valkey.Limits{Messages: 1 << 30}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s")
	b.Logf("the server's CPU: %s s user, %s s system", s.Info("used_cpu_user"), s.Info("used_cpu_sys"))
}

// BenchmarkStoreGrant tells of POP logins, in batches, as the outbox does.
func BenchmarkStoreGrant(b *testing.B) {
	c, s := client(b)
	for i := 0; i < b.N; i += 256 {
		batch := c.Batch()
		for k := range 256 {
			_, from := someone(((i + k) * 40503) & 0xfffff)
			batch.Grant(from.String(), fmt.Sprintf("user%d@domena.cz", (i+k)%100_000), time.Now(), 25*time.Hour, 64)
		}
		if _, err := batch.Send(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.Logf("the server's CPU: %s s user, %s s system", s.Info("used_cpu_user"), s.Info("used_cpu_sys"))
}

// BenchmarkListen is one look at what has changed, when nothing has.
func BenchmarkListen(b *testing.B) {
	c, s := client(b)
	for b.Loop() {
		if _, err := c.Probe(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("the server's CPU: %s s user, %s s system for %d looks", s.Info("used_cpu_user"), s.Info("used_cpu_sys"), b.N)
}

// BenchmarkHost is what one decision costs on a host.
func BenchmarkHost(b *testing.B) {
	_, o := server(b)
	a := newMX(b, "mx1", o)
	limits := rules.Limits{Messages: 1 << 30}
	a.Grants(guesser, time.Now(), time.Hour)
	b.Run("passes", func(b *testing.B) {
		for b.Loop() {
			now := time.Now()
			a.Tally(guessers, now, ledgertest.Window)
		}
	})
	b.Run("passes with SMTP after POP", func(b *testing.B) {
		for b.Loop() {
			now := time.Now()
			a.Tally(guessers, now, ledgertest.Window)
			a.Grants(guesser, now, time.Hour)
		}
	})
	b.Run("failed login", func(b *testing.B) {
		var n atomic.Uint64
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := int(n.Add(1))
				p, from := someone(i)
				if _, err := a.AddFailure(context.Background(), p, someFailure(i, from), ledgertest.Counting); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "failures/s")
	})
	b.Run("message with a quota", func(b *testing.B) {
		var n atomic.Uint64
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := n.Add(1)
				login, message := fmt.Sprintf("user%d@domena.cz", i%10_000), fmt.Sprint(i)
				a.Reserve(login, message, limits, time.Now(), false)
				if err := a.Finish(context.Background(), message, true, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	})
}

// BenchmarkJoin is a new host's first look at a store that has many blocks: until it
// has finished, it asks about none of them, and refuses none of these clients.
func BenchmarkJoin(b *testing.B) {
	const blocks = 50_000
	s, o := server(b)
	c := valkey.New(valkey.Options{Addresses: o.Addresses, Timeout: 20 * time.Second, Now: time.Now, Host: "mx1"})
	defer c.Close()
	if _, err := c.Probe(context.Background()); err != nil {
		b.Fatal(err)
	}
	w := valkey.Window{Limit: 10, Length: time.Hour, Keep: time.Hour}
	for first := 0; first < blocks; first += 100 {
		batch, now := c.Batch(), time.Now()
		for i := range 100 {
			p, from := someone(first + i)
			for k := range 11 {
				f := someFailure((first+i)*100+k, from)
				f.ID = uint64((first+i)*11 + k + 1)
				batch.Add(valkey.Add{Name: p.String(), Window: w, Failure: ledger.Wire(f)})
			}
			batch.Begin(p.String(), "0l0tkyxd13Vm67WNY4Cw6K", now, w)
		}
		if _, err := batch.Send(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		h := newMX(b, "mx2", o, blocks)
		h.hears() // after the first time, which has begun
		b.StopTimer()
		if n := h.Blocked(time.Now(), ledgertest.Window); n != blocks {
			b.Fatalf("it knows %d blocks of %d", n, blocks)
		}
		h.close()
		b.StartTimer()
	}
	b.ReportMetric(blocks*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
	b.Logf("the server's CPU: %s s user, %s s system", s.Info("used_cpu_user"), s.Info("used_cpu_sys"))
}
