package ledgertest

import (
	"fmt"
	"net/netip"
	"time"
)

func grants(s *suite) {
	other := netip.MustParseAddr("192.0.2.8")
	s.grant(client, "jan@domena.cz", 0)
	s.grant(client, "eva@domena.cz", time.Minute)
	s.grant(client6, "petr@domena.eu", time.Minute)
	check := func(a netip.Addr, after time.Duration, want string) {
		s.Helper()
		if got := s.granted(a, after); got != want {
			s.Errorf("%s, %s after noon: %q, want %q", a, after, got, want)
		}
	}
	check(client, time.Minute, "eva@domena.cz 0s;jan@domena.cz 1m0s;")
	check(client, time.Hour-1, "eva@domena.cz 58m59.999999999s;jan@domena.cz 59m59.999999999s;")
	check(client, time.Hour, "eva@domena.cz 59m0s;")
	check(client, time.Hour+time.Minute, "")
	check(other, time.Minute, "")
	check(client6, time.Minute, "petr@domena.eu 0s;")
	check(netip.MustParseAddr("2001:db8:1:2::8"), time.Minute, "") // that exact address
	// Renewal moves the end, and the renewed is the newest.
	s.grant(client, "jan@domena.cz", 30*time.Minute)
	check(client, 30*time.Minute, "jan@domena.cz 0s;eva@domena.cz 29m0s;")
	check(client, time.Hour+20*time.Minute, "jan@domena.cz 50m0s;")
	// An older report that comes late takes nothing back.
	s.grant(client, "jan@domena.cz", 10*time.Minute)
	check(client, 30*time.Minute, "jan@domena.cz 0s;eva@domena.cz 29m0s;")
	// What a caller does with the answer is its own.
	list := s.Grants(client, at(30*time.Minute), Validity)
	list[0].Login = "mallory@evil.test"
	_ = append(list[:1], list[0])
	s.grant(client, "jan@domena.cz", 31*time.Minute)
	check(client, 31*time.Minute, "jan@domena.cz 0s;eva@domena.cz 30m0s;")
}

func grantsSurvive(s *suite) {
	s.grant(client, "jan@domena.cz", 0)
	s.grant(client, "eva@domena.cz", time.Minute)
	s.grant(client, "jan@domena.cz", 2*time.Minute)
	s.grant(client, "jan@domena.cz", time.Minute) // late
	s.restart(3 * time.Minute)
	if got := s.granted(client, 3*time.Minute); got != "jan@domena.cz 1m0s;eva@domena.cz 2m0s;" {
		s.Errorf("after a restart: %q", got)
	}
	s.restart(time.Hour + 90*time.Second)
	if got := s.granted(client, time.Hour+90*time.Second); got != "jan@domena.cz 59m30s;" {
		s.Errorf("one is over: %q", got)
	}
	// More accounts than any max_accounts: the newest are kept, with a bound.
	for i := range 500 {
		s.grant(client6, fmt.Sprintf("user%d@domena.cz", i), time.Duration(i)*time.Second)
	}
	list := s.Grants(client6, at(9*time.Minute), Validity)
	if len(list) < 20 || len(list) > 100 || list[0].Login != "user499@domena.cz" {
		s.Errorf("%d grants of one address are kept", len(list))
	}
}

// What is over goes; what still matters stays, in memory and in the store.
func prune(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	s.grant(client, "jan@domena.cz", 0)
	old := netip.MustParsePrefix("192.0.2.9/32")
	s.fail(old, netip.MustParseAddr("192.0.2.9"), -59*time.Minute)
	s.lift(netip.MustParseAddr("192.0.2.9"), -58*time.Minute)
	for after := 2 * time.Minute; after < time.Hour; after += 19 * time.Minute {
		s.pruneAt(after)
		s.block(after, "first")
		if got := s.granted(client, after); got == "" {
			s.Errorf("%s after noon the grant is gone", after)
		}
		s.restart(after)
		s.block(after, "first")
		if n := s.Tally(old, at(after), Window).Count; n != 0 {
			s.Errorf("%s after noon a lifted failure is back", after)
		}
	}
	s.pruneAt(3 * time.Hour)
	s.restart(3 * time.Hour)
	if n := len(s.Failures(prefix, client, at(-time.Hour))); n != 0 {
		s.Errorf("%d failures are left after three hours", n)
	}
	if got := s.granted(client, 30*time.Minute); got != "" {
		s.Errorf("grants are left after three hours: %s", got)
	}
}
