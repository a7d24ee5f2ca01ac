package rules

import "testing"

func TestForwarded(t *testing.T) {
	hop := TrailField{Kind: TrailHop, Text: "from a by b with ESMTP"}
	http := TrailField{Kind: TrailOther}
	resent := func(addresses ...string) TrailField { return TrailField{Kind: TrailResent, Addresses: addresses} }
	message := func(client string, port uint16, login string, trail ...TrailField) *Request {
		r := request(StageHeaders, client, port, login, "jan@domena.cz")
		r.Recipients = []string{"x@seznam.cz"}
		r.Message = &Message{Trail: trail}
		return r
	}
	const jan, mta = "jan@domena.cz", "mta@firma.cz"
	for _, g := range []given{
		{name: "none", r: message(stranger, 587, jan)},
		{name: "a hop", r: message(stranger, 587, jan, hop), want: RuleRelay, reason: ReasonForwarded},
		{name: "a hop below the webmail's field", r: message(stranger, 25, jan, http, hop), want: RuleRelay},
		{name: "HTTP and local only", r: message(stranger, 587, jan, http, http)},
		{name: "forward account", r: message(stranger, 587, mta, hop)},
		{name: "from the webmail", r: message(webmail, 587, jan, hop)},
		{name: "from a trusted address", r: message(trusted, 587, jan, hop)},
		{name: "shared addresses obey", r: message(sharedIP, 587, jan, hop), want: RuleRelay},
		{name: "resent by the account", r: message(stranger, 587, jan, resent("jan@domena.eu"), hop)},
		{name: "resent, but passed on again", r: message(stranger, 587, jan, hop, resent(jan), hop), want: RuleRelay},
		{name: "resent by another", r: message(stranger, 587, jan, resent("a@seznam.cz"), hop), want: RuleRelay},
		{name: "resent by one of two", r: message(stranger, 587, jan, resent(jan, "a@seznam.cz"), hop), want: RuleRelay},
		{name: "unreadable Resent-From", r: message(stranger, 587, jan, resent(), hop), want: RuleRelay},
		{name: "empty Resent-From", r: message(stranger, 587, jan, resent(""), hop), want: RuleRelay},
		{name: "inbound mail of another server", r: message(stranger, 25, "", hop)},
		{name: "switched off", r: message(stranger, 587, jan, hop), policy: func(p *Policy) { p.Relay.RefuseForwarded = false }},
		{name: "by POP grant", r: message(stranger, 587, "", hop), world: granted(jan), want: RuleRelay},
		{name: "by POP grant on 25, relaying", r: message(stranger, 25, "", hop), world: granted(jan), want: RuleRelay},
		{name: "directory down", r: message(stranger, 587, jan, hop), world: func(w *world) { w.down = true }, want: RuleDefer},
	} {
		g.run(t)
	}
	inbound := message(stranger, 25, "", hop)
	inbound.Recipients = []string{"x@domena.cz"}
	given{name: "a POP client's address that is a mail server too", r: inbound, world: granted(jan)}.run(t)
}
