package daemon

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portreeve/internal/admin"
	"portreeve/internal/mailheader"
	"portreeve/rules"
)

// hop is a Received field of another mail server.
const hop = "from a.test (a.test [192.0.2.1]) by b.test with ESMTP id 1; Thu, 1 Jan 2026 10:00:00 +0100"

// a client's session, and what it ends with.
type played struct {
	name  string
	r     admin.TestRequest
	hop   bool // the message came through another mail server
	stage string
	rule  string
}

var sessions = []played{
	{name: "its own sender", r: admin.TestRequest{Port: 587, Login: "jan@domena.cz", Sender: "jan@domena.eu", Recipients: []string{"x@seznam.cz"}}},
	{name: "no AUTH", r: admin.TestRequest{Port: 587, Sender: "jan@domena.cz"}, stage: "mail", rule: "auth_failed"},
	{name: "a foreign sender", r: admin.TestRequest{Port: 465, TLS: true, Login: "jan@domena.cz", Sender: "jan@seznam.cz"}, stage: "mail", rule: "sender"},
	{name: "an unknown login before its sender", r: admin.TestRequest{Port: 587, Login: "no@domena.cz", Sender: "x@seznam.cz"}, stage: "mail", rule: "auth_rejected"},
	{name: "a disabled login", r: admin.TestRequest{Port: 587, Login: "eva@domena.cz", Sender: "eva@domena.cz"}, stage: "mail", rule: "access_disabled"},
	{name: "blocked, before everything else", r: admin.TestRequest{ClientIP: "192.0.2.66", Port: 587, Login: "no@domena.cz", Sender: "x@seznam.cz"}, stage: "mail", rule: "throttled"},
	{name: "blocked, mail for us", r: admin.TestRequest{ClientIP: "192.0.2.66", Port: 25, Sender: "x@seznam.cz", Recipients: []string{"jan@domena.cz"}}},
	{name: "blocked, relaying", r: admin.TestRequest{ClientIP: "192.0.2.66", Port: 25, Sender: "x@seznam.cz", Recipients: []string{"jan@domena.cz", "y@seznam.cz"}}, stage: "rcpt", rule: "throttled"},
	{name: "inbound", r: admin.TestRequest{Port: 25, Sender: "x@seznam.cz", Recipients: []string{"jan@domena.cz", "info@firma.cz"}}, hop: true},
	{name: "relaying", r: admin.TestRequest{Port: 25, Sender: "x@seznam.cz", Recipients: []string{"jan@domena.cz", "y@seznam.cz"}}, stage: "rcpt", rule: "auth_failed"},
	{name: "SMTP after POP", r: admin.TestRequest{ClientIP: "192.0.2.77", Port: 25, Sender: "jan@domena.cz", Recipients: []string{"y@seznam.cz"}}},
	{name: "SMTP after POP, a foreign sender", r: admin.TestRequest{ClientIP: "192.0.2.77", Port: 587, Sender: "x@seznam.cz"}, stage: "mail", rule: "sender"},
	{name: "SMTP after POP on the mixed port, a foreign sender", r: admin.TestRequest{ClientIP: "192.0.2.77", Port: 25, Sender: "x@seznam.cz", Recipients: []string{"y@seznam.cz"}}, stage: "rcpt", rule: "auth_failed"},
	{name: "passed on", r: admin.TestRequest{Port: 587, Login: "jan@domena.cz", Sender: "jan@domena.cz", Recipients: []string{"y@seznam.cz"}}, hop: true, stage: "headers", rule: "relay"},
	{name: "passed on, and allowed to", r: admin.TestRequest{Port: 587, Login: "mta@firma.cz", Sender: "mta@firma.cz", Recipients: []string{"y@seznam.cz"}}, hop: true},
	{name: "trusted", r: admin.TestRequest{ClientIP: "127.0.0.1", Port: 587, Sender: "x@seznam.cz", Recipients: []string{"y@seznam.cz"}}, hop: true},
}

// prepared completes a session's request.
func (s played) prepared(t testing.TB) admin.TestRequest {
	t.Helper()
	r := s.r
	if r.ClientIP == "" {
		r.ClientIP = "192.0.2.9"
	}
	if s.hop {
		// As the verb reads it from its --message.
		r.Message = must[*rules.Message](t)(mailheader.Read(strings.NewReader("Received: "+hop+"\r\nFrom: "+r.Sender+"\r\n\r\n"), 1<<20))
	}
	return r
}

var ids = regexp.MustCompile(`[0-9A-Za-z]{22}`)

// play is the same session as Postfix puts it to the fronts: the stage of the
// first refusal and its text, with {id} for the id.
func (h *host) play(r admin.TestRequest) (stage, reply string) {
	h.t.Helper()
	p := h.connect(r.ClientIP, int(r.Port))
	defer p.Close()
	p.login = r.Login
	refused := func(at, text string) bool {
		if text != "" && text != "DUNNO" && text != "OK" {
			stage, reply = at, ids.ReplaceAllString(text, "{id}")
		}
		return stage != ""
	}
	if refused("helo", p.helo()) || refused("mail", p.mail(r.Sender)) {
		return stage, reply
	}
	for _, recipient := range r.Recipients {
		// smtpd_relay_restrictions come first, for who is not authenticated (FACTS.md 1.3).
		e := envelope{client: r.ClientIP, port: int(r.Port), sender: r.Sender, recipient: recipient, context: "relay"}
		if r.Login == "" && refused("rcpt", h.ask(e)) || refused("rcpt", p.rcpt(recipient)) {
			return stage, reply
		}
	}
	if r.Message != nil {
		p.header("Received", hop)
		p.header("From", r.Sender)
		refused("headers", p.endOfHeader())
	}
	return stage, reply
}

