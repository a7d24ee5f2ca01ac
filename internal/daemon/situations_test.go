package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/paste"
)

// message is what a customer sends in one session.
type message struct {
	client, login, sender string
	port                  int
	recipients            []string
	header                []string // "Name: value"
}

// send plays it as Postfix would, and returns the first refusal, or "".
func (h *host) send(m message) string {
	h.t.Helper()
	if m.port == 25 {
		for _, r := range m.recipients {
			if got := h.ask(envelope{client: m.client, port: 25, login: m.login, sender: m.sender, recipient: r, context: "relay"}); got != "OK" && got != "DUNNO" {
				return fmt.Sprintf("550 5.1.0 <%s>: Recipient address rejected: %s", r, got)
			}
		}
	}
	p := h.connect(m.client, m.port)
	defer p.Close()
	p.login = m.login
	if got := p.helo(); got != "" {
		return got
	}
	if got := p.mail(m.sender); got != "" {
		return got
	}
	for _, r := range m.recipients {
		if got := p.rcpt(r); got != "" {
			return got
		}
	}
	for _, field := range m.header {
		name, value, _ := strings.Cut(field, ": ")
		if got := p.header(name, value); got != "" {
			return got
		}
	}
	if got := p.endOfHeader(); got != "" {
		return got
	}
	return p.endOfMessage()
}

// with is the message with one thing that the customer has done.
func (m message) with(change func(*message)) message {
	change(&m)
	return m
}

// situation is one call at the help desk. The administrator carries the remedy
// out whose line or command contains fix; with an empty fix, the customer does
// what was said, and fixed is what the mail program then sends.
type situation struct {
	name    string
	config  string // instead of plain
	before  func(*host)
	message message
	reply   func(*host) string // where the refusal is not the message's
	cause   string             // of the explanation, a regular expression
	said    string             // to the customer
	fix     string
	prepare func(*host) // what the remedy says has to be removed first
	fixed   func(*message)
}

const farAway = "kdosi@far.test"

func plainMail(client string) message {
	return message{client: client, login: "jan@domena.cz", sender: "jan@domena.cz", port: 587, recipients: []string{farAway}, header: []string{"From: jan@domena.cz", "Subject: x"}}
}

func fails(n int, client, login string) func(*host) {
	return func(h *host) {
		for range n {
			h.report("submission", client, login, false)
		}
	}
}

var (
	logsIn      = func(m *message) { m.login = "jan@domena.cz" }
	ownSender   = func(m *message) { m.sender, m.header = "jan@domena.cz", []string{"From: jan@domena.cz"} }
	enforced    = plain + "[sender]\nheader_from = \"enforce\"\n"
	otherHop    = "Received: from pc.firma.test (pc.firma.test [192.168.1.7]) by mail.firma.test with ESMTP id 1; Sun, 22 Nov 2026 12:00:00 +0100"
	localHop    = "Received: from localhost (localhost [127.0.0.1]) by app.firma.test (Postfix) with ESMTP id 1; Sun, 22 Nov 2026 12:00:00 +0100"
	anonymously = func(m *message) { m.login = "" }
	as          = func(sender string) func(*message) { return func(m *message) { m.sender = sender } }
	withHeader  = func(fields ...string) func(*message) { return func(m *message) { m.header = fields } }
)

