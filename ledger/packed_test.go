package ledger

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"portreeve/rules"
)

// someCounter makes a counter of what the dice say, with times around now.
func someCounter(r *rand.Rand, now time.Time) *counter {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	c := &counter{stale: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		c.asked, c.unkept = r.Int64(), true
	}
	if r.IntN(2) == 0 {
		c.block, c.since = pick("0l0tkyxd13Vm67WNY4Cw6K", "x"), now.Add(-time.Duration(r.Int64N(int64(2*time.Hour))))
	}
	at := now.Add(-90 * time.Minute)
	for range r.IntN(30) {
		at = at.Add(time.Duration(r.Int64N(int64(8 * time.Minute))))
		f := rules.Failure{
			Time: at, Shown: pick("jan@domena.cz", "Jan@domena.cz", "jana@domena.cz", "jan@domena.eu", "info@jan.cz", "t… (10 characters)", ""),
			Protocol: pick("smtp", "submission", "of a later version", ""), Password: pick("", "02a1", "fff0", "FFF0", "abc"), Vague: r.IntN(9) == 0, Counted: r.IntN(4) > 0,
		}
		if f.Login = f.Shown; r.IntN(3) == 0 {
			f.Login = "jan@domena.cz"
		}
		f.Client, _ = netip.ParseAddr(pick("192.0.2.1", "192.0.2.2", "2001:db8::1", ""))
		f.ID = []uint64{0, r.Uint64(), r.Uint64N(1 << 48)}[r.IntN(3)]
		c.failures = append(c.failures, f)
	}
	return c
}

// What was packed is what is unpacked, and its tally is the counter's.
func TestPacked(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	now := time.Now().Round(0)
	quick := 0
	for range 20_000 {
		c := someCounter(r, now)
		b := c.pack(nil)
		if got := unpackCounter(b); !reflect.DeepEqual(got, c) {
			t.Fatalf("%+v\nbecomes\n%+v", c, got)
		}
		w := Window{Limit: r.IntN(12), Length: time.Hour, Once: r.IntN(8) == 0}
		tally, ok := packedTally(b, now, w)
		before := c.pack(nil)
		want := c.tally(now, w)
		changed := string(before) != string(c.pack(nil))
		if ok && (changed || tally != want) {
			t.Fatalf("%+v\nis %+v, want %+v (changed: %t)", c, tally, want, changed)
		}
		if ok {
			quick++
		}
	}
	if quick < 5000 {
		t.Errorf("only %d tallies were counted as they are packed", quick)
	}
}

// A failure that is appended to packed bytes makes of them what it makes of the counter.
func TestPackedAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	now := time.Now().Round(0)
	quick := 0
	for range 20_000 {
		c := someCounter(r, now)
		others := someCounter(r, now.Add(time.Duration(r.Int64N(int64(time.Hour)))-20*time.Minute)).failures
		if len(others) == 0 {
			continue
		}
		f := others[len(others)-1]
		if len(c.failures) > 0 && r.IntN(20) == 0 {
			f.ID = c.failures[r.IntN(len(c.failures))].ID
		}
		w := Window{Limit: r.IntN(12), Length: time.Hour, Once: r.IntN(8) == 0}
		got, tally, stale, ok := packedAdd(nil, c.pack(nil), f, w)
		if !ok {
			continue
		}
		quick++
		wasStale, known := c.stale, c.knows(f.ID)
		latest := c.add(f, w)
		c.stale = false
		want := c.tally(latest, w)
		if known || stale != wasStale || tally != want || string(got) != string(c.pack(nil)) {
			t.Fatalf("%+v\nis %+v, stale %t, want %+v, %t; known: %t", c, tally, stale, want, wasStale, known)
		}
	}
	if quick < 2000 {
		t.Errorf("only %d were appended", quick)
	}
}

func numberedPrefix(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// someFailures is a client that guesses one login's password.
func someFailures(n int) *counter {
	now := time.Unix(1_795_000_000, 0)
	c := &counter{block: "0l0tkyxd13Vm67WNY4Cw6K", since: now}
	for i := range n {
		c.failures = append(c.failures, rules.Failure{
			Time: now.Add(time.Duration(i-n) * time.Minute), Client: netip.MustParseAddr("192.0.2.1"), Login: "jmeno.prijmeni1234@domena.cz",
			Shown: "jmeno.prijmeni1234@domena.cz", Protocol: "submission", Password: "02a1", Counted: true, ID: uint64(i) << 40,
		})
	}
	return c
}

// A client with eleven failures of one login: what the bound on the memory of a
// million of them stands on.
func TestPackedIsSmall(t *testing.T) {
	c := someFailures(11)
	if n := len(c.pack(nil)); n > 245 {
		t.Errorf("%d bytes", n)
	}
	// And of eleven logins, as a list of an attacker's has them.
	for i, name := range []string{"info", "sales", "admin", "office", "jan", "petr.novak", "support", "test", "contact", "no-reply", "eva"} {
		f := &c.failures[i]
		f.Shown = name + "@domena.cz"
		f.Login = f.Shown
	}
	if n := len(c.pack(nil)); n > 325 {
		t.Errorf("%d bytes with a login each", n)
	}
}

// Bytes from the file may be anything. Those that are taken for a counter's are one's: it
// can be packed again.
func FuzzPacked(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		f.Add(someCounter(r, time.Unix(1_795_000_000, 0)).pack(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := sumUp(b, time.Unix(1_795_000_000, 0), Window{Limit: 3, Length: time.Hour}, nil); !s.begun || s.bad {
			return
		}
		c := unpackCounter(b)
		if got := unpackCounter(c.pack(nil)); !reflect.DeepEqual(got, c) {
			t.Fatalf("%+v\nbecomes\n%+v", c, got)
		}
	})
}
