package rules

import (
	"reflect"
	"testing"
	"time"
)

// given is one decision: what is changed in the world and the policy, what is
// asked, and what must come out ("" passes, "OK" permits).
type given struct {
	name   string
	r      *Request
	world  func(*world)
	policy func(*Policy)
	want   Rule
	reason Reason
	as     string
	permit bool
}

func (g given) run(t *testing.T) {
	t.Helper()
	t.Run(g.name, func(t *testing.T) {
		w, p := newWorld(), newPolicy()
		if g.world != nil {
			g.world(w)
		}
		if g.policy != nil {
			g.policy(p)
		}
		d := p.Decide(g.r, w)
		if d.Rule != g.want || (g.reason != "" && d.Reason != g.reason) {
			t.Fatalf("rule %q (%s), want %q (%s)\nasked: %q", d.Rule, d.Reason, g.want, g.reason, w.asked)
		}
		if refused := d.Action == Refuse; refused != (g.want != "") {
			t.Errorf("action %s for rule %q", d.Action, d.Rule)
		}
		if (d.Action == Permit) != g.permit {
			t.Errorf("action %s, want permit %v", d.Action, g.permit)
		}
		if g.as != "" && d.As != g.as {
			t.Errorf("treated as %q, want %q", d.As, g.as)
		}
	})
}

func rcpt(r *Request, recipient string) *Request {
	r.Recipient = recipient
	return r
}

func blocked(w *world) { w.count = 11 }

func granted(logins ...string) func(*world) {
	return func(w *world) {
		for i, l := range logins {
			w.grants = append(w.grants, Grant{Login: l, Last: noon.Add(-time.Duration(i+1) * time.Minute)})
		}
	}
}

func TestThrottle(t *testing.T) {
	jan := "jan@domena.cz"
	for _, g := range []given{
		{name: "ten failures pass", r: request(StageMail, stranger, 587, jan, jan), world: func(w *world) { w.count = 10 }},
		{name: "eleven refuse", r: request(StageMail, stranger, 587, jan, jan), world: blocked, want: RuleThrottled, reason: ReasonBlocked},
		{name: "unauthenticated too", r: request(StageMail, stranger, 465, "", jan), world: blocked, want: RuleThrottled},
		{name: "an unlisted port counts as submission", r: request(StageMail, stranger, 2525, jan, jan), world: blocked, want: RuleThrottled},
		{name: "mixed port: own domain passes", r: rcpt(request(StageEnvelope, stranger, 25, "", "a@seznam.cz"), "x@domena.cz"), world: blocked},
		{name: "mixed port: relaying is refused", r: rcpt(request(StageEnvelope, stranger, 25, "", "a@seznam.cz"), "x@seznam.cz"), world: blocked, want: RuleThrottled},
		{
			name: "mixed port, directory down, accept", r: rcpt(request(StageRelay, stranger, 25, jan, jan), "x@seznam.cz"), want: RuleDefer,
			world: func(w *world) { blocked(w); w.down = true }, policy: func(p *Policy) { p.OnFailure = FailAccept },
		},
		{name: "mixed port: authenticated relaying is refused", r: rcpt(request(StageRelay, stranger, 25, jan, jan), "x@seznam.cz"), world: blocked, want: RuleThrottled},
		{name: "mixed port: what Postfix takes passes", r: func() *Request {
			r := rcpt(request(StageRcpt, stranger, 25, "", "a@seznam.cz"), "root@unlisted.test")
			r.Taken = true
			return r
		}(), world: blocked},
		{name: "before a grant", r: rcpt(request(StageRelay, stranger, 587, "", jan), "x@seznam.cz"), world: func(w *world) { blocked(w); granted(jan)(w) }, want: RuleThrottled},
		{name: "at AUTH", r: request(StageAuth, stranger, 0, jan, ""), world: blocked, want: RuleThrottled},
		{name: "trusted is never blocked", r: request(StageMail, trusted, 587, jan, jan), world: blocked},
		{name: "webmail is never blocked", r: request(StageMail, webmail, 587, jan, jan), world: blocked},
		{name: "shared is never blocked", r: request(StageAuth, sharedIP, 0, jan, ""), world: blocked},
		{name: "unknown address is not blocked but must log in", r: request(StageMail, "", 587, "", jan), want: RuleAuthFailed},
		{name: "HELO only where the setting says", r: request(StageHelo, stranger, 587, "", ""), world: blocked},
		{name: "HELO", r: request(StageHelo, stranger, 587, "", ""), world: blocked, policy: func(p *Policy) { p.Throttle.AtHelo = true }, want: RuleThrottled},
		{name: "HELO never on a mixed port", r: request(StageHelo, stranger, 25, "", ""), world: blocked, policy: func(p *Policy) { p.Throttle.AtHelo = true }},
	} {
		g.run(t)
	}
	pop := request(StageAuth, stranger, 0, jan, "")
	pop.Service = "pop3"
	given{name: "POP3 is not refused", r: pop, world: blocked}.run(t)
}