// situations are the calls of the issue, each with the remedies that must work.
var situations = []situation{
	{
		name: "wrong password", before: fails(2, "192.0.2.1", "jan@domena.cz"), message: plainMail("192.0.2.1").with(anonymously),
		cause: `failed: "jan@domena\.cz" 2×`, said: `log in as jan@domena\.cz, but the password was not right`, fixed: logsIn,
	},
	{
		name: "mistyped login", before: fails(2, "192.0.2.1", "jan@domema.cz"), message: plainMail("192.0.2.1").with(anonymously),
		cause: `"jan@domema\.cz", which is not in the directory \(domema\.cz is no domain`, said: `no mailbox of that name`, fixed: logsIn,
	},
	{
		name: "mistyped login that should exist", before: fails(2, "192.0.2.1", "jana@domena.cz"), message: plainMail("192.0.2.1").with(anonymously),
		cause: `"jana@domena\.cz", which is not in the directory`, fix: `"jana@domena.cz" = {}`, fixed: func(m *message) { m.login = "jana@domena.cz" },
	},
	{
		name: "login without domain", before: fails(1, "192.0.2.1", "jan"), message: plainMail("192.0.2.1").with(anonymously),
		cause: `j… \(3 characters\), which is no whole e-mail address`, said: `not a whole e-mail address`, fixed: logsIn,
	},
	{
		name: "login without domain, allowed", message: plainMail("192.0.2.1").with(func(m *message) { m.login = "jan" }),
		cause: `accepted the login jan, which is no whole`, fix: `default_domain = "domena.cz"`,
	},
	{
		name: "disabled account", message: plainMail("192.0.2.1").with(func(m *message) { m.login = "eva@domena.cz" }),
		cause: `disabled for the account "eva@domena\.cz"`, said: `turned off for the mailbox eva@domena\.cz`, fix: `"eva@domena.cz" = {}`,
	},
	{name: "no AUTH", message: plainMail("192.0.2.1").with(anonymously), cause: `tried no login`, said: `without logging in`, fixed: logsIn},
	{name: "no AUTH, a server of one's own", message: plainMail("192.0.2.1").with(anonymously), cause: `tried no login`, fix: `trusted = [`},
	{name: "freemail sender", message: plainMail("192.0.2.1").with(as("jan@seznam.cz")), cause: `public mail provider`, said: `another mail provider`, fixed: ownSender},
	{name: "freemail sender, allowed from everywhere", message: plainMail("192.0.2.1").with(as("jan@seznam.cz")), cause: `public mail provider`, fix: `{ forward = true, senders = ["jan@seznam.cz"] }`},
	{
		name: "other customer's domain", message: plainMail("192.0.2.1").with(as("info@firma.cz")), cause: `firma\.cz is hosted here for somebody else`,
		said: `does not belong to your mailbox`, fixed: func(m *message) { m.login = "mta@firma.cz" },
	},
	{
		name: "other customer's domain that is this customer's", message: plainMail("192.0.2.1").with(as("info@firma.cz")), cause: `firma\.cz is hosted here for somebody else`,
		fix: `aliases = ["domena.eu", "firma.cz"]`, prepare: func(h *host) { h.write("accounts.toml", strings.Replace(accounts, "\"firma.cz\" = {}\n", "", 1)) },
	},
	{
		name: "missing alias", message: plainMail("192.0.2.1").with(as("jan@nova.cz")), cause: `nova\.cz is neither its domain nor an alias`, said: `only from addresses at domena\.cz or domena\.eu`,
		fix: `aliases = ["domena.eu", "nova.cz"]`,
	},
	{
		name: "third-level domain", message: plainMail("192.0.2.1").with(as("jan@shop.domena.cz")), cause: `third-level domain of domena\.cz`, said: `subdomain`,
		fix: `aliases = ["domena.eu", "shop.domena.cz"]`,
	},
	{
		name: "webmail identity from a phone", before: func(h *host) { h.directory(`"jan@domena.cz" = { senders = ["jan@seznam.cz"] }`) }, message: plainMail("192.0.2.1").with(as("jan@seznam.cz")),
		cause: `holds in the webmail only`, said: `only there`, fix: `webmail = ["192.0.2.1"]`,
	},
	{
		name: "webmail identity, allowed from everywhere", before: func(h *host) { h.directory(`"jan@domena.cz" = { senders = ["jan@seznam.cz"] }`) }, message: plainMail("192.0.2.1").with(as("jan@seznam.cz")),
		cause: `holds in the webmail only`, fix: `forward = true`,
	},
	{name: "blocked NAT office with one stale phone", before: func(h *host) {
		fails(1, "192.0.2.1", "mta@firma.cz")(h)
		h.stale(10, "192.0.2.1", "jan@domena.cz")
	}, message: plainMail("192.0.2.1"), cause: `"jan@domena\.cz" repeated one wrong password.* there were 2\.`, said: `blocked for the moment`, fix: "unblock 192.0.2.1"},
	{
		name: "blocked NAT office, spared the next time", before: func(h *host) { h.stale(11, "192.0.2.1", "jan@domena.cz") }, message: plainMail("192.0.2.1"),
		cause: `repeated one wrong password`, fix: `same_password = "once"`,
	},
	{
		name: "block by an attacker on another login", before: fails(11, "192.0.2.1", "root@domena.cz"), message: plainMail("192.0.2.1"),
		cause: `11 failed logins from 192\.0\.2\.1 .*"root@domena\.cz" 11×`, said: `another person behind the same connection`, fix: "unblock 192.0.2.1",
	},
	{name: "block of an address of many people", before: fails(11, "192.0.2.1", "root@domena.cz"), message: plainMail("192.0.2.1"), cause: `the limit is 10`, fix: `shared = ["192.0.2.1"]`},
	{
		name: "smart-hosting server", message: plainMail("192.0.2.1").with(withHeader(otherHop, "From: jan@domena.cz")), cause: `another mail server`, said: `passed through another mail server`,
		fix: `"jan@domena.cz" = { forward = true }`,
	},
	{
		name: "application server with local Postfix", message: plainMail("192.0.2.1").with(withHeader(localHop, "From: jan@domena.cz")), cause: `handed by a program to a mail server on its own machine`,
		said: `runs on your own computer`, fix: `forward = true`,
	},
	{
		name: "redirecting mail program", message: plainMail("192.0.2.1").with(withHeader(otherHop, "From: nekdo@far.test")), cause: `another mail server`, said: `another mail server`,
		fixed: withHeader("From: jan@domena.cz"),
	},
	{
		name: "From unlike the envelope", config: enforced, message: plainMail("192.0.2.1").with(withHeader("From: sef@banka.test")), cause: `"sef@banka\.test", which the message's header names`,
		said: `sent as sef@banka\.test`, fixed: ownSender,
	},
	{name: "From unlike the envelope, an alias", config: enforced, message: plainMail("192.0.2.1").with(withHeader("From: jan@nova.cz")), cause: `nova\.cz is neither`, fix: `aliases = ["domena.eu", "nova.cz"]`},
	{name: "From unlike the envelope, observed", config: enforced, message: plainMail("192.0.2.1").with(withHeader("From: jan@nova.cz")), cause: `nova\.cz is neither`, fix: `header_from = "observe"`},
	{
		name: "two Froms", config: enforced, message: plainMail("192.0.2.1").with(withHeader("From: jan@domena.cz", "From: jan@domena.cz")), cause: `more than one From field`,
		said: `names its sender more than once`, fixed: ownSender,
	},
	{name: "no From", config: enforced, message: plainMail("192.0.2.1").with(withHeader("Subject: x")), cause: `no From field`, said: `does not say whom it is from`, fixed: ownSender},
	{
		name: "null sender with foreign From", message: plainMail("192.0.2.1").with(as("")).with(withHeader("From: jan@seznam.cz")), cause: `public mail provider`, said: `sent as jan@seznam\.cz`,
		fix: `null_sender = "allow"`,
	},
	{
		name: "null sender refused", config: plain + "[sender]\nnull_sender = \"refuse\"\n", message: plainMail("192.0.2.1").with(as("")), cause: `refused by sender\.null_sender`,
		said: `no sender address`, fix: `null_sender = "header"`,
	},
	{
		name: "quota by messages", config: plain + "[quota]\nmessages_per_hour = 1\n", before: func(h *host) { h.send(plainMail("192.0.2.1")) }, message: plainMail("192.0.2.1"),
		cause: `1 message and 1 recipient are used`, said: `one hour \(1\)`, fix: "reset jan@domena.cz",
	},
	{
		name: "quota by messages, raised", config: plain + "[quota]\nmessages_per_hour = 1\n", before: func(h *host) { h.send(plainMail("192.0.2.1")) }, message: plainMail("192.0.2.1"),
		cause: `1 message`, fix: "messages_per_hour = 2",
	},
	{
		name: "quota by recipients", config: plain + "[quota]\nrecipients_per_hour = 1\n", before: func(h *host) { h.send(plainMail("192.0.2.1")) }, message: plainMail("192.0.2.1"),
		cause: `may send 1 recipient`, said: `as many recipients`, fix: "recipients_per_hour = 2",
	},
	{
		name: "expired POP grant", before: func(h *host) {
			h.report("pop3", "192.0.2.1", "jan@domena.cz", true)
			h.clock.forward(90 * time.Minute)
		}, message: plainMail("192.0.2.1").with(anonymously), cause: `last POP login from its address \(jan@domena\.cz\) was at .* 1h30m before; smtp_after_pop\.validity is 1h`,
		said: `it did so last on 22 November 2026`, fix: `validity = "2h"`,
	},
	{name: "expired POP grant on 25", before: func(h *host) {
		h.report("pop3", "192.0.2.1", "jan@domena.cz", true)
		h.clock.forward(61 * time.Minute)
	}, message: plainMail("192.0.2.1").with(anonymously).with(func(m *message) { m.port = 25 }), cause: `1h1m before`, said: `too long ago`, fix: `validity = "2h"`},
	{name: "POP of too many accounts", config: strings.Replace(plain, "enabled = true", "enabled = true\nmax_accounts = 1", 1), before: func(h *host) {
		h.report("pop3", "192.0.2.1", "mta@firma.cz", true)
		h.report("pop3", "192.0.2.1", "jan@domena.cz", true)
	}, message: plainMail("192.0.2.1").with(anonymously), cause: `collected POP mail of 2 accounts, more than the 1`, said: `many different mailboxes`, fix: "max_accounts = 2"},
	{
		name: "POP of a disabled account", before: func(h *host) { h.report("pop3", "192.0.2.1", "eva@domena.cz", true) },
		message: plainMail("192.0.2.1").with(anonymously).with(as("eva@domena.cz")).with(withHeader("From: eva@domena.cz")), cause: `authorised by its POP login as "eva@domena\.cz"`,
		said: `turned off for the mailbox eva@domena\.cz`, fix: `"eva@domena.cz" = {}`,
	},
	{name: "unknown port", message: plainMail("192.0.2.1").with(anonymously).with(func(m *message) { m.port = 2525 }), cause: `port 2525 is in neither list of \[ports\]`, said: `without logging in`, fixed: logsIn},
	{
		name: "unknown port, for other servers", message: message{client: "192.0.2.1", sender: "nekdo@far.test", port: 2525, recipients: []string{"jan@domena.cz"}}, cause: `neither list of \[ports\]`,
		fix: "mixed = [25, 2525]",
	},
	{name: "relay on 25", message: plainMail("192.0.2.1").with(anonymously).with(func(m *message) { m.port = 25 }), cause: `whose domain is not this server's own`, said: `without logging in`, fixed: logsIn},
	{name: "relay on 25, a domain of this server's", message: plainMail("192.0.2.1").with(anonymously).with(func(m *message) { m.port = 25 }), cause: `not this server's own`, fix: `local_domains = ["far.test"]`},
	{
		name: "U-label sender", message: plainMail("192.0.2.1").with(as("jan@háčky.cz")), cause: `háčky\.cz \(xn--hky-ela4t\.cz\) is neither its domain nor an alias`, said: `sent as jan@háčky\.cz`,
		fix: `"xn--hky-ela4t.cz"`,
	},
	{
		name: "U-label sender in another spelling", before: func(h *host) { h.alias("háčky.cz") }, message: plainMail("192.0.2.1").with(as("jan@HÁČKY.cz")), cause: `another spelling of háčky\.cz`,
		said: `cannot read reliably`, fixed: as("jan@háčky.cz"),
	},
	{name: "sender with a route", message: plainMail("192.0.2.1").with(as("jan%far.test@domena.cz")), cause: `read the % or ! in it as routing`, said: `cannot read reliably`, fixed: ownSender},
	{
		name: "not the account's own address", config: plain + "[sender]\nmatch = \"address\"\n", message: plainMail("192.0.2.1").with(as("prodej@domena.cz")), cause: `sender\.match = "address"`,
		said: `not one of the addresses of the mailbox`, fix: `addresses = ["prodej@domena.cz"]`,
	},
	{
		name: "refused at AUTH", reply: func(h *host) string { return h.allow("192.0.2.1", "eva@domena.cz") }, message: plainMail("192.0.2.1").with(func(m *message) { m.login = "eva@domena.cz" }),
		cause: `disabled for the account "eva@domena\.cz"`, said: `turned off`, fix: `"eva@domena.cz" = {}`,
	},
}

