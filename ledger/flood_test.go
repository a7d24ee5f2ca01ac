package ledger_test

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// A million clients that fail once push no block out of memory, nor do they take
// more of it than the tables have: neither before nor after the block began.
func TestMillionAddresses(t *testing.T) {
	const size = 50_000
	only := ledger.Counting{Client: ledgertest.Window} // the logins have tables of the same kind
	v, err := ledger.NewVolatile(size)
	if err != nil {
		t.Fatal(err)
	}
	fail := func(p netip.Prefix) {
		f := rules.Failure{Time: ledgertest.Noon, Client: p.Addr(), Login: "jan@domena.cz", Counted: true}
		if _, err := v.AddFailure(context.Background(), p, f, only); err != nil {
			t.Fatal(err)
		}
	}
	// Every second one is a v6 prefix: rotating /64s costs the attacker nothing.
	nth := func(i int) netip.Prefix {
		var six [16]byte
		binary.BigEndian.PutUint32(six[:], 0x20010db8)
		binary.BigEndian.PutUint32(six[4:], uint32(i))
		if i%2 == 0 {
			return netip.PrefixFrom(netip.AddrFrom16(six), 64)
		}
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	blocked := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8:ffff:1::/64")}
	for _, p := range blocked {
		for range 11 {
			fail(p)
		}
		if _, err := v.BeginBlock(context.Background(), p, "id", ledgertest.Noon, ledgertest.Window); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1_000_000 {
		fail(nth(i))
	}
	for _, p := range blocked {
		if got := v.Tally(p, ledgertest.Noon, ledgertest.Window); got.Count != 11 || got.Block != "id" {
			t.Errorf("after the flood %s has %+v", p, got)
		}
	}
	for _, i := range []int{0, 500_000, 1_000_000 - size - 1, 1_000_000 - size, 999_999} {
		want := 0
		if i >= 1_000_000-size {
			want = 1
		}
		if got := v.Tally(nth(i), ledgertest.Noon, ledgertest.Window).Count; got != want {
			t.Errorf("%d failures of the %dth are known, want %d", got, i, want)
		}
	}
	if n := v.Blocked(ledgertest.Noon, ledgertest.Window); n != len(blocked) {
		t.Errorf("%d blocks", n)
	}
}
