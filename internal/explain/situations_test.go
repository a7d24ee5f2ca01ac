package explain_test

import (
	"net/netip"
	"testing"
	"time"

	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/rules"
)

// situation is an entry as the gate writes it when a customer calls.
type situation struct {
	name   string
	reason rules.Reason
	entry  func(*journal.Entry, *gate.Facts)
	host   func(*explain.Host)
}

func failed(login string, same int, after time.Duration) gate.FailureFact {
	return gate.FailureFact{Time: noon.Add(after), Client: "192.0.2.7", Login: login, Service: "smtp", Counted: true, Same: same}
}

// times makes n failures, newest first as the gate keeps them.
func times(n int, login string, same int) []gate.FailureFact {
	var list []gate.FailureFact
	for i := range n {
		list = append(list, failed(login, same, -time.Duration(i)*time.Minute))
	}
	return list
}

// notLoggedIn is a refusal at MAIL, or with a recipient at RCPT, after these failures.
func notLoggedIn(port uint16, failures ...gate.FailureFact) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Port, e.Login, e.Sender = "mail", port, "", "jan.novak@domena.cz"
		*f = gate.Facts{Failures: failures}
	}
}

// sentAs is a refusal by the sender rule.
func sentAs(sender string) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Sender = "mail", sender
		*f = gate.Facts{LookedAt: sender, As: "jan.novak@domena.cz", Domains: map[string][]string{"domena.cz": {"domena.cz", "domena.eu"}}}
	}
}

// inHeader is a refusal of the message's header.
func inHeader(envelope, looked string) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		sentAs(looked)(e, f)
		e.Stage, e.Sender = "headers", envelope
	}
}

func blockedBy(failures []gate.FailureFact) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		e.Rule, e.Stage, e.Login, e.Sender = "throttled", "auth", failures[0].Login, ""
		*f = gate.Facts{Prefix: "192.0.2.7", Limit: 10, Count: len(failures), BlockedSince: &noon, BlockedUntil: &until, Failures: failures}
	}
}

func passedOn(received string) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Sender = "headers", "jan.novak@domena.cz"
		*f = gate.Facts{LookedAt: received, As: "jan.novak@domena.cz", Accounts: []gate.AccountFact{{Login: "jan.novak@domena.cz", Found: true, SMTP: true}}}
	}
}

func used(messages, recipients int, l rules.Limits) func(*journal.Entry, *gate.Facts) {
	return func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Sender = "rcpt", "jan.novak@domena.cz"
		*f = gate.Facts{As: "jan.novak@domena.cz", Limits: &l, UsedMessages: messages, UsedRecipients: recipients}
	}
}

func account(login string, found, smtp bool) []gate.AccountFact {
	return []gate.AccountFact{{Login: login, Found: found, SMTP: smtp}}
}

func enforceHeader(h *explain.Host) { h.Policy.Sender.HeaderFrom = rules.HeaderEnforce }

func withPOP(h *explain.Host) {
	h.Policy.POP = rules.POPPolicy{Enabled: true, Validity: time.Hour, Services: []string{"pop3"}, MaxAccounts: 5}
}

