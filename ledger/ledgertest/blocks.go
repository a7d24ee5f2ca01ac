package ledgertest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

func blockKeepsItsID(s *suite) {
	s.guess(11, 0)
	if t := s.tally(time.Minute); t.Block != "" || !t.Since.IsZero() {
		s.Errorf("a block that nobody was told of: %+v", t)
	}
	if got := s.begin(prefix, "first", time.Minute); got != "first" {
		s.Errorf("begun as %q", got)
	}
	if got := s.begin(prefix, "second", 2*time.Minute); got != "first" {
		s.Errorf("a second begin gives %q", got)
	}
	s.fail(prefix, client, 3*time.Minute) // from a session that was open
	check := func(when string) {
		s.Helper()
		t := s.tally(4 * time.Minute)
		if t.Block != "first" || !t.Since.Equal(at(time.Minute)) || !t.Until.Equal(at(time.Hour+time.Second)) || t.Count != 12 {
			s.Errorf("%s: %+v", when, t)
		}
	}
	check("during the block")
	s.restart(4 * time.Minute)
	check("after a restart")
	s.block(time.Hour+time.Second-1, "first")
}

func laterBlockIsNew(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	s.count(time.Hour, 10)
	if t := s.tally(time.Hour); t.Block != "" || !t.Since.IsZero() {
		s.Errorf("the block is over: %+v", t)
	}
	if t := s.fail(prefix, client, time.Hour); t.Count != 11 || t.Block != "" {
		s.Errorf("a later block has the old id: %+v", t)
	}
	if got := s.begin(prefix, "second", time.Hour); got != "second" {
		s.Errorf("a later block begins as %q", got)
	}
	s.restart(time.Hour)
	s.block(time.Hour, "second")
}

// The daemon is killed after the failure that blocks again, before that block
// has its id: it must not come back with the id of the earlier one. Nobody
// looked at the client in between, or somebody did.
func laterBlockAfterRestart(s *suite) {
	for i, looked := range []bool{false, true} {
		begin := time.Duration(i) * 10 * time.Hour
		s.guess(11, begin)
		s.begin(prefix, fmt.Sprintf("first-%d", i), begin+time.Minute)
		if looked {
			s.tally(begin + 2*time.Hour)
			s.restart(begin + 2*time.Hour)
		}
		s.guess(11, begin+3*time.Hour)
		s.restart(begin + 3*time.Hour + time.Minute)
		s.block(begin+3*time.Hour+time.Minute, "")
	}
}

// The block was lifted, or ended, while its entry was written.
func noBlockToBegin(s *suite) {
	if got := s.begin(prefix, "orphan", 0); got != "orphan" {
		s.Errorf("got %q", got)
	}
	s.guess(10, 0)
	if got := s.begin(prefix, "early", time.Minute); got != "early" {
		s.Errorf("got %q", got)
	}
	if t := s.fail(prefix, client, 2*time.Minute); t.Count != 11 || t.Block != "" {
		s.Errorf("a block that began before it was one: %+v", t)
	}
	s.begin(prefix, "right", 3*time.Minute)
	s.restart(3 * time.Minute)
	s.block(3*time.Minute, "right")
}

func beginAtOnce(s *suite) {
	s.guess(11, 0)
	const callers = 40
	got := make(chan string, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { got <- s.begin(prefix, fmt.Sprintf("id-%d", i), time.Minute) })
	}
	all.Wait()
	close(got)
	first := s.tally(time.Minute).Block
	for id := range got {
		if id != first {
			s.Errorf("one caller was told %q, the block is %q", id, first)
		}
	}
	s.restart(time.Minute)
	s.block(time.Minute, first)
}

func blocks(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "four", time.Minute)
	for i := range 12 {
		s.fail(prefix6, client6, 2*time.Minute+time.Duration(i)*time.Second)
	}
	s.begin(prefix6, "six", 3*time.Minute)
	for range 10 {
		s.fail(netip.MustParsePrefix("192.0.2.9/32"), netip.MustParseAddr("192.0.2.9"), 0)
	}
	check := func(when string) {
		s.Helper()
		list := s.Blocks(at(4*time.Minute), Window)
		if len(list) != 2 || s.Blocked(at(4*time.Minute), Window) != 2 {
			s.Fatalf("%s: %d blocks listed, %d counted", when, len(list), s.Blocked(at(4*time.Minute), Window))
		}
		six, four := list[0], list[1]
		if six.Prefix != prefix6 || six.ID != "six" || six.Count != 12 || !six.Since.Equal(at(3*time.Minute)) ||
			!six.Until.Equal(at(time.Hour+2*time.Minute+time.Second)) {
			s.Errorf("%s, latest: %+v", when, six)
		}
		if four.Prefix != prefix || four.ID != "four" || len(four.Failures) != 11 || !four.Failures[0].Time.Equal(at(0)) ||
			four.Failures[0].Login != "jan@domena.cz" {
			s.Errorf("%s, earlier: %+v", when, four)
		}
	}
	check("listed")
	s.restart(4 * time.Minute)
	check("after a restart")
	if n := len(s.Blocks(at(time.Hour), Window)); n != 1 || s.Blocked(at(time.Hour), Window) != 1 {
		s.Errorf("one is over, %d listed", n)
	}
}

