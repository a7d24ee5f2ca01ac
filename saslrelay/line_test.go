package saslrelay

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line     string
		commands []string
		want     message
		rest     string
		bad      error
	}{
		{line: "AUTH\t1\tPLAIN\tservice=smtp", commands: commandsOfPostfix, want: message{command: "AUTH", id: 1}, rest: "PLAIN\tservice=smtp"},
		{line: "CONT\t4294967295\tYQ==", commands: commandsOfPostfix, want: message{command: "CONT", id: 4294967295}, rest: "YQ=="},
		{line: "CONT\t4\t", commands: commandsOfDovecot, want: message{command: "CONT", id: 4}},
		{line: "FAIL\t8", commands: commandsOfDovecot, want: message{command: "FAIL", id: 8}},
		{line: "OK\t1\tuser=a", commands: commandsOfDovecot, want: message{command: "OK", id: 1}, rest: "user=a"},
		{line: "CANCEL\t7", commands: commandsOfPostfix, want: message{command: "CANCEL", id: 7}},
		// Not about a request, or of the other side: passed on unread.
		{line: "DONE", commands: commandsOfDovecot},
		{line: "VERSION\t1\t2", commands: commandsOfDovecot},
		{line: "OK\tx", commands: commandsOfPostfix},
		{line: "auth\tx", commands: commandsOfPostfix},
		{line: "CANCELLED\t3", commands: commandsOfDovecot},
		// Malformed.
		{line: "", commands: commandsOfPostfix, bad: errEmpty},
		{line: "AUTH", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH 1 PLAIN", commands: commandsOfPostfix},
		{line: "AUTH\t", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH\t0\tPLAIN", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH\t-1\tPLAIN", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH\t+1\tPLAIN", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH\t1_0\tPLAIN", commands: commandsOfPostfix, bad: errNoID},
		{line: "AUTH\t4294967296\tPLAIN", commands: commandsOfPostfix, bad: errNoID},
		{line: "FAIL\tuser=a", commands: commandsOfDovecot, bad: errNoID},
		{line: "AUTH\t1\tPLAIN\x00", commands: commandsOfPostfix, bad: errForbidden},
		{line: "VERSION\t1\t2\r", commands: commandsOfPostfix, bad: errForbidden},
	} {
		got, err := parse([]byte(tt.line), tt.commands)
		if got.command != tt.want.command || got.id != tt.want.id || string(got.rest) != tt.rest {
			t.Errorf("%q: %+v, want %+v", tt.line, got, tt.want)
		}
		if (tt.bad == nil) != (err == nil) || tt.bad != nil && err != (malformed{tt.bad}) {
			t.Errorf("%q: error %v, want %v", tt.line, err, tt.bad)
		}
	}
}

