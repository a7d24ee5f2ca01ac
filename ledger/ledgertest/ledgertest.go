// Package ledgertest is the conformance suite of ledger.Ledger: every
// implementation must pass it.
package ledgertest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

// Noon is the time at which every test begins.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Open makes an empty ledger that counts by Window and keeps grants for
// Validity. reopen closes it and opens what it has stored, as a restart at the
// given time after Noon would; the test's clean-up closes the last one.
type Open func(t *testing.T) (l ledger.Ledger, reopen func(after time.Duration) ledger.Ledger)

// Window, Counting and Validity are what the suite counts and grants by.
var Window = ledger.Window{Limit: 10, Length: time.Hour}

// Counting counts by login, too.
var Counting = ledger.Counting{Client: Window, Login: ledger.Window{Limit: 3, Length: time.Hour}}

// Validity is how long a grant holds.
const Validity = time.Hour

var (
	client  = netip.MustParseAddr("192.0.2.7")
	prefix  = netip.MustParsePrefix("192.0.2.7/32")
	client6 = netip.MustParseAddr("2001:db8:1:2::7")
	prefix6 = netip.MustParsePrefix("2001:db8:1:2::/64")
)

// Run tests an implementation. without names the tests of what it does not do, or
// does in another way, as its own tests show.
func Run(t *testing.T, open Open, without ...string) {
	for _, name := range without {
		if tests[name] == nil {
			t.Errorf("the suite has no test %q to do without", name)
		}
	}
	for name, test := range tests {
		if slices.Contains(without, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t}
			s.Ledger, s.reopen = open(t)
			test(s)
		})
	}
}

var tests = map[string]func(*suite){
	"limit":                      limit,
	"uncounted":                  uncounted,
	"uncounted push nothing out": uncountedPushNothingOut,
	"window slides":              windowSlides,
	"until":                      until,
	"late witness":               lateWitness,
	"limit changes":              limitChanges,
	"prefixes apart":             prefixesApart,
	"failures":                   failures,
	"failures kept":              failuresKept,
	"same password":              samePassword,
	"told again":                 toldAgain,
	"block keeps its id":         blockKeepsItsID,
	"later block is new":         laterBlockIsNew,
	"later block after restart":  laterBlockAfterRestart,
	"no block to begin":          noBlockToBegin,
	"begin at once":              beginAtOnce,
	"blocks":                     blocks,
	"unblock":                    unblock,
	"unblock survives":           unblockSurvives,
	"unblock IPv6":               unblockIPv6,
	"find failures":              findFailures,
	"login counted":              loginCounted,
	"login alone":                loginAlone,
	"login that is no account's": loginNotCounted,
	"login guessed":              loginGuessed,
	"login guessed, unblock":     loginGuessedUnblock,
	"login survives":             loginSurvives,
	"login told again":           loginToldAgain,
	"login of a default domain":  loginOfDefaultDomain,
	"logins seen":                loginsSeen,
	"logins seen survive":        loginsSeenSurvive,
	"logins seen, clock":         loginsSeenClock,
	"grants":                     grants,
	"grants survive":             grantsSurvive,
	"failures survive":           failuresSurvive,
	"prune":                      prune,
	"quota reserves":             quotaReserves,
	"quota slides":               quotaSlides,
	"quota survives":             quotaSurvives,
	"quota race":                 quotaRace,
	"quota charge":               quotaCharge,
	"failures at once":           failuresAtOnce,
	"everything at once":         everythingAtOnce,
	"clock set back":             clockSetBack,
	"clock set back, restart":    clockSetBackRestart,
	"clock set back, grants":     clockSetBackGrants,
	"clock set back, unblock":    clockSetBackUnblock,
	"clock set forward":          clockSetForward,
}

// suite is one test's ledger, spoken to in offsets from Noon.
type suite struct {
	*testing.T
	ledger.Ledger
	reopen func(time.Duration) ledger.Ledger
}

func at(after time.Duration) time.Time { return Noon.Add(after) }

func (s *suite) restart(after time.Duration) { s.Ledger = s.reopen(after) }

// fail is one failed login that counts.
func (s *suite) fail(p netip.Prefix, from netip.Addr, after time.Duration) rules.Tally {
	s.Helper()
	return s.add(p, failure(from, "jan@domena.cz", after))
}

func failure(from netip.Addr, login string, after time.Duration) rules.Failure {
	return rules.Failure{
		Time: at(after), Client: from, Login: login, Shown: rules.ShownLogin(login),
		Protocol: "smtp", Password: "02a1", Counted: true,
	}
}

func (s *suite) add(p netip.Prefix, f rules.Failure) rules.Tally {
	s.Helper()
	t, err := s.AddFailure(context.Background(), p, f, Counting)
	if err != nil {
		s.Fatal(err)
	}
	return t.Client
}

// guess makes n failures of the client, a second apart.
func (s *suite) guess(n int, after time.Duration) {
	s.Helper()
	for i := range n {
		s.fail(prefix, client, after+time.Duration(i)*time.Second)
	}
}

func (s *suite) begin(p netip.Prefix, id string, after time.Duration) string {
	s.Helper()
	inForce, err := s.BeginBlock(context.Background(), p, id, at(after), Window)
	if err != nil {
		s.Fatal(err)
	}
	return inForce
}

func (s *suite) lift(a netip.Addr, after time.Duration) []ledger.Block {
	s.Helper()
	lifted, err := s.Unblock(context.Background(), a, at(after), Window)
	if err != nil {
		s.Fatal(err)
	}
	return lifted
}

func (s *suite) tally(after time.Duration) rules.Tally { return s.Tally(prefix, at(after), Window) }

// count checks how many failures of the client count.
func (s *suite) count(after time.Duration, want int) {
	s.Helper()
	if got := s.tally(after).Count; got != want {
		s.Errorf("%s after noon %d failures count, want %d", after, got, want)
	}
}

// block checks the id of the client's block, and that there is one.
func (s *suite) block(after time.Duration, id string) {
	s.Helper()
	if t := s.tally(after); t.Block != id || t.Count <= Window.Limit {
		s.Errorf("%s after noon the block is %q with %d failures, want %q", after, t.Block, t.Count, id)
	}
}

func (s *suite) grant(a netip.Addr, login string, after time.Duration) {
	s.Helper()
	if err := s.AddGrant(context.Background(), a, rules.Grant{Login: login, Last: at(after)}); err != nil {
		s.Fatal(err)
	}
}

// granted lists the valid grants as text: login and age.
func (s *suite) granted(a netip.Addr, after time.Duration) string {
	text := ""
	for _, g := range s.Grants(a, at(after), Validity) {
		text += fmt.Sprintf("%s %s;", g.Login, at(after).Sub(g.Last))
	}
	return text
}

func (s *suite) pruneAt(after time.Duration) {
	s.Helper()
	if err := s.Prune(context.Background(), at(after), Counting, Validity); err != nil {
		s.Fatal(err)
	}
}
