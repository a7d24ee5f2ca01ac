package maillog

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// step is what a line tells of a message, as text.
func step(line string) string {
	l, ok := Split(line, ref)
	if !ok {
		return "no line"
	}
	s, ok := l.Step()
	if !ok {
		return ""
	}
	var b strings.Builder
	add := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%s", name, value)
		}
	}
	b.WriteString(s.Kind.String())
	add("id", s.QueueID)
	if s.Client.IsValid() {
		add("client", s.Client.String())
	}
	add("login", s.Login)
	if s.Passed {
		add("passed", "on")
	}
	if s.Kind == Queued || s.Kind == Proxied {
		fmt.Fprintf(&b, " from=<%s>", s.Sender)
	}
	if s.Recipients > 0 {
		fmt.Fprintf(&b, " nrcpt=%d", s.Recipients)
	}
	add("to", s.Address)
	if s.Recipient != s.Address {
		add("orig_to", s.Recipient)
	}
	add("message-id", s.MessageID)
	add("next", s.Next)
	return b.String()
}

// Each line was written by the program and version that stand beside it, or, with
// "source", by its source code.
func TestStepsRecorded(t *testing.T) {
	for _, c := range []struct{ program, line, want string }{
		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/smtpd[154]: connect from unknown[127.1.0.1]`, "connect client=127.1.0.1"},
		{"Postfix 3.7.11", `Nov 22 07:51:31 mx postfix/submission/smtpd[172]: connect from unknown[127.1.0.6]:33545`, "connect client=127.1.0.6"},
		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/smtpd[154]: disconnect from unknown[127.1.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5`, "disconnect client=127.1.0.1"},
		{"Postfix 3.7.11", `Nov 22 07:51:31 mx postfix/submission/smtpd[172]: disconnect from unknown[127.1.0.6]:33545 ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6`, "disconnect client=127.1.0.6"},
		{"Postfix 3.7.11, Dovecot 2.3", `Nov 21 22:47:39 mx postfix/smtpd[16839]: lost connection after AUTH from unknown[127.0.4.6]`, ""},

		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/smtpd[154]: 86F786E: client=unknown[127.1.0.1]`, "received id=86F786E client=127.1.0.1"},
		{"Postfix 3.7.11", `Nov 22 07:51:30 mx postfix/submission/smtpd[169]: 1019573: client=unknown[127.1.0.5], sasl_method=PLAIN, sasl_username=jan@domena.cz`, "received id=1019573 client=127.1.0.5 login=jan@domena.cz"},
		{"Postfix 3.7.11", `Nov 22 07:51:31 mx postfix/submission/smtpd[172]: 2E21075: client=unknown[127.1.0.6]:33545, sasl_method=PLAIN, sasl_username=jan@domena.cz`, "received id=2E21075 client=127.1.0.6 login=jan@domena.cz"},
		{"Postfix 3.10.13", `Nov 22 07:52:18 mx postfix/submission/smtpd[245]: 4jXLrf15Jhz2R: client=unknown[127.1.0.13], sasl_method=PLAIN, sasl_username=jan@domena.cz`, "received id=4jXLrf15Jhz2R client=127.1.0.13 login=jan@domena.cz"},
		{"Postfix 3.10.13, with a filter", `Nov 22 07:52:04 mx postfix/proxied/smtpd[214]: NOQUEUE: client=unknown[127.1.0.9], sasl_method=PLAIN, sasl_username=jan@domena.cz`, "received client=127.1.0.9 login=jan@domena.cz"},
		{"Postfix 3.7.11, behind a filter", `Nov 22 07:51:34 mx postfix/smtpd[180]: 8C9F87C: client=unknown[127.0.0.1], orig_client=unknown[127.1.0.9]`, "received id=8C9F87C client=127.0.0.1 passed=on"},
		{"Postfix 3.12, source", `Nov 22 07:51:34 mx postfix/smtpd[180]: 8C9F87C: client=localhost[::1], orig_queue_id=61EF977, orig_client=pc.example.com[2001:db8::7]:4711`, "received id=8C9F87C client=::1 passed=on"},
		{"Postfix 3.12, source", `Nov 22 07:51:34 mx postfix/smtpd[180]: 8C9F87C: client=pc.example.com[2001:db8::7], sasl_method=LOGIN, sasl_username=jan@domena.cz, sasl_sender=jan+40domena.cz`, "received id=8C9F87C client=2001:db8::7 login=jan@domena.cz"},
		{"Postfix 3.12, source, XCLIENT", `Nov 22 07:51:34 mx postfix/smtpd[180]: 8C9F87C: client=unknown[unknown], sasl_method=XCLIENT, sasl_username=jan@domena.cz`, "received id=8C9F87C login=jan@domena.cz"},

		{"Postfix 3.7.11", `Nov 22 07:51:28 mx postfix/smtpd[154]: NOQUEUE: reject: RCPT from unknown[127.1.0.4]: 554 5.7.1 <x@gmail.com>: Relay access denied; from=<a@seznam.cz> to=<x@gmail.com> proto=ESMTP helo=<4581d0cebc4f>`, "refused"},
		{"Postfix 3.10.13", `Nov 22 07:52:11 mx postfix/smtpd[187]: 5C19779: reject: RCPT from unknown[127.1.0.12]: 554 5.7.1 <x@gmail.com>: Relay access denied; from=<a@seznam.cz> to=<x@gmail.com> proto=ESMTP helo=<1fc96e9f9ecc>`, "refused id=5C19779"},
		{"Postfix 3.12, source", `Nov 22 07:52:11 mx postfix/submission/smtpd[187]: NOQUEUE: milter-reject: MAIL from unknown[127.1.0.12]: 550 5.1.0 <a@seznam.cz> sender rejected; from=<a@seznam.cz> proto=ESMTP helo=<x>`, "refused"},
		{"Postfix 3.10.13", `Nov 26 13:01:20 mx submission/smtpd[181]: 4jZxWN3Pk6z7SH7: reject: END-OF-MESSAGE from localhost[127.0.0.1]:41386: 554 5.7.1 <eod@x.cz>: Sender address rejected: Access denied; from=<eod@x.cz> to=<a@far.test> proto=ESMTP helo=<x>`, "dropped id=4jZxWN3Pk6z7SH7"},
		{"Postfix 3.10.13", `Nov 26 13:01:20 mx postfix-submission/smtpd[176]: 4jZxWN2mlzz7SH5: reject: DATA from localhost[127.0.0.1]:49888: 554 5.7.1 <data@x.cz>: Sender address rejected: Access denied; from=<data@x.cz> to=<a@far.test> proto=ESMTP helo=<x>`, "dropped id=4jZxWN2mlzz7SH5"},
		{"Postfix 3.12, source", `Nov 22 07:52:11 mx postfix/smtpd[187]: 5C19779: milter-reject: DATA from unknown[127.1.0.12]: 550 5.7.1 no; from=<a@b.cz> to=<x@gmail.com> proto=ESMTP helo=<x>`, "dropped id=5C19779"},
		{"Postfix 3.12, source", `Nov 22 07:52:11 mx postfix/smtpd[187]: NOQUEUE: reject: DATA from unknown[127.1.0.12]: 554 5.5.1 Error: no valid recipients; from=<a@b.cz> proto=ESMTP helo=<x>`, "refused"},
		{"Postfix 3.12, source", `Nov 22 07:52:11 mx postfix/smtpd[187]: NOQUEUE: reject_warning: RCPT from unknown[127.1.0.12]: 554 5.7.1 <x@gmail.com>: Relay access denied; from=<a@seznam.cz> to=<x@gmail.com> proto=ESMTP helo=<x>`, ""},
		{"Postfix 3.7.11", `Nov 22 07:51:34 mx postfix/proxied/smtpd[182]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as 8C9F87C; from=<jan@domena.cz> to=<x@gmail.com> proto=ESMTP helo=<4581d0cebc4f> sasl_username=<jan@domena.cz>`, "proxied from=<jan@domena.cz> to=x@gmail.com next=8C9F87C"},

		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/cleanup[158]: 86F786E: message-id=<20261122075125.000153@4581d0cebc4f>`, "named id=86F786E message-id=20261122075125.000153@4581d0cebc4f"},
		{"Postfix 3.7.11", `Nov 21 22:29:35 mx postfix/cleanup[15176]: EDD0F9902F1: message-id=<>`, "named id=EDD0F9902F1"},
		{"Postfix 3.7.11", `Nov 22 07:51:35 mx postfix/cleanup[158]: ABF237D: reject: header Subject: bad from unknown[127.1.0.10]; from=<jan@domena.cz> to=<x@gmail.com> proto=ESMTP helo=<4581d0cebc4f>: 5.7.1 no`, "dropped id=ABF237D"},
		{"Postfix 3.10.13", `Nov 22 07:52:05 mx postfix/cleanup[191]: C3D1377: removed (canceled)`, "dropped id=C3D1377"},
		{"Postfix 3.12, source", `Nov 22 07:52:05 mx postfix/cleanup[191]: C3D1377: warning: header Subject: hello from unknown[127.1.0.10]; from=<jan@domena.cz> to=<x@gmail.com> proto=ESMTP helo=<x>`, ""},

		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/qmgr[150]: 86F786E: from=<a@seznam.cz>, size=419, nrcpt=1 (queue active)`, "queued id=86F786E from=<a@seznam.cz> nrcpt=1"},
		{"Postfix 3.10.13", `Nov 22 07:51:57 mx postfix/qmgr[183]: 77B7B6B: from=<>, size=408, nrcpt=12 (queue active)`, "queued id=77B7B6B from=<> nrcpt=12"},
		{"Postfix 3.12, source", `Nov 22 07:51:57 mx postfix/qmgr[183]: 77B7B6B: from=<a@b.cz>, status=expired, returned to sender`, ""},
		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/qmgr[150]: 86F786E: removed`, "removed id=86F786E"},
		{"Postfix 3.7.11", `Nov 22 07:51:41 mx postfix/pickup[149]: 8290D81: uid=0 from=<root>`, ""},

		{"Postfix 3.7.11", `Nov 22 07:51:25 mx postfix/discard[159]: 86F786E: to=<jan@domena.cz>, relay=none, delay=0.07, delays=0.01/0.05/0/0, dsn=2.0.0, status=sent (domena.cz)`, "delivered id=86F786E to=jan@domena.cz"},
		{"Postfix 3.10.13", `Nov 22 07:51:56 mx postfix/discard[192]: 5DAA96A: to=<eva@gmail.com>, orig_to=<info@alias.cz>, relay=none, delay=0.01, delays=0/0/0/0, dsn=2.0.0, status=sent (gmail.com)`, "delivered id=5DAA96A to=eva@gmail.com orig_to=info@alias.cz"},
		{"Postfix 3.7.11, to a filter", `Nov 22 07:51:33 mx postfix/smtp[178]: 61EF977: to=<x@gmail.com>, relay=127.0.0.1[127.0.0.1]:10025, delay=0.05, delays=0/0.02/0.02/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 6CE7A7A)`, "delivered id=61EF977 to=x@gmail.com next=6CE7A7A"},
		{"Postfix 3.12, amavis, source", `Nov 22 07:51:33 mx postfix/amavis/smtp[178]: 61EF977: to=<x@gmail.com>, relay=127.0.0.1[127.0.0.1]:10024, delay=0.05, delays=0/0.02/0.02/0, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4jXLrf15Jhz2R)`, "delivered id=61EF977 to=x@gmail.com next=4jXLrf15Jhz2R"},
		{"Postfix 3.12, source", `Nov 22 07:51:33 mx postfix/qmgr[178]: 61EF977: to=<x@dead.example>, relay=none, delay=5, delays=5/0.01/0/0, dsn=4.4.1, status=deferred (delivery temporarily suspended)`, "delivered id=61EF977 to=x@dead.example"},

		{"not Postfix", `Nov 22 07:51:33 mx dovecot: 61EF977: to=<x@gmail.com>, relay=x`, ""},
		{"Dovecot 2.3.19.1", `Nov 22 06:30:05 pop3-login: Info: Login: user=<alice>, method=PLAIN, rip=127.0.7.1, lip=127.0.0.1, mpid=34, session=<L1ilm9dgsc9/AAcB>`, ""},
		{"Postfix 3.7.11", `Nov 22 07:51:23 mx postfix/master[148]: daemon started -- version 3.7.11, configuration /tmp/m/postfix`, ""},
		{"no line", `-- Boot 3b1d4c --`, "no line"},
	} {
		if got := step(c.line); got != c.want {
			t.Errorf("%s:\n%s\n got %q\nwant %q", c.program, c.line, got, c.want)
		}
	}
}