func TestVerdict(t *testing.T) {
	for rest, want := range map[string]verdict{
		"":                                    {},
		"user=a@b.cz":                         {user: "a@b.cz", named: true},
		"user=":                               {named: true},
		"user=bad\x011\x02na me\tx":           {user: "bad\x01\x02na me", named: true},
		"user=a\x01tb\x010":                   {user: "a\tb\x00", named: true},
		"user=a\tcode=user_disabled":          {user: "a", named: true, disabled: true},
		"user=a\tuser_disabled":               {user: "a", named: true, disabled: true},
		"user=a\tcode=temp_fail":              {user: "a", named: true, temp: true},
		"user=a\ttemp":                        {user: "a", named: true, temp: true},
		"user=a\tcode=authz_fail":             {user: "a", named: true},
		"user=a\tcode=pass_expired\treason=x": {user: "a", named: true, reasoned: true},
		"code=invalid_base64\treason=no":      {reasoned: true},
		"\t\tuser=a\t":                        {user: "a", named: true},
	} {
		if got := verdictOf([]byte(rest)); got != want {
			t.Errorf("%q: %+v, want %+v", rest, got, want)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, tt := range []struct{ login, text, want string }{
		{"", "throttled", "FAIL\t7\treason=throttled"},
		{"jiří@háčky.cz", "x\ty\nz\x00á", "FAIL\t7\tuser=jiří@háčky.cz\treason=x?y?z??"},
		{"a\tcode=\n\x01@b.cz\xff", "t", "FAIL\t7\tuser=a?code=??@b.cz?\treason=t"},
	} {
		if got := string(refusal(7, tt.login, tt.text)); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	m := message{id: 9, rest: []byte("user=bad\x01t\t\treason=old\tnodelay\toriginal_user=Bad")}
	if got, want := string(withReason(m, "n\new")), "FAIL\t9\tuser=bad\x01t\tnodelay\toriginal_user=Bad\treason=n?ew"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLoginIn(t *testing.T) {
	for _, tt := range []struct {
		mechanism, response, login string
		ok                         bool
	}{
		{"PLAIN", b64("\x00jan@domena.cz\x00secret"), "jan@domena.cz", true},
		{"plain", b64("eva@domena.cz\x00jan@domena.cz\x00sec\x00ret"), "jan@domena.cz", true},
		{"PLAIN", b64("\x00\x00"), "", true},
		{"PLAIN", b64("\x00jan@domena.cz"), "", false},
		{"PLAIN", b64("secret"), "", false},
		{"PLAIN", "AGph", "", false},
		{"PLAIN", "AG!h", "", false},
		{"Login", b64("jan@domena.cz"), "jan@domena.cz", true},
		{"LOGIN", "", "", true},
		{"LOGIN", b64("ja\x00n"), "ja\x00n", false},
		{"LOGIN", "abc", "", false},
		{"CRAM-MD5", b64("jan@domena.cz 0123"), "", false},
		{"XOAUTH2", b64("user=jan@domena.cz\x01auth=Bearer secret"), "", false},
	} {
		if login, ok := loginIn(tt.mechanism, []byte(tt.response)); login != tt.login || ok != tt.ok {
			t.Errorf("%s %s: %q %v, want %q %v", tt.mechanism, tt.response, login, ok, tt.login, tt.ok)
		}
	}
}

// FuzzParse: whatever comes is read without a panic, and what we make of it is
// one line that the same parser reads.
func FuzzParse(f *testing.F) {
	f.Add([]byte("AUTH\t1\tPLAIN\tservice=smtp\tnologin\trip=127.0.1.81\tresp=AGEAYg=="))
	f.Add([]byte("FAIL\t3\tuser=a\x011b\x01\tcode=user_disabled\treason=x"))
	f.Add([]byte("CONT\t1\t"))
	f.Add([]byte("OK\t07\t=\t\tuser="))
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.IndexByte(line, '\n') >= 0 {
			return // the reader takes lines apart
		}
		before := string(line)
		for _, commands := range [][]string{commandsOfPostfix, commandsOfDovecot} {
			m, err := parse(line, commands)
			if err != nil || m.command == "" {
				continue
			}
			a, response, has := attemptOf(m)
			if has {
				a.learn(response)
			}
			v := verdictOf(m.rest)
			for _, out := range [][]byte{refusal(m.id, a.login, v.user), refusal(m.id, v.user, a.login), withReason(m, a.service)} {
				again, err := parse(out, commandsOfDovecot)
				if err != nil || again.command != "FAIL" || again.id != m.id || bytes.IndexByte(out, '\n') >= 0 {
					t.Errorf("%q becomes %q: %v", line, out, err)
				}
				if verdictOf(again.rest).reasoned != true || strings.Count(string(out), "\treason=") != 1 {
					t.Errorf("%q becomes %q, without one reason", line, out)
				}
			}
		}
		if string(line) != before {
			t.Errorf("%q was changed to %q", before, line)
		}
	})
}

// A v4 address in v6 clothes is the same client, and what is no address is nobody's.
func TestClientOfAnAttempt(t *testing.T) {
	for rip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "::ffff:c000:207": "192.0.2.7", "2001:DB8::1": "2001:db8::1",
		"fe80::1%eth0": "fe80::1", "unknown": "invalid IP", "": "invalid IP", "192.0.2.7:25": "invalid IP", "[::1]": "invalid IP",
	} {
		m, err := parse([]byte("AUTH\t1\tPLAIN\tservice=smtp\trip="+rip+"\tresp=AGEAYg=="), commandsOfPostfix)
		if err != nil {
			t.Fatal(err)
		}
		if a, _, _ := attemptOf(m); a.client.String() != want {
			t.Errorf("rip=%s is %s, want %s", rip, a.client, want)
		}
	}
}
