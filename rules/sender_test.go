package rules

import (
	"strings"
	"testing"
)

func TestSenderDomain(t *testing.T) {
	const jan = "jan@domena.cz"
	for sender, ok := range map[string]bool{
		"jan@domena.cz":                   true,
		"anybody@domena.cz":               true,
		"JAN@DOMENA.CZ":                   true,
		"jan@domena.cz.":                  true, // Postfix drops one trailing dot
		"jan+news@domena.cz":              true,
		"o'neill=x/y@domena.eu":           true,
		"ü@domena.cz":                     true,
		"a..b@domena.cz":                  true, // not RFC 5321's dot-string, but nobody rewrites it
		"":                                true, // sender.null_sender = "header"
		"jan@domena.cz..":                 false,
		"jan@seznam.cz":                   false,
		"jan@sub.domena.cz":               false,
		"jan@xdomena.cz":                  false,
		"jan@firma.cz":                    false,
		"jan":                             false, // queued at $myorigin
		"jan@":                            false,
		"@domena.cz":                      false,
		"user%evil.test":                  false, // FACTS.md 1.5
		"evil.test!user":                  false,
		"user%evil.test@domena.cz":        false,
		"evil.test!user@domena.cz":        false,
		`"a@evil.test"@domena.cz`:         false,
		"a@evil.test@domena.cz":           false, // the same, as the policy service gets it
		"@domena.cz:c@evil.test":          false,
		"@evil.test:c@domena.cz":          false,
		`"jan novak"@domena.cz`:           false,
		"jan novak@domena.cz":             false,
		"jan\x00@domena.cz":               false,
		"jan@domena.cz\r\n":               false,
		"jan\xff@domena.cz":               false,
		"jan\u202e@domena.cz":             false,
		"<jan@domena.cz>":                 false,
		"jan@domena.cz>":                  false,
		"jan@domena.cz,x@evil.test":       false,
		"jan@ｄｏｍｅｎａ.cz":                   false, // full-width letters: another domain to Postfix
		"jan@domena。cz":                   false, // ideographic full stop
		"jan@[192.0.2.1]":                 false,
		"jan@domena.cz SIZE=1":            false,
		"jan(comment)@domena.cz":          false,
		strings.Repeat("a", 70000) + "@x": false,
	} {
		reason := Reason("")
		want := Rule("")
		if !ok {
			want = RuleSender
		}
		given{name: sender[:min(len(sender), 40)], r: request(StageMail, stranger, 587, jan, sender), want: want, reason: reason}.run(t)
	}
}

func TestSenderInternational(t *testing.T) {
	const jiri = "jiri@xn--hky-ela4t.cz"
	for sender, ok := range map[string]bool{
		"jiri@háčky.cz":             true,
		"jiri@xn--hky-ela4t.cz":     true,
		"jiri@XN--HKY-ELA4T.CZ":     true,
		"jiri@háčky.CZ":             true,
		"jiri@HÁČKY.cz":             false, // not the canonical U-label
		"jiri@ha\u0301c\u030cky.cz": false, // NFD
		"jiri@hacky.cz":             false,
		"jiri@xn--hky-ela4t.cz.x":   false,
	} {
		want := Rule("")
		if !ok {
			want = RuleSender
		}
		given{name: sender, r: request(StageMail, stranger, 587, jiri, sender), want: want}.run(t)
	}
}

func TestAliasGroup(t *testing.T) {
	for _, g := range []given{
		{name: "main to alias", r: request(StageMail, stranger, 587, "jan@domena.cz", "jan@domena.eu")},
		{name: "alias to main", r: request(StageMail, stranger, 587, "petr@domena.eu", "petr@domena.cz")},
		{name: "third level of a hosted domain", r: request(StageMail, stranger, 587, "jan@domena.cz", "jan@a.b.cz"), want: RuleSender, reason: ReasonSenderDomain},
	} {
		g.run(t)
	}
}

func TestExternalSenders(t *testing.T) {
	const info, mta = "info@firma.cz", "mta@firma.cz"
	for _, g := range []given{
		{name: "from the webmail", r: request(StageMail, webmail, 587, info, "Majitel@seznam.cz")},
		{name: "from elsewhere", r: request(StageMail, stranger, 587, info, "majitel@seznam.cz"), want: RuleSender, reason: ReasonSenderNotWebmail},
		{name: "another address of that domain", r: request(StageMail, webmail, 587, info, "jiny@seznam.cz"), want: RuleSender, reason: ReasonSenderDomain},
		{name: "another account", r: request(StageMail, webmail, 587, "jan@domena.cz", "majitel@seznam.cz"), want: RuleSender},
		{name: "forward from anywhere", r: request(StageMail, stranger, 587, mta, "x@partner.cz")},
		{name: "forward is not for every domain", r: request(StageMail, stranger, 587, mta, "x@sub.partner.cz"), want: RuleSender},
		{name: "an address in two readings", r: request(StageMail, webmail, 587, info, "majitel%seznam.cz@seznam.cz"), want: RuleSender, reason: ReasonSenderNotPlain},
	} {
		g.run(t)
	}
}

func TestSenderByAddress(t *testing.T) {
	byAddress := func(p *Policy) { p.Sender.ByAddress = true }
	const jan = "jan@domena.cz"
	for _, g := range []given{
		{name: "own", r: request(StageMail, stranger, 587, jan, "Jan@domena.cz")},
		{name: "plus", r: request(StageMail, stranger, 587, jan, "jan+x@domena.cz")},
		{name: "own in an alias domain", r: request(StageMail, stranger, 587, jan, "jan@domena.eu")},
		{name: "further address", r: request(StageMail, stranger, 587, jan, "prodej@domena.cz")},
		{name: "a colleague's", r: request(StageMail, stranger, 587, jan, "eva@domena.cz"), want: RuleSender, reason: ReasonSenderAddress},
		{name: "a namesake's in the alias domain", r: request(StageMail, stranger, 587, jan, jan[:3]+"@domena.eu"), world: func(w *world) {
			w.accounts["jan@domena.eu"] = Account{Login: "jan@domena.eu", SMTP: true}
		}, want: RuleSender},
		{name: "external from the webmail", r: request(StageMail, webmail, 587, "info@firma.cz", "majitel@seznam.cz")},
	} {
		g.policy = byAddress
		g.run(t)
	}
}

func TestNullSender(t *testing.T) {
	null := request(StageMail, stranger, 587, "jan@domena.cz", "")
	for setting, want := range map[NullSender]Rule{NullHeader: "", NullAllow: "", NullRefuse: RuleSender} {
		given{name: string(want), r: null, policy: func(p *Policy) { p.Sender.Null = setting }, want: want}.run(t)
	}
}