func TestSplit(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 51, 25, 0, time.UTC)
	for line, want := range map[string]Line{
		"Nov 22 07:51:25 mx postfix/smtpd[154]: a: b":                        {Time: at, Host: "mx", Program: "postfix/smtpd", PID: "154", Text: "a: b"},
		"2026-11-22T07:51:25+00:00 mx.cz cyrus/pop3[7]: x":                   {Time: at, Zoned: true, Host: "mx.cz", Program: "cyrus/pop3", PID: "7", Text: "x"},
		"2026-11-22T08:51:25+0100 mx dovecot[1]: x":                          {Time: at, Zoned: true, Host: "mx", Program: "dovecot", PID: "1", Text: "x"},
		"2026-11-22T07:51:25.000123+0000 mx pop3d: x":                        {Time: at.Add(123 * time.Microsecond), Zoned: true, Host: "mx", Program: "pop3d", Text: "x"},
		"Nov 22 07:51:25.000123 mx postfix/smtpd[154]: x":                    {Time: at.Add(123 * time.Microsecond), Host: "mx", Program: "postfix/smtpd", PID: "154", Text: "x"},
		"<22>1 2026-11-22T07:51:25Z mx postfix/smtpd 154 - - a: b":           {Time: at, Zoned: true, Host: "mx", Program: "postfix/smtpd", PID: "154", Text: "a: b"},
		"<22>1 2026-11-22T08:51:25+01:00 mx dovecot - - - \ufeffx: y":        {Time: at, Zoned: true, Host: "mx", Program: "dovecot", Text: "x: y"},
		"<22>Nov 22 07:51:25 mx postfix/smtpd[154]: x":                       {Time: at, Host: "mx", Program: "postfix/smtpd", PID: "154", Text: "x"},
		"2026-11-22 07:51:25 pop3-login: Info: Login: x":                     {Time: at, Text: "pop3-login: Info: Login: x"},
		"2026-11-22 08:51:25.5+01:00 mx postfix/smtpd[154]: x":               {Time: at.Add(time.Second / 2), Zoned: true, Host: "mx", Program: "postfix/smtpd", PID: "154", Text: "x"},
		"Nov 22 07:51:25 pop3-login: Info: Login: x":                         {Time: at, Text: "pop3-login: Info: Login: x"},
		"Nov 22 07:51:25 auth(alice,127.0.5.1,sasl:plain): Info: deny: mx x": {Time: at, Text: "auth(alice,127.0.5.1,sasl:plain): Info: deny: mx x"},
	} {
		got, ok := Split(line, ref)
		if !ok || !got.Time.Equal(want.Time) {
			t.Errorf("%s: %v %v", line, ok, got.Time)
		}
		got.Time = want.Time
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", line, got, want)
		}
	}
	for _, line := range []string{
		"", "x", "2026-11-22T08:51:25+0100", "2026-11-22T08:51:25+0100 mx x", "2026-13-22T08:51:25+0100 mx a[1]: x",
		"2026-11-22 mx", "2026-11-22 8 mx a[1]: x", "Nov 22 07:51:25.x mx a[1]: x", "Nov 22 07:51:25 mx a[]: x",
		"<22>1 2026-11-22T07:51:25Z mx", "<22>1 2026-11-22T07:51:25Z mx postfix/smtpd 1 - [x] a: b", "<22>1 2026-11-22T07:51:25Z mx post[fix 1 - - a: b", "<", "<x>",
	} {
		if l, ok := Split(line, ref); ok {
			t.Errorf("%q is a line: %+v", line, l)
		}
	}
}