func TestLogin(t *testing.T) {
	for _, g := range []given{
		{name: "known", r: request(StageMail, stranger, 587, "Jan@Domena.CZ", "jan@domena.cz"), as: "jan@domena.cz"},
		{name: "unknown", r: request(StageMail, stranger, 587, "ghost@domena.cz", "ghost@domena.cz"), want: RuleAuthRejected, reason: ReasonLoginUnknown},
		{name: "no whole address", r: request(StageMail, stranger, 587, "jan", "jan@domena.cz"), want: RuleAuthRejected, reason: ReasonLoginNotAddress},
		{name: "default domain", r: request(StageMail, stranger, 587, "jan", "jan@domena.cz"), policy: func(p *Policy) { p.Logins.DefaultDomain = "domena.cz" }, as: "jan@domena.cz"},
		{name: "disabled", r: request(StageMail, stranger, 587, "eva@domena.cz", "eva@domena.cz"), want: RuleAccessDisabled, reason: ReasonLoginDisabled},
		{name: "disabled, even from a trusted address", r: request(StageMail, trusted, 587, "eva@domena.cz", "eva@domena.cz"), want: RuleAccessDisabled},
		{name: "U-label", r: request(StageMail, stranger, 587, "jiri@HÁČKY.cz", "jiri@háčky.cz")},
		{name: "directory down", r: request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.cz"), world: func(w *world) { w.down = true }, want: RuleDefer, reason: ReasonDirectory},
		{name: "directory down, accept", r: request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), world: func(w *world) { w.down = true }, policy: func(p *Policy) { p.OnFailure = FailAccept }},
		{name: "directory down never opens a relay", r: rcpt(request(StageEnvelope, stranger, 25, "", "a@b.test"), "x@seznam.cz"), world: func(w *world) { w.down = true }, want: RuleDefer},
		{name: "hint: unknown", r: request(StageAuth, stranger, 0, "ghost@domena.cz", ""), want: RuleAuthRejected, reason: ReasonLoginUnknown},
		{name: "hint: not whole", r: request(StageAuth, stranger, 0, "ghost", ""), want: RuleAuthRejected, reason: ReasonLoginNotAddress},
		{name: "hint: disabled", r: request(StageAuth, stranger, 0, "eva@domena.cz", ""), want: RuleAccessDisabled},
		{name: "hint: known", r: request(StageAuth, stranger, 0, "jan@domena.cz", "")},
		{name: "no hints", r: request(StageAuth, stranger, 0, "ghost", ""), policy: func(p *Policy) { p.Hints = false }},
		{name: "hint waits for no directory", r: request(StageAuth, stranger, 0, "jan@domena.cz", ""), world: func(w *world) { w.down = true }},
	} {
		g.run(t)
	}
	pop := request(StageAuth, stranger, 0, "ghost@domena.cz", "")
	pop.Service = "imap"
	given{name: "IMAP needs no account here", r: pop}.run(t)
}

