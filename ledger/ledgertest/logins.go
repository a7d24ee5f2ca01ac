package ledgertest

import (
	"context"
	"net/netip"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

const guessedLogin = "jan@domena.cz"

// botnet is the n-th address of many.
func botnet(n int) (netip.Prefix, netip.Addr) {
	a := netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
	return netip.PrefixFrom(a, 32), a
}

// tries makes n failures of one login, each from an address of its own.
func (s *suite) tries(n int, login string, after time.Duration) (last rules.Tally) {
	s.Helper()
	for i := range n {
		p, from := botnet(i)
		t, err := s.AddFailure(context.Background(), p, failure(from, login, after+time.Duration(i)*time.Second), Counting)
		if err != nil {
			s.Fatal(err)
		}
		last = t.Login
	}
	return last
}

func (s *suite) loginCount(login string, after time.Duration, want int) {
	s.Helper()
	if got := s.LoginTally(login, at(after), Counting.Login).Count; got != want {
		s.Errorf("%s after noon %d failures of %s count, want %d", after, got, login, want)
	}
}

func (s *suite) beginGuessed(login, id string, after time.Duration) string {
	s.Helper()
	inForce, err := s.BeginGuessed(context.Background(), login, id, at(after), Counting.Login)
	if err != nil {
		s.Fatal(err)
	}
	return inForce
}

// Failures of one login count together, whatever addresses they come from, and
// leave the window one by one.
func loginCounted(s *suite) {
	if t := s.tries(4, guessedLogin, 0); t.Count != 4 || !t.Until.Equal(at(time.Hour)) {
		s.Errorf("four failures: %+v", t)
	}
	s.tries(2, "eva@domena.cz", 0)
	s.loginCount(guessedLogin, time.Minute, 4)
	s.loginCount("eva@domena.cz", time.Minute, 2)
	s.loginCount(guessedLogin, time.Hour+time.Second, 2)
	s.loginCount(guessedLogin, 2*time.Hour, 0)
	for i := range 6 { // no address has more than two
		p, _ := botnet(i)
		if got := s.Tally(p, at(time.Minute), Window).Count; got > 2 {
			s.Errorf("%s has %d", p, got)
		}
	}
	uncounted := failure(client, "eva@domena.cz", 0)
	uncounted.Counted = false
	s.add(prefix, uncounted)
	s.loginCount("eva@domena.cz", time.Minute, 2)
	list := s.LoginFailures(guessedLogin, at(time.Second))
	if len(list) != 3 || !list[0].Time.Equal(at(3*time.Second)) || list[0].Client.String() != "198.51.0.3" {
		s.Errorf("failures of the login: %+v", list)
	}
}

// Failures from an address that stands for many people count for their login only.
func loginAlone(s *suite) {
	for range 5 {
		s.add(netip.Prefix{}, failure(client, guessedLogin, 0))
	}
	s.add(netip.Prefix{}, failure(netip.Addr{}, guessedLogin, 0)) // an unknown address
	s.restart(time.Minute)
	s.loginCount(guessedLogin, time.Minute, 6)
	s.count(time.Minute, 0)
	if blocks := s.Blocks(at(time.Minute), Window); len(blocks) != 0 {
		s.Errorf("blocks: %+v", blocks)
	}
}

// What can be no account here is not counted by login; nor is anything while the
// rule is off.
func loginNotCounted(s *suite) {
	s.tries(5, "jan", 0)
	s.tries(5, "", 0)
	s.loginCount("jan", time.Minute, 0)
	s.loginCount("", time.Minute, 0)
	off := ledger.Counting{Client: Window}
	t, err := s.AddFailure(context.Background(), prefix, failure(client, guessedLogin, 0), off)
	if err != nil || t.Login.Count != 0 || t.Client.Count != 1 {
		s.Errorf("while it is off: %+v %v", t, err)
	}
	s.loginCount(guessedLogin, time.Minute, 0)
}

// A login that is guessed has one id for as long as that lasts.
func loginGuessed(s *suite) {
	s.tries(3, guessedLogin, 0)
	if list := s.Guessed(at(time.Minute), Counting.Login); len(list) != 0 {
		s.Errorf("at the limit: %+v", list)
	}
	s.tries(1, guessedLogin, time.Minute)
	if got := s.beginGuessed(guessedLogin, "first", time.Minute); got != "first" {
		s.Errorf("begun with %q", got)
	}
	if got := s.beginGuessed(guessedLogin, "second", 2*time.Minute); got != "first" {
		s.Errorf("begun twice: %q", got)
	}
	want := ledger.Guessed{Login: guessedLogin, ID: "first", Since: at(time.Minute), Until: at(time.Hour), Count: 4}
	list := s.Guessed(at(2*time.Minute), Counting.Login)
	if len(list) != 1 || list[0].Login != want.Login || list[0].ID != want.ID || list[0].Count != want.Count ||
		!list[0].Since.Equal(want.Since) || !list[0].Until.Equal(want.Until) {
		s.Errorf("guessed: %+v, want %+v", list, want)
	}
	s.tries(4, guessedLogin, 3*time.Hour)
	if t := s.LoginTally(guessedLogin, at(3*time.Hour+time.Minute), Counting.Login); t.Block != "" {
		s.Errorf("a later time has the id %q", t.Block)
	}
	if got := s.beginGuessed(guessedLogin, "third", 3*time.Hour+time.Minute); got != "third" {
		s.Errorf("a later time begins with %q", got)
	}
}

// Lifting a block forgets the address's failures, not that its login is guessed.
func loginGuessedUnblock(s *suite) {
	for i := range 11 {
		s.fail(prefix, client, time.Duration(i)*time.Second)
	}
	s.begin(prefix, "block", time.Minute)
	s.beginGuessed(guessedLogin, "guess", time.Minute)
	s.lift(client, 2*time.Minute)
	for range 2 {
		s.count(3*time.Minute, 0)
		if t := s.LoginTally(guessedLogin, at(3*time.Minute), Counting.Login); t.Count < 4 || t.Block != "guess" {
			s.Errorf("the login: %+v", t)
		}
		s.restart(3 * time.Minute)
	}
}

func loginSurvives(s *suite) {
	s.tries(5, guessedLogin, 0)
	s.beginGuessed(guessedLogin, "first", time.Minute)
	for _, after := range []time.Duration{2 * time.Minute, 3 * time.Minute} {
		s.restart(after)
		if t := s.LoginTally(guessedLogin, at(after), Counting.Login); t.Count != 5 || t.Block != "first" || !t.Since.Equal(at(time.Minute)) {
			s.Errorf("after a restart: %+v", t)
		}
		s.pruneAt(after)
	}
	// One that ended does not lend its id to the next, whoever was there to see it.
	s.restart(2 * time.Hour)
	s.tries(4, guessedLogin, 2*time.Hour)
	s.restart(2*time.Hour + time.Minute)
	if t := s.LoginTally(guessedLogin, at(2*time.Hour+time.Minute), Counting.Login); t.Count != 4 || t.Block != "" {
		s.Errorf("the next one: %+v", t)
	}
	s.pruneAt(24 * time.Hour)
	s.restart(24 * time.Hour)
	s.loginCount(guessedLogin, 24*time.Hour, 0)
}

// A log that is read twice counts once for the login, too.
func loginToldAgain(s *suite) {
	f := failure(client, guessedLogin, 0)
	f.ID = 0x1234_5678_9abc
	for range 3 {
		s.add(netip.Prefix{}, f)
		s.add(prefix, f)
	}
	s.restart(time.Minute)
	s.add(netip.Prefix{}, f)
	s.loginCount(guessedLogin, time.Minute, 1)
}

// A login without @ is not kept (people type passwords there), so what a default
// domain has made of it counts until a restart.
func loginOfDefaultDomain(s *suite) {
	for i := range 4 {
		f := failure(client, "jan", time.Duration(i)*time.Second)
		f.Login = guessedLogin
		s.add(prefix, f)
	}
	s.loginCount(guessedLogin, time.Minute, 4)
	s.beginGuessed(guessedLogin, "first", time.Minute)
	if list := s.Guessed(at(time.Minute), Counting.Login); len(list) != 1 || list[0].Login != rules.ShownLogin("jan") {
		s.Errorf("guessed: %+v", list)
	}
	s.restart(2 * time.Minute)
	s.loginCount(guessedLogin, 2*time.Minute, 0)
	if list := s.Guessed(at(2*time.Minute), Counting.Login); len(list) != 0 {
		s.Errorf("kept: %+v", list)
	}
}

func (s *suite) logIn(login string, p netip.Prefix, after time.Duration) {
	s.Helper()
	if err := s.AddLogin(context.Background(), login, p, at(after)); err != nil {
		s.Fatal(err)
	}
}

// loggedIn checks whether the client is known to the login.
func (s *suite) loggedIn(login string, p netip.Prefix, after time.Duration, want bool) {
	s.Helper()
	if got := s.HasLoggedIn(login, p, at(after)); got != want {
		s.Errorf("%s after noon %s has logged in from %s: %v", after, login, p, got)
	}
}

const day = 24 * time.Hour

func loginsSeen(s *suite) {
	s.loggedIn(guessedLogin, prefix, 0, false)
	s.logIn(guessedLogin, prefix, 0)
	s.logIn(guessedLogin, prefix6, 0)
	s.loggedIn(guessedLogin, prefix, time.Second, true)
	s.loggedIn(guessedLogin, prefix6, time.Second, true)
	s.loggedIn("eva@domena.cz", prefix, time.Second, false)
	s.loggedIn(guessedLogin, prefix, 30*day-time.Minute, true)
	s.loggedIn(guessedLogin, prefix, 30*day, false)
	s.logIn(guessedLogin, prefix, 20*day) // another login keeps it
	s.pruneAt(40 * day)
	s.loggedIn(guessedLogin, prefix, 40*day, true)
	s.loggedIn(guessedLogin, prefix6, 40*day, false)
	// A failure does not.
	s.fail(prefix, client, 49*day)
	s.loggedIn(guessedLogin, prefix, 50*day, false)
}

func loginsSeenSurvive(s *suite) {
	s.logIn(guessedLogin, prefix, 0)
	s.logIn(guessedLogin, prefix, 5*time.Minute) // one of many, which are not all written
	s.logIn("eva@domena.cz", prefix, 0)
	s.logIn("eva@domena.cz", prefix, 10*day)
	s.restart(11 * day)
	s.loggedIn(guessedLogin, prefix, 11*day, true)
	s.pruneAt(35 * day)
	s.restart(35 * day)
	s.loggedIn(guessedLogin, prefix, 35*day, false)
	s.loggedIn("eva@domena.cz", prefix, 35*day, true)
}

// A clock that was set back must not make an address known for longer.
func loginsSeenClock(s *suite) {
	s.logIn(guessedLogin, prefix, 100*day)
	s.restart(0)
	s.loggedIn(guessedLogin, prefix, 29*day, true)
	s.loggedIn(guessedLogin, prefix, 30*day, false)
}