// allow is the text of a refusal at AUTH, as Postfix shows it.
func (h *host) allow(client, login string) string {
	h.t.Helper()
	_, answer := h.dovecot("allow", "secret", map[string]any{"login": login, "protocol": "submission", "remote": client})
	return "535 5.7.8 Error: authentication failed: " + answer
}

// stale makes a program repeat one stored password.
func (h *host) stale(n int, client, login string) {
	h.t.Helper()
	for range n {
		h.dovecot("report", "secret", map[string]any{
			"login": login, "protocol": "submission", "remote": client, "success": false, "policy_reject": false, "pwhash": "00",
		})
	}
}

// directory replaces jan's line.
func (h *host) directory(line string) {
	h.t.Helper()
	h.write("accounts.toml", strings.Replace(accounts, `"jan@domena.cz" = {}`, line, 1))
	h.mustReload()
}

func (h *host) alias(domain string) {
	h.t.Helper()
	h.write("accounts.toml", strings.Replace(accounts, `["domena.eu"]`, `["domena.eu", "`+domain+`"]`, 1))
	h.mustReload()
}

func (h *host) mustReload() {
	h.t.Helper()
	if r := h.reloaded(); len(r.Problems) > 0 {
		body, _ := os.ReadFile(h.path("accounts.toml"))
		h.t.Fatalf("the remedy is refused: %q\n%s", r.Problems, body)
	}
}