func TestHintCounts(t *testing.T) {
	p := newPolicy()
	for login, counts := range map[string]bool{"ghost@domena.cz": true, "plain": true, "eva@domena.cz": false} {
		if d := p.Decide(request(StageAuth, stranger, 0, login, ""), newWorld()); d.Counts != counts {
			t.Errorf("%s: counts %v, want %v", login, d.Counts, counts)
		}
	}
	p.ObserveAll = true
	d := p.Decide(request(StageAuth, stranger, 0, "ghost@domena.cz", ""), newWorld())
	if d.Action != Pass || len(d.Observed) != 1 || d.Observed[0].Counts {
		t.Errorf("observed hint: %+v; Dovecot's own report counts it", d)
	}
}

func TestAuthNeeded(t *testing.T) {
	tried := func(logins ...string) func(*world) {
		return func(w *world) {
			for _, l := range logins {
				w.failures = append(w.failures, failed(l))
			}
		}
	}
	vague := func(n int) func(*world) {
		return func(w *world) {
			for range n {
				f := failed("j… (3 characters)")
				f.Vague = true
				w.failures = append(w.failures, f)
			}
		}
	}
	mail := func() *Request { return request(StageMail, stranger, 587, "", "jan@domena.cz") }
	for _, g := range []given{
		{name: "no AUTH", r: mail(), want: RuleAuthFailed, reason: ReasonNoAuth},
		{name: "trusted needs none", r: request(StageMail, trusted, 587, "", "anything")},
		{name: "webmail needs it", r: request(StageMail, webmail, 587, "", "jan@domena.cz"), want: RuleAuthFailed},
		{name: "wrong password", r: mail(), world: tried("jan@domena.cz"), want: RuleAuthFailed},
		{name: "unknown login", r: mail(), world: tried("ghost@domena.cz", "ghost@domena.cz"), want: RuleAuthRejected, reason: ReasonNoAuthUnknownLogin},
		{name: "no whole address", r: mail(), world: tried("ghost"), want: RuleAuthRejected, reason: ReasonNoAuthNotAddress},
		{name: "a name with forbidden characters", r: mail(), world: tried(""), want: RuleAuthRejected},
		{name: "disabled", r: mail(), world: tried("eva@domena.cz"), want: RuleAccessDisabled, reason: ReasonNoAuthDisabled},
		{name: "one name from before a restart", r: mail(), world: vague(1), want: RuleAuthRejected, reason: ReasonNoAuthNotAddress},
		{name: "two may be two", r: mail(), world: vague(2), want: RuleAuthFailed},
		{name: "one that the default domain would complete", r: mail(), world: vague(1), policy: func(p *Policy) { p.Logins.DefaultDomain = "domena.cz" }, want: RuleAuthFailed},
		{name: "two logins say nothing", r: mail(), world: tried("ghost@domena.cz", "eva@domena.cz"), want: RuleAuthFailed},
		{name: "no hints", r: mail(), world: tried("eva@domena.cz"), policy: func(p *Policy) { p.Hints = false }, want: RuleAuthFailed},
		{name: "shared addresses say nothing", r: request(StageMail, sharedIP, 587, "", "jan@domena.cz"), world: tried("eva@domena.cz"), want: RuleAuthFailed},
		{name: "mixed port at MAIL", r: request(StageMail, stranger, 25, "", "a@seznam.cz")},
		{name: "mixed port to own domain", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "x@Domena.EU")},
		{name: "mixed port to a configured domain", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "x@mx.test")},
		{name: "mixed port to postmaster", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "postmaster")},
		{name: "mixed port relaying", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "x@seznam.cz"), want: RuleAuthFailed, reason: ReasonRelayNoAuth},
		{name: "mixed port relaying after a disabled login", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "x@seznam.cz"), world: tried("eva@domena.cz"), want: RuleAccessDisabled},
		{name: "routing behind an own domain", r: rcpt(request(StageRelay, stranger, 25, "", "a@seznam.cz"), "x%seznam.cz@domena.cz"), want: RuleAuthFailed},
		{name: "trusted relays", r: rcpt(request(StageRelay, trusted, 25, "", "a@seznam.cz"), "x@seznam.cz")},
		{name: "authenticated relaying is Postfix's to permit", r: rcpt(request(StageRelay, stranger, 25, "jan@domena.cz", "x@other.test"), "x@seznam.cz")},
		{name: "relay context on submission", r: rcpt(request(StageRelay, stranger, 587, "", "a@seznam.cz"), "x@domena.cz"), want: RuleAuthFailed},
	} {
		g.run(t)
	}
}

