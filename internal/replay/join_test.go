package replay

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"portreeve/maillog"
)

// heard is a sink that keeps what it is handed, as text.
type heard struct {
	events []string
	err    error
	seen   map[*message]bool
	check  func(m *message)
}

func (h *heard) entry(e maillog.Entry, _ string) error {
	h.events = append(h.events, fmt.Sprintf("%s %s %s", e.Kind, e.Client, e.Login))
	return h.err
}

func (h *heard) message(m *message, _ time.Time) error {
	if h.check != nil {
		h.check(m)
	}
	if h.seen == nil {
		h.seen = map[*message]bool{}
	}
	h.seen[m] = true
	text := fmt.Sprintf("%s %s <%s> %v", m.client, m.login, m.sender, m.recipients)
	if m.copied {
		text += " copied"
	}
	if m.newLogin {
		text += " new"
	}
	h.events = append(h.events, text)
	return h.err
}

// feed gives a joiner lines as Run does.
func feed(t testing.TB, j *joiner, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		l, ok := maillog.Split(strings.TrimSuffix(line, "\n"), noon)
		if !ok {
			continue
		}
		if e, ok := l.Entry(); ok {
			if err := j.entry(e, l.Program); err != nil {
				t.Fatal(err)
			}
		} else if s, ok := l.Step(); ok {
			if err := j.step(l, s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func join(t testing.TB, text string) (*joiner, *heard) {
	t.Helper()
	h := &heard{}
	j, err := newJoiner(h)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, j, text)
	if err := j.finish(); err != nil {
		t.Fatal(err)
	}
	return j, h
}

// small writes a log line by line: "9:00 smtpd A000001: client=…".
func small(lines ...string) string {
	var l logText
	for _, line := range lines {
		clock, rest, _ := strings.Cut(line, " ")
		agent, text, _ := strings.Cut(rest, " ")
		if agent != "dovecot" {
			agent = "postfix/" + agent
		}
		l.line(at(clock), agent, "%s", text)
	}
	var b strings.Builder
	for _, one := range l.lines { // as they stand
		b.WriteString(one.text + "\n")
	}
	return b.String()
}

func TestJoin(t *testing.T) {
	for name, c := range map[string]struct {
		log      string
		want     []string
		unjoined int
		dropped  int
	}{
		"in the order in which they began": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00:01 smtpd warning: unknown[192.0.2.2]: SASL PLAIN authentication failed: x, sasl_username=eva@domena.cz",
				"9:00:02 smtpd A000002: client=a[192.0.2.3]",
				"9:00:03 qmgr A000002: from=<b@c.cz>, size=1, nrcpt=1 (queue active)",
				"9:00:04 smtp A000002: to=<x@y.cz>, relay=none, status=sent (ok)",
				"9:01 qmgr A000001: from=<jan@domena.cz>, size=1, nrcpt=2 (queue active)",
				"9:01 smtp A000001: to=<x@y.cz>, relay=none, status=sent (ok)",
				"9:02 smtp A000001: to=<z@y.cz>, relay=none, status=deferred (later)",
			),
			want: []string{"192.0.2.1 jan@domena.cz <jan@domena.cz> [x@y.cz z@y.cz] new", "auth failed 192.0.2.2 eva@domena.cz", "192.0.2.3  <b@c.cz> [x@y.cz]"},
		},
		"aliases stand for their address": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:00 qmgr A000001: from=<>, size=1, nrcpt=2 (queue active)",
				"9:00 smtp A000001: to=<x@y.cz>, orig_to=<all@domena.cz>, relay=none, status=sent (ok)",
				"9:00 smtp A000001: to=<z@y.cz>, orig_to=<all@domena.cz>, relay=none, status=sent (ok)",
			),
			want: []string{"192.0.2.1  <> [all@domena.cz]"},
		},
		"a delivery that takes too long is not waited for": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:00 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=2 (queue active)",
				"9:00 smtp A000001: to=<x@y.cz>, relay=none, status=sent (ok)",
				"9:11 smtpd connect from a[192.0.2.1]",
				"9:12 smtp A000001: to=<z@y.cz>, relay=none, status=sent (ok)",
			),
			want: []string{"192.0.2.1  <a@b.cz> [x@y.cz]"},
		},
		"a sender that comes late is judged late": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:11 smtpd warning: unknown[192.0.2.2]: SASL PLAIN authentication failed: x, sasl_username=eva@domena.cz",
				"9:12 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)",
				"9:12 smtp A000001: to=<x@y.cz>, relay=none, status=sent (ok)",
			),
			want: []string{"auth failed 192.0.2.2 eva@domena.cz", "192.0.2.1  <a@b.cz> [x@y.cz]"},
		},
		"one that never comes": {
			log:      small("9:00 smtpd A000001: client=a[192.0.2.1]", "9:30 smtpd connect from a[192.0.2.1]"),
			unjoined: 1,
		},
		"at the end of the log": {
			log:      small("9:00 smtpd A000001: client=a[192.0.2.1]"),
			unjoined: 1,
		},
		"refused in the end": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:00 cleanup A000001: milter-reject: END-OF-MESSAGE from a[192.0.2.1]: 5.7.1 no; from=<a@b.cz> to=<x@y.cz> proto=SMTP helo=<x>",
				"9:01 smtpd A000002: client=a[192.0.2.1]",
				"9:20 smtpd connect from a[192.0.2.1]",
				"9:20 cleanup A000002: discard: header x from a[192.0.2.1]; from=<a@b.cz>",
			),
			dropped: 2,
		},
		"a queue id is used again": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:00 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=3 (queue active)",
				"9:00:02 smtpd A000001: client=a[192.0.2.2]",
				"9:00:02 qmgr A000001: from=<c@d.cz>, size=1, nrcpt=1 (queue active)",
				"9:00:02 smtp A000001: to=<x@y.cz>, relay=none, status=sent (ok)",
			),
			want: []string{"192.0.2.1  <a@b.cz> []", "192.0.2.2  <c@d.cz> [x@y.cz]"},
		},
		"a content filter's copy": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00 qmgr A000001: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:00:03 smtpd A000002: client=filter[192.0.2.50]",
				"9:00:03 qmgr A000002: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:00:03 smtp A000002: to=<x@y.cz>, relay=none, status=sent (ok)",
				"9:00:04 smtp A000001: to=<x@y.cz>, relay=filter[192.0.2.50]:10024, status=sent (250 2.0.0 from MTA: 250 2.0.0 Ok: queued as A000002)",
				"9:10 smtpd connect from a[192.0.2.1]",
			),
			want: []string{"192.0.2.1 jan@domena.cz <jan@domena.cz> [x@y.cz] new", "192.0.2.50  <jan@domena.cz> [x@y.cz] copied"},
		},
		"a content filter that answers first": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00 cleanup A000001: message-id=<1@pc>",
				"9:00 qmgr A000001: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:00 smtp A000001: to=<x@y.cz>, relay=filter[192.0.2.50]:10024, status=sent (250 ok)",
				"9:05 smtpd A000002: client=filter[192.0.2.50]",
				"9:05 cleanup A000002: message-id=<1@pc>",
				"9:05 qmgr A000002: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:05 smtp A000002: to=<x@y.cz>, relay=none, status=sent (ok)",
				// The same client sends one message in several transactions.
				"9:06 smtpd A000003: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:06 cleanup A000003: message-id=<1@pc>",
				"9:06 qmgr A000003: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:06 smtp A000003: to=<z@y.cz>, relay=none, status=sent (ok)",
			),
			want: []string{
				"192.0.2.1 jan@domena.cz <jan@domena.cz> [x@y.cz] new", "192.0.2.50  <jan@domena.cz> [x@y.cz] copied",
				"192.0.2.1 jan@domena.cz <jan@domena.cz> [z@y.cz] new",
			},
		},
		"a before-queue filter whose message is not in the log": {
			log: small(
				"9:00 smtpd connect from a[192.0.2.1]",
				"9:00 smtpd NOQUEUE: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00 smtpd proxy-accept: END-OF-MESSAGE: 250 ok; from=<jan@domena.cz> to=<x@y.cz> proto=ESMTP helo=<x>",
				"9:00 smtpd proxy-accept: END-OF-MESSAGE: 250 ok; from=<jan@domena.cz> to=<x@y.cz> proto=ESMTP helo=<x>", // of nothing
				"9:01 smtpd connect from b[192.0.2.2]",
			),
			want: []string{"192.0.2.1 jan@domena.cz <jan@domena.cz> [x@y.cz] new"},
		},
		"a before-queue filter whose message is delivered before it is said": {
			log: small(
				"9:00 in/smtpd NOQUEUE: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00 smtpd A000001: client=localhost[127.0.0.1], orig_client=a[192.0.2.1]",
				"9:00 qmgr A000001: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
				"9:00 smtp A000001: to=<z@y.cz>, relay=none, status=sent (ok)",
				"9:00 qmgr A000001: removed",
				"9:00:01 smtpd disconnect from localhost[127.0.0.1] ehlo=1",
				"9:00:02 in/smtpd proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as A000001; from=<jan@domena.cz> to=<x@y.cz> proto=ESMTP helo=<x>",
				"9:01 smtpd connect from b[192.0.2.2]",
			),
			want: []string{"192.0.2.1 jan@domena.cz <jan@domena.cz> [z@y.cz] new"},
		},
		"AUTH once a session": {
			log: small(
				"9:00 smtpd connect from a[192.0.2.1]",
				"9:00 smtpd A000001: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:00 qmgr A000001: from=<>, size=1, nrcpt=0 (queue active)",
				"9:01 smtpd A000002: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:01 qmgr A000002: from=<>, size=1, nrcpt=0 (queue active)",
				"9:02 smtpd disconnect from a[192.0.2.1] ehlo=1",
				"9:02 smtpd connect from a[192.0.2.1]",
				"9:02 smtpd A000003: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:02 qmgr A000003: from=<>, size=1, nrcpt=0 (queue active)",
				// Without its "connect from", by another client.
				"9:03 smtpd A000004: client=a[192.0.2.2], sasl_method=PLAIN, sasl_username=jan@domena.cz",
				"9:03 qmgr A000004: from=<>, size=1, nrcpt=0 (queue active)",
			),
			want: []string{
				"192.0.2.1 jan@domena.cz <> [] new", "192.0.2.1 jan@domena.cz <> []",
				"192.0.2.1 jan@domena.cz <> [] new", "192.0.2.2 jan@domena.cz <> [] new",
			},
		},
		"a message that smtpd refused at its end is not waited for": {
			log: small(
				"9:00 submission/smtpd A000001: client=a[192.0.2.1]",
				"9:00 submission/smtpd A000001: reject: END-OF-MESSAGE from a[192.0.2.1]: 450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: later; from=<a@b.cz> to=<x@y.cz> proto=ESMTP helo=<x>",
			),
			dropped: 1,
		},
		"a clock that was set back": {
			log: small(
				"9:00 smtpd A000001: client=a[192.0.2.1]",
				"9:00 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)",
				"8:00 smtpd warning: unknown[192.0.2.2]: SASL PLAIN authentication failed: x, sasl_username=eva@domena.cz",
			),
			want: []string{"192.0.2.1  <a@b.cz> []", "auth failed 192.0.2.2 eva@domena.cz"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, h := join(t, c.log)
			if got, want := strings.Join(h.events, "\n"), strings.Join(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if j.unjoined != c.unjoined || j.dropped != c.dropped {
				t.Errorf("%d unjoined, %d dropped", j.unjoined, j.dropped)
			}
		})
	}
}

