package rules

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// slow is a policy that delays above three failures of one login.
func slow() *Policy {
	p := newPolicy()
	p.Guessing = Guessing{Limit: 3, Window: time.Hour, Delay: 5 * time.Second}
	return p
}

func TestSlowGuessing(t *testing.T) {
	above := func(w *world) { w.guesses = 4 }
	pop := sasl(StageAuth, stranger, "jan@domena.cz")
	pop.Service = "pop3"
	for _, g := range []struct {
		name   string
		r      *Request
		world  func(*world)
		policy func(*Policy)
		delay  time.Duration
		rule   Rule // that refuses instead
	}{
		{name: "above the limit", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: above, delay: 5 * time.Second},
		{name: "case of the login", r: sasl(StageAuth, stranger, "JAN@Domena.CZ"), world: above, delay: 5 * time.Second},
		{name: "unknown address", r: sasl(StageAuth, "", "jan@domena.cz"), world: above, delay: 5 * time.Second},
		{name: "webmail", r: sasl(StageAuth, webmail, "jan@domena.cz"), world: above, delay: 5 * time.Second},
		{name: "trusted", r: sasl(StageAuth, trusted, "jan@domena.cz"), world: above, delay: 5 * time.Second},
		{name: "shared", r: sasl(StageAuth, sharedIP, "jan@domena.cz"), world: above, delay: 5 * time.Second},
		{
			name: "default domain", r: sasl(StageAuth, stranger, "jan"), world: above, delay: 5 * time.Second,
			policy: func(p *Policy) { p.Logins.DefaultDomain = "domena.cz" },
		},
		{name: "a shorter delay", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: above, delay: time.Second, policy: func(p *Policy) { p.Guessing.Delay = time.Second }},
		// A login that does not exist is no different, unless its owner may be told.
		{name: "no account, no hints", r: sasl(StageAuth, stranger, "ghost@domena.cz"), world: above, delay: 5 * time.Second, policy: func(p *Policy) { p.Hints = false }},
		{name: "no account", r: sasl(StageAuth, stranger, "ghost@domena.cz"), world: above, rule: RuleAuthRejected},

		{name: "at the limit", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: func(w *world) { w.guesses = 3 }},
		{name: "its owner's address", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: func(w *world) { w.guesses, w.known = 4, true }},
		{name: "off", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: above, policy: func(p *Policy) { p.Guessing.Limit = 0 }},
		{name: "observed", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: above, policy: func(p *Policy) { p.ObserveAll = true }},
		{name: "observed alone", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: above, policy: func(p *Policy) { p.Observe = map[Rule]bool{RuleLoginFailures: true} }},
		{name: "another service", r: pop, world: above},
		{name: "no whole address", r: sasl(StageAuth, stranger, "jan"), world: above, policy: func(p *Policy) { p.Hints = false }},
		{name: "no login yet", r: sasl(StageAuthBegin, stranger, ""), world: above},
		{name: "MAIL", r: request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.cz"), world: above},
		{name: "blocked", r: sasl(StageAuth, stranger, "jan@domena.cz"), world: func(w *world) { w.guesses, w.count = 4, 11 }, rule: RuleThrottled},
	} {
		p, w := slow(), newWorld()
		if g.policy != nil {
			g.policy(p)
		}
		g.world(w)
		d := p.Decide(g.r, w)
		refused := d.Action == Refuse
		if d.Slowed.Delay != g.delay || d.Rule != g.rule || refused != (g.rule != "") {
			t.Errorf("%s: %+v, want delay %s, rule %q", g.name, d, g.delay, g.rule)
		}
		if g.delay > 0 && (d.Slowed.Rule != RuleLoginFailures || d.Slowed.Reason != ReasonGuessed) {
			t.Errorf("%s: %+v", g.name, d)
		}
	}
}

func TestSlowGuessingObserved(t *testing.T) {
	p, w := slow(), newWorld()
	p.ObserveAll, w.guesses = true, 4
	d := p.Decide(sasl(StageAuth, stranger, "jan@domena.cz"), w)
	if len(d.Observed) != 1 || d.Observed[0].Rule != RuleLoginFailures || !d.Observed[0].Observed || d.Action != Pass {
		t.Errorf("%+v", d)
	}
}

// While the rule is off it costs nothing, and it asks for the owner's addresses
// only above the limit.
func TestSlowGuessingAsks(t *testing.T) {
	for name, c := range map[string]struct {
		limit, guesses int
		want           []string
	}{
		"off":       {0, 9, []string{"tally", "account jan@domena.cz"}},
		"below":     {3, 3, []string{"tally", "account jan@domena.cz", "guesses jan@domena.cz"}},
		"above":     {3, 4, []string{"tally", "account jan@domena.cz", "guesses jan@domena.cz", "has logged in jan@domena.cz"}},
		"the first": {1, 2, []string{"tally", "account jan@domena.cz", "guesses jan@domena.cz", "has logged in jan@domena.cz"}},
	} {
		p, w := slow(), newWorld()
		p.Guessing.Limit, w.guesses = c.limit, c.guesses
		p.Decide(sasl(StageAuth, stranger, "jan@domena.cz"), w)
		if w.asked = slices.Compact(w.asked); !reflect.DeepEqual(w.asked, c.want) {
			t.Errorf("%s: asked %q, want %q", name, w.asked, c.want)
		}
	}
}

// With the SASL relay the mailbox services stay the auth policy's.
func TestWitnessOfMailboxServices(t *testing.T) {
	p := newPolicy()
	p.SASLRelay = true
	p.Throttle.Services = []string{"smtp", "submission", "imap", "pop3"}
	for service, want := range map[string]bool{"smtp": false, "submission": false, "imap": true, "pop3": true, "sieve": false} {
		for _, front := range []Protocol{ProtocolAuthPolicy, ProtocolMaillog} {
			if got := p.Witnesses(front, service); got != want {
				t.Errorf("%s witnesses %s: %v", front, service, got)
			}
		}
	}
	if !p.Witnesses(ProtocolSASL, "submission") {
		t.Error("the relay does not witness submission")
	}
}