// carryOut does what the remedy says, as an administrator would who copies it.
func (h *host) carryOut(r explain.Remedy) {
	h.t.Helper()
	if r.Line != "" {
		h.editFile(r.File, r.Table, r.Line)
	}
	words, err := exec.Command("/bin/sh", "-c", `portreeve() { for a; do printf '%s\n' "$a"; done; }; `+r.Command).Output()
	args := strings.Split(strings.TrimSpace(string(words)), "\n")
	if err != nil || len(args) < 3 || args[0] != "--config" || args[1] != h.path("portreeve.toml") {
		h.t.Fatalf("the command %s: %q, %v", r.Command, args, err)
	}
	switch args[2] {
	case "reload":
		h.mustReload()
	case "unblock":
		must[[]admin.Unblocked](h.t)(h.unblock(args[3:]...))
	case "reset":
		must[admin.UsageAnswer](h.t)(h.admin.Reset(h.t.Context(), admin.UsageRequest{Login: args[3]}))
	default:
		h.t.Fatalf("nobody carries %q out", args)
	}
}

// editFile puts a line under its table, in place of the one with its key.
func (h *host) editFile(path, table, line string) {
	h.t.Helper()
	body := string(must[[]byte](h.t)(os.ReadFile(path)))
	key, _, _ := strings.Cut(line, " = ")
	var out []string
	current, done := "", false
	for _, l := range strings.Split(strings.TrimRight(body, "\n"), "\n") {
		if strings.HasPrefix(l, "[") {
			current = l
		}
		if current == table && strings.HasPrefix(strings.ReplaceAll(l, "  ", " "), key+" =") {
			l, done = line, true
		}
		out = append(out, l)
	}
	if at := slices.Index(out, table); !done && at >= 0 {
		out = slices.Insert(out, at+1, line)
	} else if !done {
		out = append(out, table, line)
	}
	h.write(strings.TrimPrefix(path, h.dir+"/"), strings.Join(out, "\n")+"\n")
}