// What `test` says is what the fronts then do, by the same rule at the same
// stage in the same words, wherever a client may be refused.
func TestTestIsWhatTheFrontsDo(t *testing.T) {
	for name, extra := range map[string]string{
		"at MAIL":   "",
		"at HELO":   "[auth_failures]\nrefuse_at = \"helo\"\n",
		"observing": "",
	} {
		t.Run(name, func(t *testing.T) {
			config := plain + extra
			if name == "observing" {
				config = "mode = \"observe\"\n" + plain
			}
			h := start(t, config)
			h.block("192.0.2.66", "jan@domena.cz")
			h.report("pop3", "192.0.2.77", "jan@domena.cz", true)
			for _, s := range sessions {
				h.compare(s, name)
			}
		})
	}
}

func (h *host) compare(s played, where string) {
	h.t.Helper()
	r := s.prepared(h.t)
	tested := must[admin.Tested](h.t)(h.admin.Test(h.t.Context(), r))
	stage, reply := h.play(r)
	last := tested.Steps[len(tested.Steps)-1]
	if where == "observing" {
		if stage != "" || tested.Action != "pass" || tested.Observed != (s.rule != "") || tested.Rule != s.rule {
			h.t.Errorf("%s, observing: refused at %q; test says %s, rule %q observed=%v", s.name, stage, tested.Action, tested.Rule, tested.Observed)
		}
		return
	}
	want := s.stage
	// The fronts were shown a client that is logged in; test begins with AUTH.
	if last.Stage == "auth" && stage == "mail" && s.r.Login != "" {
		last.Stage = "mail"
	}
	if where == "at HELO" && s.rule == "throttled" && s.r.Port != 25 {
		want = "helo"
	}
	if stage != want || tested.Rule != s.rule {
		h.t.Errorf("%s: refused at %q by %q, want %q and %q", s.name, stage, tested.Rule, want, s.rule)
	}
	if tested.Reply != reply || tested.ID != "" {
		h.t.Errorf("%s: test says %q, the fronts %q", s.name, tested.Reply, reply)
	}
	if stage != "" && (last.Stage != stage || last.Action != "refuse" || last.Reply != reply || tested.Action != "refuse") {
		h.t.Errorf("%s: the last step is %+v, the fronts refused at %s", s.name, last, stage)
	}
	if stage == "" && tested.Action != "pass" {
		h.t.Errorf("%s: test says %s", s.name, tested.Action)
	}
}

func TestSessionStages(t *testing.T) {
	whole := rules.Request{
		Client: netip.MustParseAddr("192.0.2.9"), Port: 587, Login: "jan@domena.cz", Sender: "jan@domena.cz",
		Recipients: []string{"a@x.cz", "b@x.cz"}, Message: &rules.Message{},
	}
	var got []string
	for _, r := range session(whole, true, []string{"smtp"}) {
		got = append(got, r.Stage.String()+" "+r.Recipient)
		if atEnd := r.Stage == rules.StageHeaders; atEnd != (r.Message != nil) || atEnd != (r.Recipients != nil) {
			t.Errorf("%s knows message %v and recipients %v", r.Stage, r.Message, r.Recipients)
		}
		if r.Sender != whole.Sender || r.Login != whole.Login || r.Client != whole.Client || r.Port != whole.Port {
			t.Errorf("%s lost something: %+v", r.Stage, r)
		}
	}
	if want := []string{"helo ", "auth ", "mail ", "rcpt a@x.cz", "rcpt b@x.cz", "headers "}; !slices.Equal(got, want) {
		t.Errorf("stages %q", got)
	}
	if n := len(session(rules.Request{}, true, []string{"smtp"})); n != 2 {
		t.Errorf("%d stages without recipient and message", n)
	}
}

// A test changes nothing: no entry, no count, no block.
func TestTestLeavesNoTrace(t *testing.T) {
	h := start(t, plain)
	r := admin.TestRequest{ClientIP: "192.0.2.9", Port: 587, Login: "jan@domena.cz", Sender: "jan@seznam.cz"}
	for range 12 {
		if got := must[admin.Tested](t)(h.admin.Test(t.Context(), r)); got.Rule != "sender" || !got.Time.Equal(noon) {
			t.Fatalf("got %+v", got)
		}
	}
	if a := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}); len(a.Found) > 0 {
		t.Errorf("the journal has %+v", a.Found)
	}
	if c := h.status().Counts; c.Refused+c.Passed+c.Observed != 0 || len(h.blocks()) > 0 {
		t.Errorf("counts %+v", c)
	}
	if strings.Contains(h.log.String(), "msg=refused") {
		t.Error("the log has a refusal")
	}
	for _, address := range []string{"", "192.0.2", "192.0.2.0/24", "mail.test"} {
		r.ClientIP = address
		if _, err := h.admin.Test(t.Context(), r); err == nil || !strings.Contains(err.Error(), "is no IP address: give one such as") {
			t.Errorf("the client %q: %v", address, err)
		}
	}
}
