//go:build real

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"portreeve/internal/explain"
	"portreeve/rules"
)

// situation is one call at the help desk.
type situation struct {
	name     string
	settings map[string]any // over the host's, on a host that is played alone
	before   func(*stage)   // what happened before the message
	letter   letter
	told     string              // pattern: what the client is told
	dialog   func(string) string // what the customer pastes; nil: the reply

	reason rules.Reason
	cause  string // pattern: what must be named, to the point
	remedy remedy
}

// stage is a situation being played.
type stage struct {
	*helpDesk
	t      *testing.T
	client string // the customer's address, which nobody else has
}

// play sends the message, has the reply explained, carries the remedy out, and
// sends the message again.
func (s situation) play(st *stage, counts *score) {
	if s.before != nil {
		s.before(st)
	}
	l := s.letter
	reply := s.refused(st)
	text := reply
	if s.dialog != nil {
		text = s.dialog(reply)
	}
	x := st.explain(text)
	if !s.explained(st.t, x) {
		return
	}
	counts.explained.Add(1)
	s.refused(st) // it does not pass by itself: whatever mends it is the remedy
	s.remedy.carryOut(st, x, &l)
	if again := st.send(l); !strings.HasPrefix(again, "250 ") {
		st.t.Fatalf("after the remedy the client was told %q\nexplain had said:\n%s", again, pretty(x))
	}
	counts.remedied.Add(1)
}

// refused sends the message, which must be refused in the way of the situation.
func (s situation) refused(st *stage) string {
	st.t.Helper()
	reply := st.send(s.letter)
	if !regexp.MustCompile(s.told).MatchString(reply) {
		st.t.Fatalf("the client was told %q, not %s", reply, s.told)
	}
	return reply
}

// explain gives the verb a text, which must be about exactly one refusal.
func (st *stage) explain(text string) explain.Explanation {
	st.t.Helper()
	out := verb(st.t, st.World, 0, "explain", "--json", text)
	var found []explain.Explanation
	if err := json.Unmarshal([]byte(out.Stdout), &found); err != nil {
		st.t.Fatalf("explain printed %q: %v", out.Stdout, err)
	}
	if len(found) != 1 {
		st.t.Fatalf("%q is explained by %d refusals, not one", text, len(found))
	}
	return found[0]
}

// explained tells whether the answer names this very cause, to both readers.
func (s situation) explained(t *testing.T, x explain.Explanation) bool {
	t.Helper()
	switch {
	case x.Reason != string(s.reason):
		t.Errorf("the reason is %s, not %s", x.Reason, s.reason)
	case !regexp.MustCompile(s.cause).MatchString(x.Cause + "\n" + x.Compared.Text):
		t.Errorf("the cause does not say %s", s.cause)
	case x.CustomerCause == "" || len(x.Customer) == 0 || len(x.Remedies) == 0:
		t.Error("one of the two readers is told nothing")
	default:
		return true
	}
	t.Logf("explain says:\n%s", pretty(x))
	return false
}

func pretty(x explain.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\ncause     %s\ncompared  %s\ncustomer  %s\n", x.Rule, x.Reason, x.Cause, x.Compared.Text, x.CustomerCause)
	for _, step := range x.Customer {
		fmt.Fprintf(&b, "  - %s\n", step)
	}
	for _, r := range x.Administrator {
		fmt.Fprintf(&b, "  administrator: %s\n", r)
	}
	return b.String()
}

// letter is a message, and the settings of the program that sends it.
type letter struct {
	port     int    // 587 if it is not set
	login    string // none: without AUTH
	password string // the account's own if it is not set
	goesOn   bool   // sends although its login failed, as some old programs do
	utf8     bool   // SMTPUTF8
	from     string // of the envelope
	to       []string
	header   string // with its From; lines end with \n
}

// send sends it in a session of its own, and returns what the program shows: the
// first reply that refuses something, or the last one.
func (st *stage) send(l letter) string {
	st.t.Helper()
	port := l.port
	if port == 0 {
		port = 587
	}
	c := connect(st.t, st.World, st.client, port)
	defer c.text.Close() //nolint:errcheck // the session is over
	if l.login != "" {
		if got := c.say(authPlain(l.login, l.passwordGiven())); got[0] != '2' && !l.goesOn {
			return got
		}
	}
	mail := "MAIL FROM:<" + l.from + ">"
	if l.utf8 {
		mail += " SMTPUTF8"
	}
	commands := []string{mail}
	for _, to := range l.recipients() {
		commands = append(commands, "RCPT TO:<"+to+">")
	}
	for _, command := range append(commands, "DATA") {
		if got := c.say(command); got[0] > '3' {
			return got
		}
	}
	w := c.text.DotWriter()
	if _, err := io.WriteString(w, l.written()); err != nil {
		st.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		st.t.Fatal(err)
	}
	got := c.say("")
	c.say("QUIT")
	return got
}

// say asks; a server that says nothing fails the test.
func (c *client) say(line string) string {
	c.t.Helper()
	got, err := c.ask(line)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

func (l letter) passwordGiven() string {
	if l.password != "" {
		return l.password
	}
	local, _, _ := strings.Cut(l.login, "@")
	return local + "-pass"
}

func (l letter) recipients() []string {
	if len(l.to) == 0 {
		return []string{"kdosi@far.test"}
	}
	return l.to
}

// written is the message; its From is the envelope's sender if it has no header.
func (l letter) written() string {
	header := l.header
	if header == "" {
		header = "From: <" + l.from + ">\n"
	}
	return header + "Subject: ahoj\nDate: " + time.Now().Format(time.RFC1123Z) + "\n\nText.\n"
}

// fail makes failed logins, and returns when they all count.
func (st *stage) fail(login string, passwords ...string) {
	st.t.Helper()
	before := counted(st.t, st.World, st.client)
	st.tryToLogIn(login, passwords...)
	for deadline := time.Now().Add(time.Minute); counted(st.t, st.World, st.client) < before+len(passwords); {
		if time.Now().After(deadline) {
			st.t.Fatalf("%d failures of %s do not count within a minute", len(passwords), login)
		}
	}
}

// tryToLogIn makes logins that fail, all at the same time.
func (st *stage) tryToLogIn(login string, passwords ...string) {
	st.t.Helper()
	var clients []*client
	for range passwords {
		clients = append(clients, connect(st.t, st.World, st.client, 587))
	}
	for i, c := range clients {
		if err := c.text.PrintfLine("%s", authPlain(login, passwords[i])); err != nil {
			st.t.Fatal(err)
		}
	}
	for _, c := range clients {
		c.expect(`^535 `, "")
		c.text.Close() //nolint:errcheck // the session is over
	}
}

// collect collects the mail of an account by POP3.
func (st *stage) collect(login string) {
	st.t.Helper()
	c := connectPOP(st.t, st.World, st.client)
	defer c.text.Close() //nolint:errcheck // the session is over
	c.expect(`^\+OK`, "USER "+login)
	c.expect(`^\+OK`, "PASS "+letter{login: login}.passwordGiven())
	c.expect(`^\+OK`, "QUIT")
}

// wait lets time pass.
func (st *stage) wait(d time.Duration) {
	st.t.Helper()
	if err := st.Wait(st.t.Context(), d); err != nil {
		st.t.Fatal(err)
	}
}