func unblock(s *suite) {
	if lifted := s.lift(client, 0); len(lifted) != 0 {
		s.Errorf("nobody is blocked, lifted %+v", lifted)
	}
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	if lifted := s.lift(netip.MustParseAddr("192.0.2.8"), time.Minute); len(lifted) != 0 {
		s.Errorf("another address lifted %+v", lifted)
	}
	s.block(time.Minute, "first")
	lifted := s.lift(client, time.Minute)
	if len(lifted) != 1 || lifted[0].ID != "first" || lifted[0].Prefix != prefix || lifted[0].Count != 11 {
		s.Errorf("lifted %+v", lifted)
	}
	s.count(time.Minute, 0)
	if n := s.Blocked(at(time.Minute), Window); n != 0 {
		s.Errorf("%d blocked", n)
	}
	if again := s.lift(client, time.Minute); len(again) != 0 {
		s.Errorf("lifted twice: %+v", again)
	}
	// The slate is clean: it takes eleven again, and they are a new block.
	s.guess(10, 2*time.Minute)
	s.count(3*time.Minute, 10)
	s.fail(prefix, client, 3*time.Minute)
	s.block(3*time.Minute, "")
	// Failures that have not blocked are forgotten just the same.
	s.lift(client, 4*time.Minute)
	s.guess(5, 4*time.Minute)
	if lifted := s.lift(client, 5*time.Minute); len(lifted) != 0 {
		s.Errorf("five failures are no block: %+v", lifted)
	}
	s.count(5*time.Minute, 0)
}

func unblockSurvives(s *suite) {
	s.guess(11, 0)
	s.begin(prefix, "first", time.Minute)
	s.lift(client, time.Minute)
	s.restart(time.Minute)
	s.count(time.Minute, 0)
	s.guess(3, time.Minute) // in the very moment of the unblock, and later
	s.restart(2 * time.Minute)
	s.count(2*time.Minute, 3)
	s.guess(8, 2*time.Minute)
	s.block(3*time.Minute, "")
	s.restart(3 * time.Minute)
	s.block(3*time.Minute, "")
	s.lift(client, 4*time.Minute)
	s.pruneAt(5 * time.Minute)
	s.restart(5 * time.Minute)
	s.count(5*time.Minute, 0)
}

// Any address of the prefix lifts its block, whatever the prefix length was.
func unblockIPv6(s *suite) {
	wide := netip.MustParsePrefix("2001:db8:1::/48")
	for range 11 {
		s.fail(prefix6, client6, 0)
		s.fail(wide, client6, 0)
	}
	s.begin(prefix6, "narrow", time.Minute)
	if lifted := s.lift(netip.MustParseAddr("2001:db8:1:2:ffff::1"), time.Minute); len(lifted) != 2 {
		s.Errorf("lifted %+v", lifted)
	}
	s.restart(time.Minute)
	if a, b := s.Tally(prefix6, at(time.Minute), Window), s.Tally(wide, at(time.Minute), Window); a.Count+b.Count != 0 {
		s.Errorf("left: %+v %+v", a, b)
	}
}

// everythingAtOnce is for the race detector, and for locks that wait for
// each other.
func everythingAtOnce(s *suite) {
	var all sync.WaitGroup
	for i := range 8 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 4)})
		p := netip.PrefixFrom(from, 32)
		all.Go(func() {
			for n := range 30 {
				after := time.Duration(n) * time.Second
				if t := s.fail(p, from, after); t.Count > Window.Limit {
					s.begin(p, fmt.Sprintf("%d-%d", i, n), after)
				}
				s.Blocks(at(after), Window)
				s.Failures(p, from, at(0))
				s.grant(from, fmt.Sprintf("user%d@domena.cz", n%7), after)
				s.Grants(from, at(after), Validity)
				if n%10 == 9 {
					s.lift(from, after)
				}
				if err := s.Prune(context.Background(), at(after), Counting, Validity); err != nil {
					s.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := s.Healthy(); err != nil {
		s.Error(err)
	}
	before := map[netip.Addr]int{}
	for i := range 4 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		before[from] = s.Tally(netip.PrefixFrom(from, 32), at(time.Minute), Window).Count
	}
	s.restart(time.Minute)
	for from, want := range before {
		if got := s.Tally(netip.PrefixFrom(from, 32), at(time.Minute), Window).Count; got != want {
			s.Errorf("%s: %d failures counted before the restart, %d after", from, want, got)
		}
	}
}