func TestPOPGrant(t *testing.T) {
	jan, petr, eva := "jan@domena.cz", "petr@domena.eu", "eva@domena.cz"
	relay := func(port uint16, sender string) *Request {
		return rcpt(request(StageRelay, stranger, port, "", sender), "x@seznam.cz")
	}
	for _, g := range []given{
		{name: "submission", r: request(StageMail, stranger, 587, "", jan), world: granted(jan), as: jan},
		{name: "foreign sender", r: request(StageMail, stranger, 587, "", "a@seznam.cz"), world: granted(jan), want: RuleSender},
		{name: "the one that fits", r: request(StageMail, stranger, 587, "", "info@firma.cz"), world: granted(jan, "info@firma.cz"), as: "info@firma.cz"},
		{name: "enabled before disabled", r: request(StageMail, stranger, 587, "", jan), world: granted(eva, petr), as: petr},
		{name: "null sender", r: request(StageMail, stranger, 587, "", ""), world: granted(jan), as: jan},
		{name: "disabled", r: request(StageMail, stranger, 587, "", eva), world: granted(eva), want: RuleAccessDisabled},
		{name: "unknown account", r: request(StageMail, stranger, 587, "", jan), world: granted("ghost@domena.cz"), want: RuleAuthRejected},
		{name: "too many accounts", r: request(StageMail, stranger, 587, "", jan), world: granted("1@domena.cz", "2@domena.cz", "3@domena.cz", "4@domena.cz", "5@domena.cz", jan), want: RuleAuthFailed},
		{name: "switched off", r: request(StageMail, stranger, 587, "", jan), world: granted(jan), policy: func(p *Policy) { p.POP.Enabled = false }, want: RuleAuthFailed},
		{name: "shared grants nothing", r: request(StageMail, sharedIP, 587, "", jan), world: granted(jan), want: RuleAuthFailed},
		{name: "relay permits on 587", r: relay(587, jan), world: granted(jan), permit: true},
		{name: "relay permits on 25", r: relay(25, jan), world: granted(jan), permit: true},
		{name: "directory down on 25", r: relay(25, jan), world: func(w *world) { granted(jan)(w); w.down = true }, want: RuleDefer},
		{
			name: "directory down on 25, accept", r: relay(25, jan), world: func(w *world) { granted(jan)(w); w.down = true },
			policy: func(p *Policy) { p.OnFailure = FailAccept }, as: jan, permit: true,
		},
		{name: "relay on 25 with another sender", r: relay(25, "a@seznam.cz"), world: granted(jan), want: RuleAuthFailed},
		{name: "relay on 587 with another sender is not permitted", r: relay(587, "a@seznam.cz"), world: granted(jan)},
		{name: "relay of a disabled account on 25", r: relay(25, eva), world: granted(eva), want: RuleAccessDisabled, reason: ReasonLoginDisabled},
		{name: "a disabled account's mail for this server on 25", r: request(StageMail, stranger, 25, "", eva), world: granted(eva)},
		{name: "disabled but fitting before enabled but not", r: request(StageMail, stranger, 587, "", eva), world: granted("info@firma.cz", eva), want: RuleAccessDisabled},
		{name: "observed sender with a real grant", r: relay(587, "a@seznam.cz"), world: granted(jan), permit: true, policy: func(p *Policy) { p.Observe = map[Rule]bool{RuleSender: true} }},
		{name: "observed account with a real grant", r: relay(587, eva), world: granted(eva), permit: true, policy: func(p *Policy) { p.Observe = map[Rule]bool{RuleAccessDisabled: true} }},
		{name: "mixed: not fitting is ignored", r: request(StageMail, stranger, 25, "", "a@seznam.cz"), world: granted(jan)},
		{name: "directory down", r: request(StageMail, stranger, 587, "", jan), world: func(w *world) { granted(jan)(w); w.down = true }, want: RuleDefer},
	} {
		g.run(t)
	}
}