// Two hosts may use one queue id, and one process id, in one file.
func TestJoinHosts(t *testing.T) {
	log := small(
		"9:00 smtpd A000001: client=a[192.0.2.1], sasl_method=PLAIN, sasl_username=jan@domena.cz",
		"9:00 qmgr A000001: from=<jan@domena.cz>, size=1, nrcpt=1 (queue active)",
	)
	_, h := join(t, log+strings.NewReplacer(" mx ", " mx2 ", "192.0.2.1", "192.0.2.2").Replace(log))
	if len(h.events) != 2 || !strings.HasPrefix(h.events[1], "192.0.2.2 jan@domena.cz <jan@domena.cz>") {
		t.Error(h.events)
	}
}

// A message that is deferred is tried again for days: each time qmgr logs its
// sender. What no smtpd has taken counts once, too, until its id is used again.
func TestTriedAgain(t *testing.T) {
	log := small(
		"9:00 qmgr B000001: from=<root@domena.cz>, size=1, nrcpt=1 (queue active)", // local mail
		"9:00 smtpd A000001: client=a[192.0.2.1]",
		"9:00 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)",
		"9:00 smtp A000001: to=<x@y.cz>, relay=none, status=deferred (later)",
		"9:30 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)",
		"9:30 qmgr B000001: from=<root@domena.cz>, size=1, nrcpt=1 (queue active)",
		"10:30 qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)",
		"10:30 smtp A000001: to=<x@y.cz>, relay=mx, status=sent (ok)",
		"10:30 qmgr A000001: removed",
		"10:30 qmgr B000001: removed",
		"11:00 qmgr A000001: from=<root@domena.cz>, size=1, nrcpt=1 (queue active)", // local mail again
	)
	j, h := join(t, log)
	if j.foreign != 2 || len(h.events) != 1 {
		t.Errorf("%d not by SMTP, %q", j.foreign, h.events)
	}
}

