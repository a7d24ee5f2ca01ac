package ledgertest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

// The first ten failures do not block; the eleventh does.
func limit(s *suite) {
	for n := 1; n <= 12; n++ {
		t := s.fail(prefix, client, time.Duration(n)*time.Second)
		if t.Count != n {
			s.Errorf("failure %d: the tally says %d", n, t.Count)
		}
		if again := s.tally(time.Duration(n) * time.Second); !sameTally(again, t) {
			s.Errorf("failure %d: told %+v, then %+v", n, t, again)
		}
		if blocked := !t.Until.IsZero(); blocked != (n > 10) {
			s.Errorf("failure %d: until %s", n, t.Until)
		}
		if got, want := s.Blocked(at(time.Duration(n)*time.Second), Window), n/11; got != want {
			s.Errorf("failure %d: %d clients blocked, want %d", n, got, want)
		}
	}
}

// sameTally compares moments, whatever their zones.
func sameTally(a, b rules.Tally) bool {
	return a.Count == b.Count && a.Block == b.Block && a.Since.Equal(b.Since) && a.Until.Equal(b.Until)
}

func uncounted(s *suite) {
	hint := failure(client, "eva@domena.cz", 0)
	hint.Counted = false
	for range 20 {
		if t := s.add(prefix, hint); t.Count != 0 || !t.Until.IsZero() {
			s.Fatalf("a refusal that does not count was counted: %+v", t)
		}
	}
	s.guess(10, 0)
	s.count(time.Minute, 10)
	if got := s.Failures(prefix, client, at(0)); len(got) < 11 || !slices.ContainsFunc(got, func(f rules.Failure) bool { return !f.Counted }) {
		s.Errorf("the help desk sees %d failures", len(got))
	}
}

// Else a guesser could wipe his slate by asking for a disabled account.
func uncountedPushNothingOut(s *suite) {
	s.guess(10, 0)
	hint := failure(client, "eva@domena.cz", time.Minute)
	hint.Counted = false
	for range 500 {
		s.add(prefix, hint)
	}
	s.count(2*time.Minute, 10)
	if t := s.fail(prefix, client, 2*time.Minute); t.Count != 11 {
		s.Errorf("the eleventh failure is number %d", t.Count)
	}
	s.restart(2 * time.Minute)
	s.count(2*time.Minute, 11)
	if n := len(s.Failures(prefix, client, at(0))); n > 100 {
		s.Errorf("%d failures of one client are kept: no bound", n)
	}
}

// A failure counts while it is younger than the window.
func windowSlides(s *suite) {
	s.fail(prefix, client, 0)
	s.fail(prefix, client, time.Minute)
	s.count(time.Minute, 2)
	s.count(time.Hour-1, 2)
	s.count(time.Hour, 1)
	s.count(time.Hour+time.Minute-1, 1)
	s.count(time.Hour+time.Minute, 0)
}

// A block ends at the moment when the count falls to the limit.
func until(s *suite) {
	s.guess(11, 0)
	want := at(time.Hour) // when the first of them is an hour old
	if got := s.tally(time.Minute).Until; !got.Equal(want) {
		s.Errorf("11 failures: until %s, want %s", got, want)
	}
	s.count(time.Hour-1, 11)
	s.count(time.Hour, 10)
	if got := s.tally(time.Hour).Until; !got.IsZero() {
		s.Errorf("no block, until %s", got)
	}
	// Failures that arrive during a block (a session that was open) move its end.
	s.fail(prefix, client, time.Hour)
	s.fail(prefix, client, time.Hour+1)
	if got, want := s.tally(time.Hour+time.Minute).Until, at(time.Hour+2*time.Second); !got.IsZero() {
		s.Errorf("a minute later: until %s", got)
	} else if got := s.tally(time.Hour + 1).Until; !got.Equal(want) {
		s.Errorf("12 failures within the hour: until %s, want %s", got, want)
	}
}

// A log may tell of a failure after a later one was told of already.
func lateWitness(s *suite) {
	s.guess(10, 0)
	if t := s.fail(prefix, client, -2*time.Hour); t.Count != 10 {
		s.Errorf("a failure of two hours ago: %d count", t.Count)
	}
	s.count(time.Minute, 10)
	if t := s.fail(prefix, client, -30*time.Minute); t.Count != 11 {
		s.Errorf("a failure of half an hour ago: %d count, want 11", t.Count)
	}
	if got, want := s.tally(time.Minute).Until, at(30*time.Minute); !got.Equal(want) {
		s.Errorf("until %s, want %s", got, want)
	}
	list := s.Failures(prefix, client, at(-3*time.Hour))
	if !slices.IsSortedFunc(list, func(a, b rules.Failure) int { return b.Time.Compare(a.Time) }) {
		s.Error("failures are not newest first")
	}
}

// A reload may change the limit and the window: each call counts by its own.
func limitChanges(s *suite) {
	s.guess(8, 0)
	strict := ledger.Window{Limit: 3, Length: time.Hour}
	t := s.Tally(prefix, at(time.Minute), strict)
	if t.Count != 8 || !t.Until.Equal(at(time.Hour+4*time.Second)) {
		s.Errorf("limit 3: %+v", t)
	}
	if got := s.Blocks(at(time.Minute), strict); len(got) != 1 {
		s.Errorf("limit 3: %d blocks", len(got))
	}
	s.count(time.Minute, 8)
	if got := s.Blocked(at(time.Minute), Window); got != 0 {
		s.Errorf("limit 10 again: %d blocked", got)
	}
	if got := s.Tally(prefix, at(time.Minute), ledger.Window{Limit: 3, Length: 57 * time.Second}).Count; got != 4 {
		s.Errorf("window of 57 s: %d count, want 4", got)
	}
}

