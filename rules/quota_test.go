package rules

import "testing"

func TestQuota(t *testing.T) {
	full := func(w *world) { w.full = true }
	limited := func(p *Policy) { p.Quota = Limits{Messages: 10} }
	const jan = "jan@domena.cz"
	end := func(client, login string) *Request {
		r := request(StageEnd, client, 587, login, "jan@domena.cz")
		r.Count = 2
		return r
	}
	for _, g := range []given{
		{name: "a place", r: rcpt(request(StageRcpt, stranger, 587, jan, jan), "x@seznam.cz"), policy: limited},
		{name: "no limit", r: rcpt(request(StageRcpt, stranger, 587, jan, jan), "x@seznam.cz"), world: full},
		{name: "full", r: rcpt(request(StageRcpt, stranger, 587, jan, jan), "x@seznam.cz"), world: full, policy: limited, want: RuleQuota, reason: ReasonQuota},
		{name: "trusted with a login", r: rcpt(request(StageRcpt, trusted, 587, jan, jan), "x@seznam.cz"), world: full, policy: limited, want: RuleQuota},
		{name: "trusted without", r: rcpt(request(StageRcpt, trusted, 587, "", jan), "x@seznam.cz"), world: full, policy: limited},
		{name: "by POP grant", r: rcpt(request(StageRcpt, stranger, 587, "", jan), "x@seznam.cz"), world: func(w *world) { full(w); granted(jan)(w) }, policy: limited, want: RuleQuota},
		{name: "by POP grant on 25, for this server", r: rcpt(request(StageRcpt, stranger, 25, "", jan), "x@domena.cz"), world: func(w *world) { full(w); granted(jan)(w) }, policy: limited},
		{name: "inbound", r: rcpt(request(StageRcpt, stranger, 25, "", "a@seznam.cz"), "x@domena.cz"), world: full, policy: limited},
		{name: "the account's own limit", r: rcpt(request(StageRcpt, stranger, 587, jan, jan), "x@seznam.cz"), world: func(w *world) {
			full(w)
			w.accounts[jan] = Account{Login: jan, SMTP: true, RecipientsPerHour: 5}
		}, want: RuleQuota},
		{name: "policy only, at RCPT", r: rcpt(request(StageEnvelope, stranger, 587, jan, jan), "x@seznam.cz"), world: full, policy: limited, want: RuleQuota},
		{name: "policy only, at the end", r: end(stranger, jan), world: full, policy: limited, want: RuleQuota},
		{name: "the sender comes first", r: rcpt(request(StageEnvelope, stranger, 587, jan, "a@seznam.cz"), "x@seznam.cz"), world: full, policy: limited, want: RuleSender},
		{name: "observed", r: end(stranger, jan), world: full, policy: func(p *Policy) { limited(p); p.ObserveAll = true }},
	} {
		g.run(t)
	}
	w, p := newWorld(), newPolicy()
	p.Quota = Limits{Messages: 10, Recipients: 100}
	w.accounts[jan] = Account{Login: jan, SMTP: true, MessagesPerHour: 5}
	p.Observe = map[Rule]bool{RuleQuota: true}
	p.Decide(rcpt(request(StageRcpt, stranger, 587, jan, jan), "x@seznam.cz"), w)
	if got := w.asked[len(w.asked)-1]; got != "room jan@domena.cz 5/100 true" {
		t.Errorf("asked %q", got)
	}
}
