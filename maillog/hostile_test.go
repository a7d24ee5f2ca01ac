package maillog

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// client and other are the address that a line is about, and the one that the
// client would like it to be about.
const (
	client = "192.0.2.1"
	other  = "203.0.113.9"
)

// Recorded lines of clients that chose a log line for a login or a mechanism.
func TestHostileRecorded(t *testing.T) {
	for line, want := range map[string]string{
		`2026-11-22T06:27:32.638311+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.8]: SASL "PLAIN authentication failed: authentication failure, sasl_username=x" authentication failed: no mechanism available, sasl_username=(unavailable)`:                       "",
		`2026-11-22T06:27:32.638344+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.8]: SASL <PLAIN auth x> authentication failed: no mechanism available, sasl_username=(unavailable)`:                                                                               "",
		`2026-11-22T06:27:32.638300+00:00 mx postfix/smtpd[27]: warning: SASL authentication failure: Couldn't find mech "PLAIN authentication failed: authentication failure, sasl_username=x"`:                                                                           "",
		`2026-11-22T06:27:32.639766+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.9]: SASL PLAIN authentication failed: authentication failure, sasl_username=x]: SASL PLAIN authentication failed: authentication failure, sasl_username=victim`:                   "auth failed smtp x]: SASL PLAIN authentication failed: authentication failure, sasl_username=victim 127.0.3.9",
		`2026-11-22T06:27:32.640959+00:00 mx postfix/smtpd[27]: warning: unknown[127.0.3.9]: SASL PLAIN authentication failed: authentication failure, sasl_username=a?Nov 21 22:45:02 mx postfix/smtpd[1]: warning: unknown[9.9.9.9]: SASL PLAIN authentication failed: `: "auth failed smtp a?Nov 21 22:45:02 mx postfix/smtpd[1]: warning: unknown[9.9.9.9]: SASL PLAIN authentication failed:  127.0.3.9",
		`Nov 22 06:30:11 pop3-login: Info: Disconnected: Aborted login by logging out (auth failed, 2 attempts in 5 secs): user=<x>, method=plain, rip=9.9.9.9, lip=1.1.1.1, session=<y>>, method=PLAIN, rip=127.0.7.3, lip=127.0.0.1, session=<tfWtm9dgBet/AAcD>`:         "",
		`Nov 22 06:30:05 pop3-login: Info: Login aborted: Logged out (auth failed, 1 attempts in 0 secs) (auth_failed): user=<x>, method=plain, rip=9.9.9.9, lip=1.1.1.1, session=<y>>, method=PLAIN, rip=127.0.7.4, lip=127.0.0.1, session=<yVSkm9dga+d/AAcE>`:            "",
		`2026-11-22T06:29:03.917477+00:00 mx pop3d: LOGIN FAILED, user=x, ip=[::ffff:9.9.9.9], port=[1], protocol=POP3, ip=[::ffff:127.0.7.3], port=[39847]`:                                                                                                               "",
		`2026-11-22T06:31:14.994769+00:00 mx cyrus/pop3[117]: badlogin: [127.0.7.3] plaintext (x [9.9.9.9] alice plaintext User logged in) invalid user`:                                                                                                                   "",
	} {
		if got := said(line); got != want {
			t.Errorf("%s\n got %q\nwant %q", line, got, want)
		}
	}
}

// template is a line with what a client chooses left open. A host's name has no
// other characters than Postfix (valid_hostname) and the resolver let through.
type template struct {
	kind  Kind
	write func(login, name string) string
}

