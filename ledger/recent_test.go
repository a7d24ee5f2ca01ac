package ledger

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"portreeve/ledger/table"
	"portreeve/rules"
)

// TestRecentTallies: a tally that is kept is never another than one that is made anew,
// whatever happens in between and however the clock goes.
func TestRecentTallies(t *testing.T) {
	for seed := range uint64(20) {
		kept, err := newCounters(table.NewArena(), 64)
		if err != nil {
			t.Fatal(err)
		}
		anew, err := newCounters(table.NewArena(), 64)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 6))
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		windows := []Window{{Limit: 2, Length: time.Minute}, {Limit: 3, Length: time.Minute}, {Limit: 2, Length: time.Minute, Once: true}}
		blocked := 0
		for step := range 4000 {
			k := keyOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(6))}), 32))
			w := windows[max(0, r.IntN(24)-21)]
			now = now.Add([]time.Duration{0, time.Millisecond, 300 * time.Millisecond, 5 * time.Second, -200 * time.Millisecond}[r.IntN(5)])
			switch r.IntN(12) {
			case 0, 1:
				f := rules.Failure{Time: now, Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "smtp", Counted: r.IntN(8) > 0, ID: uint64(step + 1)}
				kept.add(k, f, w)
				anew.add(k, f, w)
			case 2:
				id := fmt.Sprint("block", step)
				kept.begin(k, id, now, w)
				anew.begin(k, id, now, w)
			case 3:
				if r.IntN(10) == 0 {
					kept.remove(k)
					anew.remove(k)
				}
			default:
				clear(anew.recent.marks[:]) // nothing is found
				got, want := kept.tally(k, now, w), anew.tally(k, now, w)
				if got.Count != want.Count || got.Block != want.Block || !got.Since.Equal(want.Since) || !got.Until.Equal(want.Until) {
					t.Fatalf("seed %d, step %d: kept %+v, anew %+v", seed, step, got, want)
				}
				if got.Count > w.Limit {
					blocked++
				}
			}
		}
		if blocked == 0 {
			t.Errorf("seed %d: nobody was blocked", seed)
		}
	}
}

// A login that is longer than a prefix's key does not lend its tally to the one that it
// begins with.
func TestRecentTallyOfALongLogin(t *testing.T) {
	r := newRecent()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := Window{Limit: 2, Length: time.Minute}
	short := []byte("jan.novak@firma.c")
	if len(short) != prefixKey {
		t.Fatalf("%q has %d bytes", short, len(short))
	}
	at, mark := r.place(short)
	for n := 0; ; n++ { // until both have the same place
		long := fmt.Appendf(nil, "%s%d.cz", short, n)
		if i, _ := r.place(long); i != at {
			continue
		}
		r.put(long, now, w, rules.Tally{Count: 9}, now.UnixNano())
		r.marks[at] = mark // as of one in four thousand million
		if tally, ok := r.get(short, now, w); ok {
			t.Errorf("%q has the tally of %q: %+v", short, long, tally)
		}
		return
	}
}

// Two keys have a place together; of three, the one whose tally was made first gives way.
func TestRecentTalliesShareAPlace(t *testing.T) {
	r := newRecent()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := Window{Limit: 2, Length: time.Minute}
	place := func(k []byte) uint64 { i, _ := r.place(k); return i }
	var keys [][]byte
	for n := uint16(0); len(keys) < 3; n++ {
		k := keyOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)}), 32))
		if len(keys) == 0 || place(k) == place(keys[0]) {
			keys = append(keys, k)
		}
	}
	has := func(want ...bool) {
		t.Helper()
		for i, k := range keys {
			if got, ok := r.get(k, now, w); ok != want[i] || ok && got.Count != i+3 {
				t.Errorf("key %d: %+v, %v", i, got, ok)
			}
		}
	}
	put := func(i int) {
		now = now.Add(time.Millisecond)
		r.put(keys[i], now, w, rules.Tally{Count: i + 3}, now.UnixNano())
	}
	put(0)
	put(1)
	has(true, true, false)
	put(0)
	has(true, true, false)
	put(2)
	has(true, false, true)
	r.forget(keys[0])
	has(false, false, true)
	put(1)
	has(false, true, true)
}
