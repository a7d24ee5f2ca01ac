package rules

import "testing"

func TestHeaderFrom(t *testing.T) {
	from := func(addresses ...string) AddressField { return AddressField{Addresses: addresses, Text: "From"} }
	sender := func(addresses ...string) AddressField {
		return AddressField{Sender: true, Addresses: addresses, Text: "Sender"}
	}
	message := func(client string, port uint16, login, envelope string, authors ...AddressField) *Request {
		r := request(StageHeaders, client, port, login, envelope)
		r.Recipients = []string{"x@seznam.cz"}
		r.Message = &Message{Authors: authors}
		return r
	}
	own := func(authors ...AddressField) *Request {
		return message(stranger, 587, "jan@domena.cz", "jan@domena.cz", authors...)
	}
	crowded := own(from("jan@domena.cz"))
	crowded.Message.Crowded = true
	for _, g := range []given{
		{name: "own address", r: own(from("jan@domena.cz"))},
		{name: "alias domain", r: own(from("Jan@DOMENA.eu"))},
		{name: "list of own addresses", r: own(from("jan@domena.cz", "prodej@domena.cz"), sender("jan@domena.cz"))},
		{name: "foreign", r: own(from("a@seznam.cz")), want: RuleSender, reason: ReasonHeaderDomain},
		{name: "one of a list", r: own(from("jan@domena.cz", "a@seznam.cz")), want: RuleSender, reason: ReasonHeaderDomain},
		{name: "two fields", r: own(from("jan@domena.cz"), from("jan@domena.cz")), want: RuleSender, reason: ReasonHeaderSeveral},
		{name: "none", r: own(), want: RuleSender, reason: ReasonHeaderMissing},
		{name: "only Sender", r: own(sender("jan@domena.cz")), want: RuleSender, reason: ReasonHeaderMissing},
		{name: "unreadable", r: own(from()), want: RuleSender, reason: ReasonHeaderUnreadable},
		{name: "empty address", r: own(from("")), want: RuleSender, reason: ReasonHeaderDomain},
		{name: "in two readings", r: own(from("a%seznam.cz@domena.cz")), want: RuleSender},
		{name: "foreign Sender", r: own(from("jan@domena.cz"), sender("a@seznam.cz")), want: RuleSender, reason: ReasonHeaderDomain},
		{name: "more than were kept", r: crowded, want: RuleSender, reason: ReasonHeaderSeveral},
		{name: "external from the webmail", r: message(webmail, 587, "info@firma.cz", "info@firma.cz", from("majitel@seznam.cz"))},
		{name: "external from elsewhere", r: message(stranger, 587, "info@firma.cz", "info@firma.cz", from("majitel@seznam.cz")), want: RuleSender},
		{name: "forward account's partner", r: message(stranger, 587, "mta@firma.cz", "mta@firma.cz", from("x@partner.cz"))},
		{name: "inbound mail", r: message(stranger, 25, "", "a@seznam.cz", from("whoever@seznam.cz"))},
		{name: "trusted, without login", r: message(trusted, 25, "", "a@seznam.cz", from("whoever@seznam.cz"))},
		{name: "trusted, with login", r: message(trusted, 587, "jan@domena.cz", "jan@domena.cz", from("a@seznam.cz")), want: RuleSender},
		{name: "by POP grant", r: message(stranger, 587, "", "jan@domena.cz", from("a@seznam.cz")), world: granted("jan@domena.cz"), want: RuleSender},
		{name: "null sender, own From", r: message(stranger, 587, "jan@domena.cz", "", from("jan@domena.cz"))},
		{name: "null sender, foreign From", r: message(stranger, 587, "jan@domena.cz", "", from("a@seznam.cz")), want: RuleSender},
		{name: "directory down", r: own(from("jan@domena.eu")), world: func(w *world) { w.down = true }, want: RuleDefer},
	} {
		g.policy = func(p *Policy) { p.Sender.HeaderFrom = HeaderEnforce }
		g.run(t)
	}
	foreign := func(envelope string) *Request {
		return message(stranger, 587, "jan@domena.cz", envelope, from("a@seznam.cz"))
	}
	setting := func(h HeaderFrom, n NullSender) func(*Policy) {
		return func(p *Policy) { p.Sender.HeaderFrom, p.Sender.Null = h, n }
	}
	for _, g := range []given{
		{name: "off", r: foreign("jan@domena.cz"), policy: setting(HeaderOff, NullHeader)},
		{name: "observe lets pass", r: foreign("jan@domena.cz"), policy: setting(HeaderObserve, NullHeader)},
		{name: "null sender obeys always", r: foreign(""), policy: setting(HeaderOff, NullHeader), want: RuleSender},
		{name: "null sender allowed", r: foreign(""), policy: setting(HeaderOff, NullAllow)},
	} {
		g.run(t)
	}
}

func TestHeaderFromObserved(t *testing.T) {
	p := newPolicy()
	p.Sender.HeaderFrom = HeaderObserve
	r := request(StageHeaders, stranger, 587, "jan@domena.cz", "jan@domena.cz")
	r.Message = &Message{
		Authors: []AddressField{{Addresses: []string{"a@seznam.cz"}}},
		Trail:   []TrailField{{Kind: TrailHop}},
	}
	d := p.Decide(r, newWorld())
	if len(d.Observed) != 1 || d.Observed[0].Text != "a@seznam.cz" || !d.Observed[0].Observed || d.Rule != RuleRelay {
		t.Errorf("rule 6 observes, rule 7 still refuses: %+v", d)
	}
}