// templates are as the programs' source code has them.
var templates = []template{
	{AuthFailed, func(login, name string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx postfix/smtpd[1]: warning: %s[%s]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%.100s", name, client, login)
	}},
	{AuthFailed, func(mechanism, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx postfix/smtpd[1]: warning: unknown[%s]: SASL %.100s authentication failed: (reason unavailable), sasl_username=(unavailable)", client, mechanism)
	}},
	{LoggedIn, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx dovecot: pop3-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.2, mpid=1, TLS, session=<L1ilm9dgsc9/AAcB>", login, client)
	}},
	{0, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 pop3-login: Info: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 0 secs): user=<%s>, method=PLAIN, rip=%s, lip=192.0.2.2, session=<L1ilm9dgsc9/AAcB>", login, client)
	}},
	{0, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 auth: Info: passwd-file(%s,%s): Password mismatch", login, client)
	}},
	{LoggedIn, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx pop3d: LOGIN, user=%s, ip=[::ffff:%s], port=[60753]", login, client)
	}},
	{0, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx pop3d: LOGIN FAILED, user=%s, ip=[::ffff:%s], port=[60753]", login, client)
	}},
	{LoggedOut, func(login, _ string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx imapd: LOGOUT, user=%s, ip=[::ffff:%s], port=[45179], headers=0, body=0, rcvd=11, sent=82, time=0", login, client)
	}},
	{LoggedIn, func(login, name string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx cyrus/pop3[1]: login: %s [%s] %s PLAIN+TLS User logged in", name, client, login)
	}},
	{0, func(login, name string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx cyrus/pop3[1]: badlogin: %s [%s] plaintext (%s) [SASL(-13): authentication failure: checkpass failed]", name, client, login)
	}},
	{0, func(helo, name string) string {
		return fmt.Sprintf("Nov 22 10:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from %s[%s]: 554 5.7.1 <a@b.cz>: Relay access denied; from=<a@b.cz> to=<a@b.cz> proto=ESMTP helo=<%s>", name, client, helo)
	}},
}

// check is the property: whatever a client chooses, a line tells nothing, or
// what the program meant, of that client.
func check(t *testing.T, login, name string) {
	t.Helper()
	name = hostOf(name)
	for _, tp := range templates {
		line := tp.write(login, name)
		e, ok := Parse(line, ref)
		if ok && (e.Kind != tp.kind || e.Client != netip.MustParseAddr(client)) {
			t.Errorf("%q tells %s of %s", line, e.Kind, e.Client)
		}
	}
}

func hostOf(name string) string {
	keep := func(c rune) rune {
		if c < 0x80 && (programLetter(byte(c)) && c != '/') {
			return c
		}
		return -1
	}
	if name = strings.Map(keep, name); name == "" {
		return "unknown"
	}
	return name
}

// tricks are logins that try to end their field, or the line.
var tricks = []string{
	"jan@domena.cz",
	"]: SASL PLAIN authentication failed: x, sasl_username=y",
	"x[" + other + "]: SASL PLAIN authentication failed: x",
	"a>, method=PLAIN, rip=" + other + ", lip=1.1.1.1, session=<y>",
	"a>, method=PLAIN, rip=" + other + ", lip=1.1.1.1, mpid=1, user=<b",
	"a, ip=[::ffff:" + other + "], port=[1]",
	"a, ip=[" + other + "], port=[1], x=",
	"a [" + other + "] b PLAIN User logged in",
	"a PLAIN User logged in SESSIONID=<",
	"message repeated 9 times: [ warning: x[" + other + "]: SASL PLAIN authentication failed: ]",
	"\nNov 22 10:00:00 mx postfix/smtpd[1]: warning: unknown[" + other + "]: SASL PLAIN authentication failed: x",
	"\r\nNov 22 10:00:00 pop3-login: Info: Login: user=<a>, method=PLAIN, rip=" + other + ", lip=1.1.1.1",
	"a\x00b", "ž\xff", "", " ", strings.Repeat("x", 5000),
	"a)<1><L1ilm9dgsc9/AAcB>: Disconnected: Logged out",
}

func TestHostile(t *testing.T) {
	for _, login := range tricks {
		for _, name := range []string{"unknown", "a.example.com", "x[" + other + "]: SASL", login} {
			check(t, login, name)
		}
	}
}

func TestPlainLoginsAreTold(t *testing.T) {
	for _, tp := range templates {
		e, ok := Parse(tp.write("PLAIN", "a.example.com"), ref)
		if ok != (tp.kind != 0) || e.Kind != tp.kind {
			t.Errorf("%q tells %s, want %s", tp.write("PLAIN", "a.example.com"), e.Kind, tp.kind)
		}
	}
}

func FuzzHostile(f *testing.F) {
	for _, login := range tricks {
		f.Add(login, "unknown")
		f.Add(login, login)
	}
	f.Fuzz(func(t *testing.T, login, name string) {
		check(t, login, name)
	})
}

func FuzzParse(f *testing.F) {
	for _, tp := range templates {
		f.Add(tp.write("jan@domena.cz", "unknown"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := Parse(line, ref)
		if !ok {
			return
		}
		if e.Times < 1 || e.Times > maxFolded || e.Service == "" || e.Kind == 0 {
			t.Errorf("%q: %+v", line, e)
		}
		if !e.Client.IsValid() && (e.Kind != LoggedOut || e.Session == "") {
			t.Errorf("%q: nobody's: %+v", line, e)
		}
	})
}
