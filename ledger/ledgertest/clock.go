package ledgertest

import (
	"net/netip"
	"time"
)

// The clock is set back by an hour while a client is blocked. The block goes
// on, with its id, but ends no later than a window after it was first looked
// at; failures at the new time count with the old ones.
func clockSetBack(s *suite) { setBack(s, false) }

func clockSetBackRestart(s *suite) { setBack(s, true) }

func setBack(s *suite, restart bool) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	const now = -time.Hour
	if restart {
		s.restart(now)
	}
	s.block(now, "first")
	if until := s.tally(now).Until; until.After(at(now + Window.Length + time.Minute)) {
		s.Errorf("at %s blocked until %s, which is longer than the window", at(now), until)
	}
	if n := len(s.Blocks(at(now), Window)); n != 1 {
		s.Errorf("%d blocks", n)
	}
	if t := s.fail(prefix, client, now+time.Second); t.Count != 12 || t.Block != "first" {
		s.Errorf("a failure at the new time: %+v", t)
	}
	s.count(now+Window.Length+2*time.Minute, 0)
}

func clockSetBackGrants(s *suite) {
	s.grant(client, "jan@domena.cz", 0)
	const now = -3 * time.Hour
	if got := s.granted(client, now); got != "jan@domena.cz 0s;" {
		s.Errorf("grant of the future: %q", got)
	}
	if got := s.granted(client, now+Validity); got != "" {
		s.Errorf("a grant holds for longer than its validity: %q", got)
	}
	s.grant(client6, "jan@domena.cz", 0)
	s.restart(now)
	s.granted(client6, now)
	if got := s.granted(client6, now+Validity); got != "" {
		s.Errorf("after a restart a grant holds for longer than its validity: %q", got)
	}
}

// Neither do failures from before a clearing come back, nor is any lost that
// came after it, whatever the clock says.
func clockSetBackUnblock(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	const now = -time.Hour
	s.lift(client, now)
	s.restart(now)
	s.count(now, 0)
	s.guess(3, now)
	s.restart(now + time.Minute)
	s.count(now+time.Minute, 3)
	s.lift(client, now+2*time.Minute)
	s.fail(prefix, client, now-5*time.Minute) // told late
	s.restart(now + 2*time.Minute)
	s.count(now+2*time.Minute, 1)
}

// Set forward, everything is older: blocks end early. Nothing else happens.
func clockSetForward(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	const now = 365 * 24 * time.Hour
	s.count(now, 0)
	s.fail(prefix, client, now)
	other := netip.MustParsePrefix("192.0.2.8/32")
	s.fail(other, netip.MustParseAddr("192.0.2.8"), now)
	// And back again, a year: what happened meanwhile counts for one window more.
	back := 10 * time.Minute
	s.restart(back)
	if n := s.Tally(other, at(back), Window).Count; n != 1 {
		s.Errorf("%d failures of the other client", n)
	}
	if n := s.Tally(other, at(back+Window.Length), Window).Count; n != 0 {
		s.Errorf("%d failures count for longer than the window", n)
	}
	s.guess(3, back)
	s.pruneAt(back + 2*Window.Length)
	s.restart(back + 2*Window.Length)
	if n := len(s.Failures(prefix, client, at(0))); n > 1 {
		s.Errorf("%d failures are never pruned", n)
	}
}
