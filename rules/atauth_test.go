package rules

import (
	"reflect"
	"testing"
)

// sasl is a question of the SASL relay's.
func sasl(stage Stage, client, login string) *Request {
	r := request(stage, client, 0, login, "")
	r.Protocol = ProtocolSASL
	return r
}

// AUTH before the login is known: the throttle alone.
func TestAuthBegin(t *testing.T) {
	blocked := func(w *world) { w.count = 11 }
	pop := sasl(StageAuthBegin, stranger, "")
	pop.Service = "pop3"
	for _, g := range []given{
		{name: "no login is no bad login", r: sasl(StageAuthBegin, stranger, "")},
		{name: "ten failures", r: sasl(StageAuthBegin, stranger, ""), world: func(w *world) { w.count = 10 }},
		{name: "blocked", r: sasl(StageAuthBegin, stranger, ""), world: blocked, want: RuleThrottled, reason: ReasonBlocked},
		{name: "trusted", r: sasl(StageAuthBegin, trusted, ""), world: blocked},
		{name: "shared", r: sasl(StageAuthBegin, sharedIP, ""), world: blocked},
		{name: "unknown address", r: sasl(StageAuthBegin, "", "")},
		{name: "another service", r: pop, world: blocked},
		{name: "with the relay", r: sasl(StageAuthBegin, stranger, ""), world: blocked, policy: func(p *Policy) { p.SASLRelay = true }, want: RuleThrottled},
	} {
		g.run(t)
	}
}

// A failed password check is always refused; which words, the hints say.
func TestAuthFailed(t *testing.T) {
	disabled := sasl(StageAuthFailed, stranger, "jan@domena.cz")
	disabled.Disabled = true
	for _, g := range []given{
		{name: "wrong password", r: sasl(StageAuthFailed, stranger, "jan@domena.cz"), want: RuleAuthFailed, reason: ReasonLoginFailed},
		{name: "unknown", r: sasl(StageAuthFailed, stranger, "ghost@domena.cz"), want: RuleAuthRejected, reason: ReasonLoginUnknown},
		{name: "not whole", r: sasl(StageAuthFailed, stranger, "jan"), want: RuleAuthRejected, reason: ReasonLoginNotAddress},
		{name: "default domain", r: sasl(StageAuthFailed, stranger, "jan"), policy: func(p *Policy) { p.Logins.DefaultDomain = "domena.cz" }, want: RuleAuthFailed},
		{name: "disabled", r: sasl(StageAuthFailed, stranger, "eva@domena.cz"), want: RuleAccessDisabled, reason: ReasonLoginDisabled},
		{name: "disabled at Dovecot", r: disabled, want: RuleAccessDisabled, reason: ReasonLoginDisabled},
		{name: "a mechanism without a login", r: sasl(StageAuthFailed, stranger, ""), want: RuleAuthFailed},
		{name: "no hints", r: sasl(StageAuthFailed, stranger, "ghost"), policy: func(p *Policy) { p.Hints = false }, want: RuleAuthFailed},
		{name: "no hints, disabled at Dovecot", r: disabled, policy: func(p *Policy) { p.Hints = false }, want: RuleAuthFailed},
		{name: "directory down", r: sasl(StageAuthFailed, stranger, "ghost@domena.cz"), world: func(w *world) { w.down = true }, want: RuleAuthFailed},
		{name: "the one above the limit has its own answer", r: sasl(StageAuthFailed, stranger, "jan@domena.cz"), world: func(w *world) { w.count = 11 }, want: RuleAuthFailed},
		{name: "under way when the block began", r: sasl(StageAuthFailed, stranger, "jan@domena.cz"), world: func(w *world) { w.count = 12 }, want: RuleThrottled, reason: ReasonBlocked},
		{name: "shared addresses are told, too", r: sasl(StageAuthFailed, sharedIP, "jan@domena.cz"), want: RuleAuthFailed},
	} {
		g.run(t)
	}
	p := newPolicy()
	p.Observe = map[Rule]bool{RuleAuthFailed: true}
	if d := p.Decide(sasl(StageAuthFailed, stranger, "jan@domena.cz"), newWorld()); d.Action != Pass || len(d.Observed) != 1 {
		t.Errorf("observed: %+v", d)
	}
	for r, want := range map[*Request][]string{
		sasl(StageAuthFailed, stranger, "jan@domena.cz"): {"tally", "account jan@domena.cz"},
		sasl(StageAuthFailed, stranger, "jan"):           {"tally"},
		disabled:                                         {"tally"},
		sasl(StageAuthBegin, stranger, ""):               {"tally"},
	} {
		w := newWorld()
		newPolicy().Decide(r, w)
		if !reflect.DeepEqual(w.asked, want) {
			t.Errorf("%s: asked %q, want %q", r.Login, w.asked, want)
		}
	}
}

// With the SASL relay, nobody else counts or refuses SMTP logins.
func TestSASLRelayIsTheOnlyWitness(t *testing.T) {
	p := newPolicy()
	w := newWorld()
	w.count = 11
	for _, relay := range []bool{false, true} {
		p.SASLRelay = relay
		for protocol, second := range map[Protocol]bool{ProtocolSASL: false, ProtocolCommand: false, ProtocolAuthPolicy: true, ProtocolMaillog: true} {
			alone := relay && second
			r := request(StageAuth, stranger, 0, "jan@domena.cz", "")
			r.Protocol = protocol
			if d := p.Decide(r, w); (d.Action == Refuse) == alone {
				t.Errorf("relay %v, %s, blocked: %+v", relay, protocol, d)
			}
			r = request(StageAuth, "192.0.2.8", 0, "ghost@domena.cz", "")
			r.Protocol = protocol
			if d := p.Decide(r, newWorld()); (d.Rule == RuleAuthRejected) == alone {
				t.Errorf("relay %v, %s, hint: %+v", relay, protocol, d)
			}
			if p.Witnesses(protocol, "smtp") == alone || p.Witnesses(protocol, "pop3") {
				t.Errorf("relay %v: does %s witness smtp, and not pop3?", relay, protocol)
			}
		}
	}
	// At AUTH nothing of what a login claims is its own.
	for s := range stageCount {
		if want := s.String() == "auth"; s.AtAuth() != want {
			t.Errorf("%d: at AUTH: %v", s, s.AtAuth())
		}
	}
}