// However much is open at a time, no table grows beyond its bound, and each
// message is handed on, or given up, once.
func TestJoinIsBounded(t *testing.T) {
	h := &heard{}
	j, err := newJoiner(h)
	if err != nil {
		t.Fatal(err)
	}
	const n = maxOpen + maxPending + 1000
	for i := range n {
		l := maillog.Line{Time: day, Host: "mx", Program: "postfix/smtpd", PID: itoa(i)}
		id := fmt.Sprintf("A%06X", i)
		if err := j.step(l, maillog.Step{Kind: maillog.Received, QueueID: id}); err != nil {
			t.Fatal(err)
		}
		if err := j.step(l, maillog.Step{Kind: maillog.Named, QueueID: id, MessageID: id}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if err := j.step(l, maillog.Step{Kind: maillog.Queued, QueueID: id, Recipients: 2}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if j.open.Len() > maxOpen || j.sessions.Len() > maxOpen || j.named.Len() > maxNamed || len(j.queue)-j.head > maxPending+1 || cap(j.queue) > 8*maxPending {
		t.Errorf("%d open, %d sessions, %d named, %d of %d queued", j.open.Len(), j.sessions.Len(), j.named.Len(), len(j.queue)-j.head, cap(j.queue))
	}
	if err := j.finish(); err != nil {
		t.Fatal(err)
	}
	if len(h.events)+j.unjoined != n || j.open.Len() != 0 || j.past.Len() > maxPast {
		t.Errorf("%d handed on, %d given up, %d still open, of %d", len(h.events), j.unjoined, j.open.Len(), n)
	}
}

func TestManyRecipients(t *testing.T) {
	m := &message{}
	for i := range maxRecipients + 5 {
		m.deliver(maillog.Step{Recipient: itoa(i)})
		m.deliver(maillog.Step{Recipient: itoa(i)}) // an alias, or once more later
	}
	if len(m.recipients) != maxRecipients || m.more != 10 {
		t.Errorf("%d and %d", len(m.recipients), m.more)
	}
}

// words are what the fuzzer makes lines of.
var words = []string{
	"smtpd A000001: client=a[192.0.2.1]", "smtpd A000002: client=b[192.0.2.2], sasl_method=PLAIN, sasl_username=jan@domena.cz",
	"smtpd NOQUEUE: client=b[192.0.2.2], sasl_method=PLAIN, sasl_username=jan@domena.cz",
	"smtpd proxy-accept: END-OF-MESSAGE: 250 queued as A000001; from=<a@b.cz> to=<x@y.cz> proto=SMTP",
	"smtpd proxy-accept: END-OF-MESSAGE: 250 ok; from=<a@b.cz> to=<x@y.cz> proto=SMTP",
	"smtpd connect from a[192.0.2.1]", "smtpd disconnect from a[192.0.2.1] ehlo=1", "smtpd NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 x",
	"cleanup A000001: message-id=<1@pc>", "cleanup A000002: message-id=<1@pc>", "cleanup A000001: reject: header x",
	"qmgr A000001: from=<a@b.cz>, size=1, nrcpt=1 (queue active)", "qmgr A000002: from=<a@b.cz>, size=1, nrcpt=2 (queue active)",
	"qmgr A000001: removed", "qmgr A000002: removed", "smtp A000001: to=<x@y.cz>, relay=none, status=sent (250 queued as A000002)",
	"smtp A000002: to=<x@y.cz>, relay=none, status=sent (250 queued as A000001)",
	"smtpd warning: a[192.0.2.1]: SASL PLAIN authentication failed: x, sasl_username=jan@domena.cz",
}

// joinsOnce feeds a joiner with words by number, each so many ten seconds after
// the one before: each message is handed on once, with a sender; what is not is
// counted; and nothing is left.
func joinsOnce(t *testing.T, in []byte) {
	taken, now := 0, day
	h := &heard{check: func(m *message) {
		if !m.queued || m.dropped {
			t.Errorf("%+v is handed on", m)
		}
	}}
	j, err := newJoiner(h)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(in); i += 2 {
		now = now.Add(time.Duration(int(in[i+1])-8) * 10 * time.Second)
		agent, text, _ := strings.Cut(words[int(in[i])%len(words)], " ")
		if agent == "smtpd" && strings.Contains(text, ": client=") && !strings.HasPrefix(text, "NOQUEUE") {
			taken++
		}
		feed(t, j, fmt.Sprintf("%s mx postfix/%s[1]: %s\n", now.Format(time.RFC3339), agent, text))
	}
	if err := j.finish(); err != nil {
		t.Fatal(err)
	}
	handed := 0
	for m := range h.seen {
		if m.key.id != "" { // a before-queue filter's has none
			handed++
		}
	}
	if handed+j.unjoined+j.dropped != taken || j.open.Len() != 0 || j.head != len(j.queue) {
		t.Errorf("%v: %d taken: %d handed on, %d unjoined, %d dropped, %d open", in, taken, handed, j.unjoined, j.dropped, j.open.Len())
	}
}

func FuzzJoin(f *testing.F) {
	f.Add([]byte{0, 1, 11, 1, 13, 60, 17, 3})
	f.Add([]byte{2, 1, 0, 1, 3, 1, 11, 1, 15, 1, 13, 120})
	f.Add([]byte{0, 255, 11, 200, 0, 1, 9, 1, 12, 250, 14, 1})
	f.Fuzz(joinsOnce)
}

// The same for logs of chance, in every run.
func TestJoinByChance(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		in := make([]byte, r.IntN(120))
		for i := range in {
			in[i] = byte(r.IntN(256))
			if i%2 == 1 {
				in[i] %= 40
			}
		}
		joinsOnce(t, in)
	}
}