// play makes the situation, explains the reply's text alone, and has the remedy
// carried out: the same message must pass.
func (s situation) play(t *testing.T) {
	config := plain
	if s.config != "" {
		config = s.config
	}
	h := start(t, config)
	if s.before != nil {
		s.before(h)
	}
	reply := ""
	if s.reply != nil {
		reply = s.reply(h)
	} else {
		reply = h.send(s.message)
	}
	x := h.explainReply(reply)
	if !regexp.MustCompile(s.cause).MatchString(x.Cause) || !regexp.MustCompile(s.said).MatchString(x.CustomerCause) {
		t.Fatalf("%s\nis explained by: %s\nsaid: %s", reply, x.Cause, x.CustomerCause)
	}
	m := s.message
	if s.fixed != nil {
		m = m.with(s.fixed)
	}
	if s.fix != "" {
		i := slices.IndexFunc(x.Remedies, func(r explain.Remedy) bool { return strings.Contains(r.Line+r.Command, s.fix) })
		if i < 0 {
			t.Fatalf("no remedy has %s:\n%s", s.fix, strings.Join(x.Administrator, "\n"))
		}
		if s.prepare != nil {
			s.prepare(h)
		}
		h.carryOut(x.Remedies[i])
	}
	if again := h.send(m); again != "" {
		t.Errorf("after the remedy %s\n%s\nis still refused: %s", s.fix, strings.Join(x.Administrator, "\n"), again)
	}
}

