package ledger_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// fill writes eleven failures of each of so many clients, as their calls would have.
func fill(tb testing.TB, h *host, clients int) {
	tb.Helper()
	const group = 5000
	for k := range 11 {
		for first := 0; first < clients; first += group {
			var last chan error
			for i := first; i < min(clients, first+group); i++ {
				p, login := numbered(i), fmt.Sprintf("jmeno.prijmeni%d@domena.cz", i)
				f := rules.Failure{
					Time: ledgertest.Noon.Add(time.Duration(k) * time.Minute), Client: p.Addr(), Login: login, Shown: login,
					Protocol: "submission", Password: "02a1", Counted: true,
				}
				done := make(chan error, 1)
				go func() {
					_, err := h.AddFailure(context.Background(), p, f, ledgertest.Counting)
					done <- err
				}()
				last = done
			}
			if err := <-last; err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// BenchmarkOpen is a start with 20,000 clients that have eleven failures each: after a
// stop, and after a crash.
func BenchmarkOpen(b *testing.B) {
	const clients = 20_000
	h := newHost(b, 1_000_000)
	fill(b, h, clients)
	now := ledgertest.Noon.Add(12 * time.Minute)
	for _, stopped := range []bool{true, false} {
		b.Run(fmt.Sprintf("stopped=%t", stopped), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if stopped {
					if err := h.Snapshot(context.Background(), ledgertest.Counting); err != nil {
						b.Fatal(err)
					}
				}
				if err := h.db.Close(); err != nil {
					b.Fatal(err)
				}
				var err error
				if h.db, err = store.Open(h.path, store.Schema, ledgertest.Noon); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if h.Embedded, err = ledger.OpenEmbedded(context.Background(), h.db, journal.NewIDs("mx1"), h.most, now, ledgertest.Counting, ledgertest.Validity); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if n := h.Tally(numbered(clients-1), now, ledgertest.Window).Count; n != 11 {
				b.Errorf("%d failures of the last client", n)
			}
			b.ReportMetric(float64(b.N)*clients/b.Elapsed().Seconds(), "clients/s")
		})
	}
}
