package mimic

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

var (
	queueID = regexp.MustCompile(`\|A1B2[0-9A-F]{6}\|`)
	discard = slog.New(slog.DiscardHandler)
)

// symlist asks for macros as go-milter does: actions, events, then the lists.
const symlist = "\x00\x00\x01\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00{daemon_port} j\x00" + "\x00\x00\x00\x02i {auth_authen}\x00" + "\x00\x00\x00\x03i\x00" + "\x00\x00\x00\x05i\x00"

// withoutPort replaces the two bytes of the client's port, which stand behind
// the family.
func withoutPort(connect string) string {
	host, rest, ok := strings.Cut(connect, "]|")
	if !ok || !strings.HasPrefix(connect, "milter C ") {
		return connect
	}
	return host + "]|" + rest[:1] + "<port>" + rest[3:]
}

// TestMilterEvents is one session from beginning to end: macros as asked for,
// MAIL as typed, header fields as FACTS.md 1.10 says, ABORT after each message,
// a second connection after XCLIENT.
func TestMilterEvents(t *testing.T) {
	t.Parallel()
	f := &fakes{symlist: symlist}
	got := f.play(t, "milter", "from 127.0.9.1 to 587\n"+hello+"auth joe@domena.cz secret\n< 235 *\n"+
		"> MAIL FROM:<\"a b\"@x.cz> SIZE=10\n< 250 *\n> RCPT TO:<a@domena.cz>\n< 250 *\n> RCPT TO:<b@domena.cz>\n< 250 *\n"+
		"message\n  From : a\n  Subject:\tb\n    folded\n  X:\n   y\\x0aZ: bare\n  \\xc2\\xa0To: c\n\n  body\n< 250 *\n"+
		"> XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=eve DESTPORT=2525\n< 220 *\n> XCLIENT ADDR=[UNAVAILABLE]\n< 220 *\n> QUIT\n< 221 *\nclosed\n")
	for i := range got {
		got[i] = withoutPort(got[i])
		got[i] = queueID.ReplaceAllString(got[i], "|<id>|")
	}
	check(t, got,
		"milter D C{daemon_port}|587|j|mx.test|", "milter C [127.0.9.1]|4<port>127.0.9.1|",
		"milter D H", "milter H pc|",
		"milter D M{auth_authen}|joe@domena.cz|", "milter M <\"a b\"@x.cz>|SIZE=10|",
		"milter D R", "milter R <a@domena.cz>|",
		"milter D Ri|<id>|", "milter R <b@domena.cz>|",
		"milter D T",
		"milter D L", "milter L From|a|",
		"milter D L", "milter L Subject|\tb\n  folded|",
		"milter D L", "milter L X|\n y|",
		"milter D L", "milter L Z|bare|",
		"milter D N", "milter N ",
		"milter D B", "milter B \u00a0To: c\r\n\r\nbody",
		"milter D Ei|<id>|", "milter E ",
		"milter A ", "milter Q ",
		"milter D C{daemon_port}|2525|j|mx.test|", "milter C [2001:db8::1]|6<port>2001:db8::1|", "milter Q ",
		"milter D C{daemon_port}|2525|j|mx.test|", "milter C unknown|U", "milter Q ",
	)
}

// TestMilterRefusals: a reply is given verbatim, and MAIL refused is followed
// by ABORT too.
func TestMilterRefusals(t *testing.T) {
	t.Parallel()
	f := &fakes{milter: func(code byte, data string) string {
		switch {
		case code == cmdMail && strings.HasPrefix(data, "<bad"):
			return "y550 5.1.0 100%% of %this\x00"
		case code == cmdMail && strings.HasPrefix(data, "<r"):
			return "r"
		case code == cmdRcpt && strings.HasPrefix(data, "<full"):
			return "t"
		case code == cmdEOH:
			return "y550 5.1.0 relay\x00"
		}
		return "c"
	}}
	got := f.play(t, "milter A", "from 127.0.9.1 to 25\n"+hello+"> MAIL FROM:<bad@x>\n< 550 5.1.0 100% of this\n> MAIL FROM:<r>\n< 550 5.7.1 Command rejected\n"+
		"> MAIL FROM:<ok@x>\n< 250 *\n> RCPT TO:<full@domena.cz>\n< 451 *\n> RCPT TO:<a@domena.cz>\n< 250 *\nmessage\n  Subject: x\n< 550 5.1.0 relay\n"+
		"> MAIL FROM:<ok@x>\n< 250 *\n")
	if len(got) != 4 {
		t.Errorf("%d ABORTs, want 4", len(got))
	}
}