func prefixesApart(s *suite) {
	s.guess(11, 0)
	other := netip.MustParsePrefix("192.0.2.8/32")
	next6 := netip.MustParsePrefix("2001:db8:1:3::/64")
	for i := range 11 { // every one from another address of the /64
		a := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 15: byte(i)})
		if t := s.fail(prefix6, a, time.Minute); t.Count != i+1 {
			s.Errorf("address %s of the /64: %d count", a, t.Count)
		}
	}
	for p, want := range map[netip.Prefix]int{prefix: 11, prefix6: 11, other: 0, next6: 0} {
		if got := s.Tally(p, at(time.Minute), Window).Count; got != want {
			s.Errorf("%s: %d count, want %d", p, got, want)
		}
	}
}

func failures(s *suite) {
	a, b := client6, netip.MustParseAddr("2001:db8:1:2::8")
	for i, from := range []netip.Addr{a, b, a, b, a} {
		s.add(prefix6, failure(from, fmt.Sprintf("user%d@domena.cz", i), time.Duration(i)*time.Minute))
	}
	logins := func(who netip.Addr, since time.Duration) string {
		text := ""
		for _, f := range s.Failures(prefix6, who, at(since)) {
			text += f.Login[:5] + " "
		}
		return text
	}
	for got, want := range map[string]string{
		"all " + logins(netip.Addr{}, 0):                    "all user4 user3 user2 user1 user0 ",
		"a " + logins(a, 0):                                 "a user4 user2 user0 ",
		"b since " + logins(b, 2*time.Minute):               "b since user3 ",
		"not before " + logins(netip.Addr{}, 3*time.Minute): "not before user4 user3 ",
		"none " + logins(netip.Addr{}, time.Hour):           "none ",
		"stranger " + logins(client, 0):                     "stranger ",
	} {
		if got != want {
			s.Errorf("got %q, want %q", got, want)
		}
	}
	if list := s.Failures(prefix, client, at(0)); len(list) != 0 {
		s.Errorf("another prefix: %d", len(list))
	}
}

// The newest are kept, and what a count needs, however many there are.
func failuresKept(s *suite) {
	s.guess(300, 0)
	if t := s.tally(5 * time.Minute); t.Count <= Window.Limit || !t.Until.Equal(at(time.Hour+289*time.Second)) {
		s.Errorf("300 failures: %+v", t)
	}
	list := s.Failures(prefix, client, at(0))
	if len(list) < 11 || len(list) > 100 || !list[0].Time.Equal(at(299*time.Second)) {
		s.Errorf("%d kept", len(list))
	}
}

func failuresSurvive(s *suite) {
	want := rules.Failure{
		Time: at(time.Minute), Client: client, Login: "eva@domena.cz", Shown: "Eva@Domena.CZ",
		Protocol: "submission", Password: "7f3a", Counted: true, ID: 1<<48 - 1,
	}
	s.guess(10, 0)
	s.add(prefix, want)
	hidden := failure(client6, "tajneheslo", 2*time.Minute)
	hidden.Counted = false
	s.add(prefix6, hidden)
	s.restart(2 * time.Minute)
	got := s.Failures(prefix, client, at(0))
	if len(got) != 11 || !got[0].Time.Equal(want.Time) {
		s.Fatalf("%d failures survived", len(got))
	}
	if got[0].Time = want.Time; got[0] != want {
		s.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	s.count(2*time.Minute, 11)
	// What has no @ may be a password: only its shown form lives on.
	got = s.Failures(prefix6, client6, at(0))
	if len(got) != 1 || got[0].Shown != "t… (10 characters)" || got[0].Login == "tajneheslo" || got[0].Counted {
		s.Errorf("got %+v", got)
	}
	s.restart(time.Hour + 30*time.Second)
	s.count(time.Hour+30*time.Second, 1)
}

// Forty at once are counted one by one: nobody's tally is anybody else's.
func failuresAtOnce(s *suite) {
	wide := ledger.Window{Limit: 100, Length: time.Hour}
	const n = 40
	tallies := make(chan int, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			t, err := s.AddFailure(context.Background(), prefix, failure(client, "jan@domena.cz", 0), ledger.Counting{Client: wide})
			if err != nil {
				s.Error(err)
			}
			tallies <- t.Client.Count
			if now := s.Tally(prefix, at(0), wide).Count; now < t.Client.Count {
				s.Errorf("told %d, then %d", t.Client.Count, now)
			}
		})
	}
	all.Wait()
	close(tallies)
	seen := map[int]bool{}
	for count := range tallies {
		seen[count] = true
	}
	if len(seen) != n || !seen[1] || !seen[n] {
		s.Errorf("%d distinct tallies of %d: %v", len(seen), n, seen)
	}
	s.Ledger = s.reopen(time.Minute)
	if got := len(s.Failures(prefix, client, at(0))); got < Window.Limit+1 {
		s.Errorf("%d failures after a restart", got)
	}
}