func TestTellsOfLogins(t *testing.T) {
	for program, want := range map[string]bool{
		"": true, "dovecot": true, "postfix/smtpd": true, "mail/submission/smtpd": true, "imapd-ssl": true, "cyrus/pop3s": true,
		"postfix/qmgr": false, "postfix/cleanup": false, "postfix/smtp": false, "sshd": false, "kernel": false,
	} {
		if got := TellsOfLogins(program); got != want {
			t.Errorf("%q: %v", program, got)
		}
	}
}

// What a client chose must not change which client, and which message, a line is
// about.
func checkSteps(t *testing.T, chosen string) {
	t.Helper()
	// Postfix logs one line, with what cannot be printed replaced.
	chosen = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, chosen)
	const prefix = "Nov 22 10:00:00 mx postfix/"
	for _, c := range []struct {
		kind StepKind
		line string
		read func(Step) string
	}{
		{kind: Received, line: "smtpd[1]: 86F786E: client=pc.test[192.0.2.1], sasl_method=PLAIN, sasl_username=" + chosen},
		{kind: Refused, line: "smtpd[1]: NOQUEUE: reject: MAIL from pc.test[192.0.2.1]: 550 5.1.0 <" + chosen + "> x; from=<" + chosen + "> proto=ESMTP helo=<" + chosen + ">"},
		{kind: Queued, line: "qmgr[1]: 86F786E: from=<" + chosen + ">, size=1, nrcpt=2 (queue active)", read: func(s Step) string { return s.Sender }},
		{kind: Named, line: "cleanup[1]: 86F786E: message-id=<" + chosen + ">", read: func(s Step) string { return s.MessageID }},
		{kind: Delivered, line: "smtp[1]: 86F786E: to=<" + chosen + ">, relay=none, delay=1, dsn=2.0.0, status=sent (ok)"},
		{kind: Dropped, line: "cleanup[1]: 86F786E: reject: header Subject: " + chosen + " from pc.test[192.0.2.1]; from=<" + chosen + ">"},
	} {
		l, ok := Split(prefix+c.line, ref)
		if !ok {
			t.Errorf("%q is no line", c.line)
			continue
		}
		s, ok := l.Step()
		if !ok {
			continue // what does not fit tells nothing
		}
		if s.Kind != c.kind || s.QueueID != "86F786E" && s.Kind != Refused {
			t.Errorf("%q is read as %s of %q", c.line, s.Kind, s.QueueID)
		}
		if s.Client.IsValid() && s.Client != netip.MustParseAddr("192.0.2.1") {
			t.Errorf("%q is of client %s", c.line, s.Client)
		}
		if c.read != nil && c.read(s) != chosen {
			t.Errorf("%q is read as %q, not %q", c.line, c.read(s), chosen)
		}
		if s.Kind == Queued && s.Recipients != 2 {
			t.Errorf("%q has %d recipients", c.line, s.Recipients)
		}
	}
}

var stepTricks = []string{
	"a@b.cz", "", ">, size=9, nrcpt=9 (queue active)", "x>, orig_to=<y>, relay=z", "a, sasl_username=b", ", orig_client=x[203.0.113.9]",
	"x: client=a[203.0.113.9]", "queued as 86F786E", "; from=<a> to=<b> proto=x", "ABCDEF1: removed", "\nNov 22 10:00:00 mx postfix/qmgr[1]: ABCDEF1: removed",
}

func TestStepsHostile(t *testing.T) {
	for _, chosen := range stepTricks {
		checkSteps(t, chosen)
	}
}

func FuzzStep(f *testing.F) {
	for _, chosen := range stepTricks {
		f.Add(chosen)
	}
	f.Fuzz(func(t *testing.T, chosen string) {
		checkSteps(t, chosen)
		for _, program := range []string{"smtpd", "qmgr", "cleanup", "smtp"} {
			if l, ok := Split("Nov 22 10:00:00 mx postfix/"+program+"[1]: "+chosen, ref); ok {
				l.Step() // must not panic
			}
		}
		Split(chosen, ref)
	})
}