var situations = []situation{
	{name: "no AUTH", reason: rules.ReasonNoAuth, entry: notLoggedIn(587)},
	{name: "no AUTH, port not known", reason: rules.ReasonNoAuth, entry: notLoggedIn(0)},
	{name: "no AUTH on a port in neither list", reason: rules.ReasonNoAuth, entry: notLoggedIn(2525)},
	{name: "wrong password", reason: rules.ReasonNoAuth, entry: notLoggedIn(587, times(3, "jan.novak@domena.cz", 1)...)},
	{name: "wrong password, told at AUTH", reason: rules.ReasonLoginFailed, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Sender, *f = "auth", "", gate.Facts{As: e.Login, Accounts: account(e.Login, true, true)}
	}},
	{name: "wrong passwords of several logins", reason: rules.ReasonNoAuth, entry: notLoggedIn(465,
		failed("jan.novak@domena.cz", 0, 0), failed("eva@domena.cz", 0, -time.Minute), failed("hana@domena.cz", 0, -time.Minute), failed("", 0, -2*time.Minute))},
	{name: "mistyped login, without hints", reason: rules.ReasonNoAuth, entry: notLoggedIn(587, times(2, "jan.novka@domena.cz", 1)...)},
	{name: "mistyped login", reason: rules.ReasonNoAuthUnknownLogin, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(587, times(2, "jan.novka@domena.cz", 1)...)(e, f)
		e.Sender, f.As, f.Accounts = "", "jan.novka@domena.cz", account("jan.novka@domena.cz", false, false)
	}},
	{name: "mistyped domain, told at AUTH", reason: rules.ReasonLoginUnknown, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, e.Sender, *f = "auth", "Petr@Domena.eeu", "", gate.Facts{As: "petr@domena.eeu"}
	}},
	{name: "the login's alias", reason: rules.ReasonLoginUnknown, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, e.Sender, *f = "mail", "petr@domena.cz", "petr@domena.eu", gate.Facts{As: "petr@domena.cz"}
	}},
	{name: "login of a domain that is not here", reason: rules.ReasonLoginUnknown, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, *f = "mail", "jan@jinde.cz", gate.Facts{As: "jan@jinde.cz"}
	}},
	{name: "login without domain", reason: rules.ReasonNoAuthNotAddress, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(587, times(2, "j… (9 characters)", 1)...)(e, f)
	}},
	{name: "login without domain, nobody known", reason: rules.ReasonLoginNotAddress, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, e.Sender, *f = "auth", "j… (9 characters)", "", gate.Facts{As: "j… (9 characters)"}
	}},
	{name: "login with a space", reason: rules.ReasonNoAuthNotAddress, entry: notLoggedIn(587, times(2, "", 0)...)},
	{name: "login without domain that SASL accepts", reason: rules.ReasonLoginNotAddress, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, e.Sender, *f = "mail", "jan.novak", "jan.novak@domena.cz", gate.Facts{As: "jan.novak"}
	}},
	{name: "login of the default domain, told at AUTH", reason: rules.ReasonLoginUnknown, host: withDefaultDomain, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, e.Sender, *f = "auth", "j… (4 characters)", "", gate.Facts{As: "j… (4 characters)"}
	}},
	{name: "failed logins of the default domain", reason: rules.ReasonNoAuthUnknownLogin, host: withDefaultDomain, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(587, times(2, "j… (4 characters)", 1)...)(e, f)
		f.As = "j… (4 characters)"
	}},
	{name: "disabled account", reason: rules.ReasonLoginDisabled, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, *f = "mail", "eva@domena.cz", gate.Facts{As: "eva@domena.cz", Accounts: account("eva@domena.cz", true, false)}
	}},
	{name: "disabled account, at MAIL without a login", reason: rules.ReasonNoAuthDisabled, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(587, times(2, "eva@domena.cz", 1)...)(e, f)
		f.As, f.Accounts = "eva@domena.cz", account("eva@domena.cz", true, false)
	}},
	{name: "account that Dovecot has disabled", reason: rules.ReasonLoginDisabled, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Sender, *f = "auth", "", gate.Facts{As: e.Login}
	}},
	{name: "POP of a disabled account", reason: rules.ReasonLoginDisabled, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, e.Login, *f = "mail", "eva@domena.cz", gate.Facts{
			As: "eva@domena.cz", Accounts: account("eva@domena.cz", true, false), Grants: []gate.GrantFact{{Login: "eva@domena.cz", Last: noon.Add(-time.Minute)}},
		}
	}},
	{name: "expired POP grant", reason: rules.ReasonNoAuth, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(587)(e, f)
		f.Lapsed = []gate.GrantFact{{Login: "jan.novak@domena.cz", Last: noon.Add(-90 * time.Minute)}}
	}},
	{name: "POP of too many accounts", reason: rules.ReasonRelayNoAuth, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(25)(e, f)
		f.Grants = make([]gate.GrantFact, 6)
	}},
	{name: "no AUTH from a proxy of many people", reason: rules.ReasonNoAuth, entry: notLoggedIn(587), host: func(h *explain.Host) {
		h.Policy.Shared = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	}},
	{name: "POP of somebody else behind the same address", reason: rules.ReasonSenderDomain, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs("info@firma.cz")(e, f)
		f.Grants = []gate.GrantFact{{Login: "jan.novak@domena.cz", Last: noon.Add(-time.Minute)}}
	}},
	{name: "POP of somebody else, relaying on 25", reason: rules.ReasonRelayNoAuth, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(25)(e, f)
		e.Sender, f.Local = "info@firma.cz", map[string]bool{"example.com": false}
		f.Grants = []gate.GrantFact{{Login: "jan.novak@domena.cz", Last: noon.Add(-time.Minute)}}
	}},
	{name: "POP, and a sender with quotes", reason: rules.ReasonSenderNotPlain, host: withPOP, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs(`"info"@firma.cz`)(e, f)
		f.Grants = []gate.GrantFact{{Login: "jan.novak@domena.cz", Last: noon.Add(-time.Minute)}}
	}},
	{name: "relay on 25", reason: rules.ReasonRelayNoAuth, entry: func(e *journal.Entry, f *gate.Facts) {
		notLoggedIn(25)(e, f)
		f.Local = map[string]bool{"example.com": false}
	}},
	{name: "relay on 25 after a wrong password", reason: rules.ReasonRelayNoAuth, entry: notLoggedIn(25, times(1, "jan.novak@domena.cz", 0)...)},
	{name: "freemail sender", reason: rules.ReasonSenderDomain, entry: sentAs("jan.novak@seznam.cz")},
	{name: "freemail sender, where there is a webmail", reason: rules.ReasonSenderDomain, entry: sentAs("jan.novak@seznam.cz"), host: func(h *explain.Host) {
		h.Policy.Webmail = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	}},
	{name: "domain without its accents", reason: rules.ReasonSenderDomain, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs("jan@hacky.cz")(e, f)
		e.Login, f.As, f.Domains = "jan@xn--haky-hua.cz", "jan@xn--haky-hua.cz", map[string][]string{"xn--haky-hua.cz": {"xn--haky-hua.cz"}}
	}},
	{name: "other customer's domain", reason: rules.ReasonSenderDomain, entry: sentAs("info@firma.cz")},
	{name: "other customer's alias domain", reason: rules.ReasonSenderDomain, entry: sentAs("jan@novy.cz")},
	{name: "other customer's domain that has aliases", reason: rules.ReasonSenderDomain, entry: sentAs("jan@nova.cz")},
	{name: "missing alias", reason: rules.ReasonSenderDomain, entry: sentAs("jan@novak-stavby.cz")},
	{name: "alias that has been added since", reason: rules.ReasonSenderDomain, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs("jan@domena.eu")(e, f)
		f.Domains = map[string][]string{"domena.cz": {"domena.cz"}}
	}},
	{name: "mistyped domain", reason: rules.ReasonSenderDomain, entry: sentAs("jan.novak@domenna.cz")},
	{name: "third-level domain", reason: rules.ReasonSenderDomain, entry: sentAs("jan@shop.domena.cz")},
	{name: "U-label sender", reason: rules.ReasonSenderDomain, entry: sentAs("jan@háčky.cz")},
	{name: "U-label sender, another spelling", reason: rules.ReasonSenderNotPlain, entry: sentAs("jan@HÁČKY.cz")},
	{name: "sender with quotes", reason: rules.ReasonSenderNotPlain, entry: sentAs(`"jan.novak"@domena.cz`)},
	{name: "sender with a route", reason: rules.ReasonSenderNotPlain, entry: sentAs("user%evil.test@domena.cz")},
	{name: "sender without a domain", reason: rules.ReasonSenderNotPlain, entry: sentAs("jan")},
	{name: "webmail identity from a phone", reason: rules.ReasonSenderNotWebmail, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs("majitel@seznam.cz")(e, f)
		e.Login, f.As, f.Senders, f.Domains = "info@firma.cz", "info@firma.cz", []string{"majitel@seznam.cz"}, map[string][]string{"firma.cz": {"firma.cz"}}
	}},
	{name: "not the account's address", reason: rules.ReasonSenderAddress, entry: sentAs("info@domena.cz"), host: byAddress},
	{name: "another account's address", reason: rules.ReasonSenderAddress, entry: sentAs("eva@domena.cz"), host: byAddress},
	{name: "null sender refused", reason: rules.ReasonSenderNull, entry: sentAs("")},
	{name: "From unlike the envelope", reason: rules.ReasonHeaderDomain, entry: inHeader("jan.novak@domena.cz", "sef@banka.cz"), host: enforceHeader},
	{name: "From in another spelling", reason: rules.ReasonHeaderDomain, entry: inHeader("jan.novak@domena.cz", `"jan"@domena.cz`), host: enforceHeader},
	{name: "null sender with foreign From", reason: rules.ReasonHeaderDomain, entry: inHeader("", "jan.novak@seznam.cz")},
	{name: "two Froms", reason: rules.ReasonHeaderSeveral, entry: inHeader("jan.novak@domena.cz", "jan.novak@domena.cz"), host: enforceHeader},
	{name: "no From", reason: rules.ReasonHeaderMissing, entry: inHeader("jan.novak@domena.cz", ""), host: enforceHeader},
	{name: "no From, null sender", reason: rules.ReasonHeaderMissing, entry: inHeader("", ""), host: enforceHeader},
	{name: "unreadable From", reason: rules.ReasonHeaderUnreadable, entry: inHeader("jan.novak@domena.cz", "jan.novak@domena.cz <sef@banka.cz"), host: enforceHeader},
	{name: "blocked office with one stale phone", reason: rules.ReasonBlocked, entry: blockedBy(append(times(9, "jan.novak@domena.cz", 1), failed("eva@domena.cz", 0, -time.Minute), failed("petr@domena.eu", 0, -time.Hour/2)))},
	{name: "blocked by an attacker on another login", reason: rules.ReasonBlocked, entry: blockedBy(append(times(10, "admin@domena.cz", 0), failed("root@domena.cz", 0, 0)))},
	{name: "blocked network", reason: rules.ReasonBlocked, entry: func(e *journal.Entry, f *gate.Facts) {
		blockedBy(times(11, "jan.novak@domena.cz", 0))(e, f)
		e.Client, f.Prefix = "2001:db8::1", "2001:db8::/64"
	}},
	{name: "blocked by names with forbidden characters", reason: rules.ReasonBlocked, entry: blockedBy(times(11, "", 1))},
	{name: "block that is over", reason: rules.ReasonBlocked, entry: blockedBy(times(11, "jan.novak@domena.cz", 0)), host: func(h *explain.Host) { h.Now, h.Blocks = until.Add(time.Minute), nil }},
	{name: "block that was lifted", reason: rules.ReasonBlocked, entry: blockedBy(times(11, "jan.novak@domena.cz", 0)), host: func(h *explain.Host) { h.Blocks = nil }},
	{name: "guessed login", reason: rules.ReasonGuessed, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Rule, e.Stage, e.Sender = "login_failures", "auth", ""
		*f = gate.Facts{As: e.Login, Guessing: &gate.GuessFact{Limit: 50, Count: 51, Until: &until, Delay: 5}}
	}},
	{name: "smart-hosting server", reason: rules.ReasonForwarded, entry: passedOn("from pc.firma.test (pc.firma.test [192.168.1.7]) by mail.firma.test with ESMTP id 1; Sun, 22 Nov 2026 12:00:00 +0100")},
	{name: "application server with local Postfix", reason: rules.ReasonForwarded, entry: passedOn("from localhost (localhost [127.0.0.1]) by app.firma.test (Postfix) with ESMTP id 4XyzAB")},
	{name: "quota by messages", reason: rules.ReasonQuota, entry: used(100, 140, rules.Limits{Messages: 100})},
	{name: "quota by recipients", reason: rules.ReasonQuota, entry: used(3, 200, rules.Limits{Messages: 100, Recipients: 200})},
	{name: "directory down", reason: rules.ReasonDirectory, entry: func(e *journal.Entry, f *gate.Facts) {
		e.Stage, *f = "mail", gate.Facts{As: e.Login, DirectoryFailed: true}
	}, host: func(h *explain.Host) { h.Directory = nil }},
	{name: "observed", reason: rules.ReasonSenderDomain, entry: func(e *journal.Entry, f *gate.Facts) {
		sentAs("jan@novak-stavby.cz")(e, f)
		e.Observed = true
	}},
	{name: "a reason of another version", reason: "from-the-future", entry: func(e *journal.Entry, _ *gate.Facts) { e.Rule = "greeting" }},
}

func withDefaultDomain(h *explain.Host) { h.Policy.Logins.DefaultDomain = "domena.cz" }

func byAddress(h *explain.Host) { h.Policy.Sender.ByAddress = true }

// played is the explanation of a situation in a language.
func (s situation) played(t *testing.T, lang explain.Lang) explain.Explanation {
	t.Helper()
	h := thisHost(t, noon)
	h.Lang = lang
	if s.host != nil {
		s.host(&h)
	}
	return explainedOn(t, entry(t, s.reason, s.entry), h)
}