// TestMilterRefusesHelo is FACTS.md 1.4, for HELO and for CONNECT.
func TestMilterRefusesHelo(t *testing.T) {
	t.Parallel()
	refuse := func(event byte) func(byte, string) string {
		return func(code byte, _ string) string {
			if code == event {
				return "y550 5.1.0 no\x00"
			}
			return "c"
		}
	}
	const rest = "> EHLO pc\n< 250 ENHANCEDSTATUSCODES\n<! 250-AUTH*\n<! 250-STARTTLS\nauth a b\n< 550 5.1.0 no\n> MAIL FROM:<a>\n< 550 5.1.0 no\n" +
		"> STARTTLS\n< 550 5.1.0 no\n> VRFY x\n< 550 5.1.0 no\n> NOOP\n< 250 *\n> RSET\n< 250 *\n> QUIT\n< 221 *\n"
	(&fakes{milter: refuse(cmdHelo)}).play(t, "", "from 127.0.9.1 to 587\n< 220 *\n"+rest)
	(&fakes{milter: refuse(cmdConnect)}).play(t, "", "from 127.0.9.1 to 587\n< 554 mx.test ESMTP not accepting connections\n"+rest)
}

// TestMilterInError: the default action holds for the rest of the session
// (FACTS.md 1.7), accept on 25 and tempfail on submission.
func TestMilterInError(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"hang up", "y550 4.1.0 mixed\x00", "y250 ok\x00", "y550 5.1.0 a\r\nb\x00", "y550\x00", "z"} {
		f := &fakes{milter: func(code byte, data string) string {
			if code == cmdMail {
				return answer
			}
			return "c"
		}}
		got := f.play(t, "milter M", "from 127.0.9.1 to 25\n"+hello+"> MAIL FROM:<a>\n< 250 *\n> RSET\n< 250 *\n> MAIL FROM:<a>\n< 250 *\n> RCPT TO:<a@domena.cz>\n< 250 *\n"+
			"from 127.0.9.1 to 465\ntls\n"+hello+"> MAIL FROM:<a>\n< 451 4.7.1 Service unavailable - try again later\n> MAIL FROM:<a>\n< 451 *\n> QUIT\n< 221 *\n")
		if len(got) != 2 {
			t.Errorf("%q: MAIL was shown %d times, want once per session", answer, len(got))
		}
	}
}

// TestMilterAccepts: nothing more of the message is shown, but the next is.
func TestMilterAccepts(t *testing.T) {
	t.Parallel()
	f := &fakes{version: 6, milter: func(code byte, _ string) string {
		if code == cmdRcpt {
			return "a"
		}
		return "c"
	}}
	const message = "> MAIL FROM:<a>\n< 250 *\n> RCPT TO:<a@domena.cz>\n< 250 *\nmessage\n  Subject: x\n< 250 *\n"
	got := f.play(t, "milter", "from 127.0.9.1 to 25\n"+hello+message+message)
	var commands string
	for _, g := range got {
		commands += strings.Fields(g)[1]
	}
	if commands != "DCDHDMDRADMDRAQ" {
		t.Errorf("events %s", commands)
	}
}

// TestMilterNegotiatesAway: an event that is negotiated away is not sent, its
// macros are (FACTS.md 6.2); one without an answer is not waited for.
func TestMilterNegotiatesAway(t *testing.T) {
	t.Parallel()
	f := &fakes{symlist: "\x00\x00\x01\x00\x00\x00\x40\x02"} // no HELO; no answer to MAIL is expected
	got := f.play(t, "milter", "from 127.0.9.1 to 25\n"+hello+"> QUIT\n< 221 *\nclosed\n")
	check(t, got[2:], "milter D H", "milter Q ")
}

// TestMilterAway: nobody listens.
func TestMilterAway(t *testing.T) {
	t.Parallel()
	m := newMilter("unix:/nonexistent", "451 away", func(string) string { return "" }, discard)
	if got := m.event(cmdHelo, nil); got != "451 away" {
		t.Errorf("HELO: %q", got)
	}
	m.abort()
	m.quit()
}