func TestObserve(t *testing.T) {
	p := newPolicy()
	p.Observe = map[Rule]bool{RuleThrottled: true, RuleAuthFailed: true}
	w := newWorld()
	w.count = 11
	d := p.Decide(request(StageMail, stranger, 587, "jan@domena.cz", "a@seznam.cz"), w)
	if d.Rule != RuleSender || d.Action != Refuse || d.Observed[0].Rule != RuleThrottled || !d.Observed[0].Observed {
		t.Errorf("later rules must still run: %+v", d)
	}
	d = p.Decide(rcpt(request(StageRelay, stranger, 587, "", "jan@domena.cz"), "x@seznam.cz"), w)
	if d.Action != Pass || len(d.Observed) != 2 {
		t.Errorf("observing must not permit relaying: %+v", d)
	}
	w.grants = []Grant{{Login: "jan@domena.cz", Last: noon}}
	if d = p.Decide(rcpt(request(StageRelay, stranger, 587, "", "jan@domena.cz"), "x@seznam.cz"), w); d.Action != Permit {
		t.Errorf("a real grant permits: %+v", d)
	}
}

// What only observes defers nobody while the directory is away; what may still refuse does.
func TestObserveWithoutDirectory(t *testing.T) {
	only := func(rules ...Rule) func(*Policy) {
		return func(p *Policy) {
			p.Observe = map[Rule]bool{}
			for _, r := range rules {
				p.Observe[r] = true
			}
		}
	}
	headers := request(StageHeaders, stranger, 587, "jan@domena.cz", "jan@domena.cz")
	headers.Recipients = []string{"x@seznam.cz"}
	headers.Message = &Message{Authors: []AddressField{{Addresses: []string{"jan@domena.eu"}, Text: "From"}}}
	for _, c := range []struct {
		name    string
		set     func(*Policy)
		r       *Request
		refuses bool
	}{
		{"nothing observes", only(), request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), true},
		{"half of the login rule", only(RuleSender, RuleAuthRejected), request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), true},
		{"the sender rule alone: the login rule defers", only(RuleSender), request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), true},
		{"all of them", only(RuleSender, RuleAuthRejected, RuleAccessDisabled), request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), false},
		{"header From observes", func(p *Policy) { p.Sender.HeaderFrom = HeaderObserve }, headers, false},
		{"header From enforces", func(p *Policy) { p.Sender.HeaderFrom = HeaderEnforce }, headers, true},
	} {
		p, w := newPolicy(), newWorld()
		c.set(p)
		w.down = true
		d := p.Decide(c.r, w)
		if refuses := d.Action == Refuse; refuses != c.refuses || !refuses && (len(d.Observed) == 0 || d.Observed[0].Rule != RuleDefer) {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

// Facts are fetched in the order of the rules, and only when one needs them.
func TestFactsAreFetchedLazily(t *testing.T) {
	for _, c := range []struct {
		r    *Request
		want []string
	}{
		{request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.cz"), []string{"tally", "account jan@domena.cz"}},
		{request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu"), []string{"tally", "account jan@domena.cz", "domains domena.cz"}},
		{request(StageMail, trusted, 587, "", "x@y.test"), nil},
		{request(StageHelo, stranger, 587, "", ""), nil},
		{rcpt(request(StageRelay, stranger, 25, "jan@domena.cz", ""), "x@seznam.cz"), []string{"tally"}},
	} {
		w := newWorld()
		newPolicy().Decide(c.r, w)
		if !reflect.DeepEqual(w.asked, c.want) {
			t.Errorf("%s: asked %q, want %q", c.r.Stage, w.asked, c.want)
		}
	}
}