// explainReply looks a reply up as a help desk would: from a dialog's text alone.
func (h *host) explainReply(reply string) explain.Explanation {
	h.t.Helper()
	found := paste.Find("Zprávu nelze odeslat. Odpověď serveru:\n    "+reply+"\nZkuste to znovu.", "")
	a := h.explain(admin.ExplainRequest{IDs: found.IDs, Senders: found.Senders, Since: noon.Add(-time.Hour), Times: found.Times})
	if len(a.Found) != 1 || len(a.Unknown) > 0 {
		h.t.Fatalf("%q is %d entries, %q unknown", reply, len(a.Found), a.Unknown)
	}
	return a.Found[0]
}

func TestSituations(t *testing.T) {
	explained := 0
	for _, s := range situations {
		if t.Run(s.name, s.play) {
			explained++
		}
	}
	t.Logf("%d of %d explained and remedied", explained, len(situations))
}

// The directory's own failure: what helps is that it comes back, or the setting.
func TestSituationDirectoryDown(t *testing.T) {
	for _, back := range []bool{true, false} {
		var down atomic.Bool
		h := startUnsure(t, plain, &down)
		down.Store(true)
		reply := h.send(plainMail("192.0.2.1"))
		x := h.explainReply(reply)
		if !strings.Contains(x.Cause, "directory of accounts could not answer") || !strings.Contains(x.CustomerCause, "fault of ours") {
			t.Fatalf("%s: %s", reply, x.Cause)
		}
		if down.Store(!back); !back {
			i := slices.IndexFunc(x.Remedies, func(r explain.Remedy) bool { return strings.Contains(r.Line, `on_failure = "accept"`) })
			h.carryOut(x.Remedies[i])
		}
		if again := h.send(plainMail("192.0.2.1")); again != "" {
			t.Errorf("back %t: still refused: %s", back, again)
		}
	}
}

// A wrong password is told at AUTH only by the SASL relay.
func TestSituationWrongPasswordAtAUTH(t *testing.T) {
	h := prepare(t, withRelay)
	dovecotAt(t, h.path("auth"))
	h.run()
	x := h.explainReply("535 5.7.8 Error: authentication failed: " + h.sasl("192.0.2.1", "jan@domena.cz"))
	if x.Reason != "login-failed" || !strings.Contains(x.CustomerCause, "log in as jan@domena.cz, but the password was not right") || !strings.Contains(fmt.Sprint(x.Administrator), "doveadm auth test jan@domena.cz") {
		t.Errorf("%s: %s %q", x.Cause, x.CustomerCause, x.Administrator)
	}
	x = h.explainReply("535 5.7.8 Error: authentication failed: " + h.sasl("192.0.2.1", "jan@domema.cz"))
	if x.Reason != "login-unknown" || !slices.Equal(x.Compared.Allowed, []string{"jan@domena.cz"}) {
		t.Errorf("%s: %+v", x.Cause, x.Compared)
	}
}
