package replay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/rules"
)

func itoa(n int) string { return strconv.Itoa(n) }

// said is a report in short: what each rule refuses, and what passes.
func said(r Report) string {
	var parts []string
	for _, one := range r.Rules {
		name := string(one.Rule)
		if one.Observed {
			name += "?"
		}
		if one.Messages.Count > 0 {
			name += fmt.Sprintf(" messages=%d", one.Messages.Count)
		}
		if one.Logins.Count > 0 {
			name += fmt.Sprintf(" logins=%d", one.Logins.Count)
		}
		parts = append(parts, name)
	}
	parts = append(parts, fmt.Sprintf("passed=%d", r.Messages.Passed))
	if r.Blocks > 0 {
		parts = append(parts, fmt.Sprintf("blocks=%d", r.Blocks))
	}
	return strings.Join(parts, "; ")
}

const (
	jan      = "jan@domena.cz"
	withAuth = "[listen]\nauth = \"inet:127.0.0.1:9192\"\n[auth_policy]\ntoken_file = \"token\"\n"
)

// Each log is judged as the daemon would have been asked.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		log      func(l *logText)
		want     string
	}{
		"own sender": {
			log:  func(l *logText) { l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan}) },
			want: "passed=1",
		},
		"foreign sender": {
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
				l.mail("9:01", mail{port: 25, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
				l.mail("9:02", mail{port: 465, from: "192.0.2.1", login: jan, sender: "jan@domena.eu"})
			},
			want: "sender messages=2; passed=1",
		},
		"mode observe hides nothing": {
			settings: "mode = \"observe\"",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
			},
			want: "sender messages=1; passed=0",
		},
		"a rule that only observes": {
			settings: "observe = [\"sender\"]",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
				l.mail("9:01", mail{port: 587, from: "192.0.2.1", login: "eva@domena.cz", sender: "eva@seznam.cz"})
			},
			want: "access_disabled messages=1; sender? messages=1; passed=1",
		},
		"observed and refused": { // login is a rule of MAIL, as sender is; quota comes after both
			settings: "observe = [\"sender\"]\n[quota]\nmessages_per_hour = 1",
			log: func(l *logText) {
				for i := range 3 {
					l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
				}
			},
			want: "quota messages=2; sender? messages=3; passed=1",
		},
		"unknown and disabled logins": {
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: "nobody@domena.cz", sender: "nobody@domena.cz"})
				l.mail("9:01", mail{port: 587, from: "192.0.2.1", login: "eva@domena.cz", sender: "eva@domena.cz"})
				l.mail("9:02", mail{port: 587, from: "192.0.2.1", login: "jan", sender: jan})
			},
			want: "auth_rejected messages=2; access_disabled messages=1; passed=0",
		},
		"inbound": {
			log: func(l *logText) {
				l.mail("9:00", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{jan}})
				l.mail("9:01", mail{port: 25, from: "192.0.2.1", to: []string{jan}})
				l.mail("9:02", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{"x@example.org"}, origTo: "info@domena.cz"})
			},
			want: "passed=3",
		},
		"a copy for the archive is no relaying": {
			log: func(l *logText) {
				l.mail("9:00", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{jan, "archive@example.org"}})
				l.mail("9:01", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{"archive@example.org"}})
			},
			want: "auth_failed messages=1; passed=1",
		},
		"relaying from Postfix's mynetworks": {
			settings: "[networks]\ntrusted = [\"127.0.0.0/8\", \"192.0.2.9\"]",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 25, from: "192.0.2.1", sender: jan})
				l.mail("9:01", mail{port: 25, from: "192.0.2.9", sender: jan})
				l.mail("9:02", mail{port: 25, from: "127.0.0.1", sender: jan})
				l.mail("9:03", mail{port: 587, from: "192.0.2.1", sender: jan})
			},
			want: "auth_failed messages=2; passed=2",
		},
		"a block and its end": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 11, "192.0.2.1", jan)
				l.fail("9:10", 5, "192.0.2.1", jan) // refused, and so not counted
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.mail("9:31", mail{port: 587, from: "192.0.2.2", login: jan, sender: jan})
				l.mail("10:00:05", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.fail("10:05", 1, "192.0.2.1", jan)
			},
			want: "throttled messages=1 logins=5; passed=2; blocks=1",
		},
		"ten are no block": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 10, "192.0.2.1", jan)
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.fail("10:00:09", 10, "192.0.2.1", jan)
			},
			want: "passed=1",
		},
		"the window slides": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 10, "192.0.2.1", jan)
				l.fail("9:59", 1, "192.0.2.1", jan)
				l.mail("9:59:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.mail("10:01", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "throttled messages=1; passed=1; blocks=1",
		},
		"what comes after the message does not block it": {
			settings: withAuth,
			log: func(l *logText) {
				// Postfix takes the message; its lines end long after the failures.
				t := at("9:00")
				l.line(t, smtpd(587), "connect from unknown[192.0.2.1]")
				l.line(t, smtpd(587), "A000001: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=%s", jan)
				l.fail("9:00:10", 11, "192.0.2.1", jan)
				l.line(t.Add(time.Minute), "postfix/qmgr", "A000001: from=<%s>, size=1, nrcpt=1 (queue active)", jan)
				l.line(t.Add(2*time.Minute), "postfix/smtp", "A000001: to=<x@example.org>, relay=none, status=sent (ok)")
			},
			want: "passed=1; blocks=1",
		},
		"shared addresses are not blocked": {
			settings: withAuth + "[networks]\nshared = [\"192.0.2.0/24\"]",
			log: func(l *logText) {
				l.fail("9:00", 20, "192.0.2.1", jan)
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "passed=1",
		},
		"a blocked server sends to this one": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 11, "192.0.2.1", jan)
				l.mail("9:30", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{jan}})
				l.mail("9:31", mail{port: 25, from: "192.0.2.1", login: jan, sender: jan, to: []string{jan}}) // refused at AUTH
			},
			want: "throttled messages=1; passed=1; blocks=1",
		},
		"hints count": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 12, "192.0.2.1", "nobody@domena.cz")
				l.fail("9:01", 2, "192.0.2.2", "eva@domena.cz") // told, not counted
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.mail("9:31", mail{port: 587, from: "192.0.2.2", login: jan, sender: jan})
			},
			want: "auth_rejected logins=11; access_disabled logins=2; throttled messages=1 logins=1; passed=1; blocks=1",
		},
		"accounts that are missing block their clients": {
			settings: withAuth,
			log: func(l *logText) {
				for i := range 12 { // each session is an AUTH that is refused, and counts
					l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{port: 587, from: "192.0.2.1", login: "new@domena.cz", sender: "new@domena.cz"})
				}
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "auth_rejected messages=11; throttled messages=2; passed=0; blocks=1",
		},
		"nobody asks at AUTH": {
			log: func(l *logText) {
				l.fail("9:00", 12, "192.0.2.1", "nobody@domena.cz")
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "throttled messages=1 logins=1; passed=0; blocks=1", // refuse_at is helo then
		},
		"nobody asks at AUTH, nor at HELO": {
			settings: "[auth_failures]\nrefuse_at = \"mail\"",
			log: func(l *logText) {
				l.fail("9:00", 12, "192.0.2.1", "nobody@domena.cz")
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "throttled messages=1; passed=0; blocks=1",
		},
		"folded failures": {
			settings: withAuth,
			log: func(l *logText) {
				l.line(at("9:00"), smtpd(587), "message repeated 11 times: [ warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%s]", jan)
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "throttled messages=1; passed=0; blocks=1",
		},
		"SMTP after POP": {
			settings: withAuth + "[smtp_after_pop]\nenabled = true",
			log: func(l *logText) {
				l.pop("9:00", "192.0.2.1", jan, "s1")
				l.mail("9:30", mail{port: 25, from: "192.0.2.1", sender: jan})
				l.mail("9:31", mail{port: 587, from: "192.0.2.1", sender: "jan@seznam.cz"})
				l.mail("9:32", mail{port: 587, from: "192.0.2.2", sender: jan})
				l.mail("10:00:01", mail{port: 25, from: "192.0.2.1", sender: jan}) // an hour later
			},
			want: "auth_failed messages=2; sender messages=1; passed=1",
		},
		"a POP logout renews": {
			settings: withAuth + "[smtp_after_pop]\nenabled = true",
			log: func(l *logText) {
				l.pop("9:00", "192.0.2.1", jan, "s1")
				l.line(at("9:20"), "dovecot", "pop3(%s)<34><s1>: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0", jan)
				l.line(at("9:50"), "dovecot", "pop3(%s)<34><s2>: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0", jan) // nobody knows from where
				l.mail("10:10", mail{port: 25, from: "192.0.2.1", sender: jan})
				l.mail("10:20", mail{port: 25, from: "192.0.2.1", sender: jan})
			},
			want: "auth_failed messages=1; passed=1",
		},
		"sending limits": {
			settings: "[quota]\nmessages_per_hour = 2\nrecipients_per_hour = 4",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan, to: []string{"a@example.org", "b@example.org", "c@example.org"}})
				l.mail("9:10", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan, to: []string{"a@example.org", "b@example.org"}}) // the second is one too many
				l.mail("9:20", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
				l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: "petr@domena.cz", sender: "petr@domena.cz"})
				l.mail("10:01", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
			},
			want: "quota messages=2; passed=3",
		},
		"null sender": {
			settings: "[sender]\nnull_sender = \"refuse\"",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: jan})
				l.mail("9:01", mail{port: 25, from: "192.0.2.1", to: []string{jan}})
			},
			want: "sender messages=1; passed=1",
		},
		"webmail": {
			settings: "[networks]\nwebmail = [\"192.0.2.10\"]",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "192.0.2.10", login: "info@firma.cz", sender: "majitel@seznam.cz"})
				l.mail("9:01", mail{port: 587, from: "192.0.2.1", login: "info@firma.cz", sender: "majitel@seznam.cz"})
			},
			want: "sender messages=1; passed=1",
		},
		"an unknown client": {
			log: func(l *logText) {
				l.mail("9:00", mail{port: 587, from: "unknown", login: jan, sender: jan})
				l.mail("9:01", mail{port: 587, from: "unknown", sender: jan})
			},
			want: "auth_failed messages=1; passed=1",
		},
		"no port is mixed": {
			settings: "[ports]\nmixed = []\nsubmission = [587]",
			log: func(l *logText) {
				l.mail("9:00", mail{port: 25, from: "192.0.2.1", sender: "a@seznam.cz", to: []string{jan}})
			},
			want: "auth_failed messages=1; passed=0",
		},
		"several messages of a session": {
			settings: withAuth,
			log: func(l *logText) {
				l.line(at("9:00"), smtpd(25), "connect from unknown[192.0.2.1]")
				for i, id := range []string{"A000001", "A000002"} {
					t := at("9:00").Add(time.Duration(i) * time.Minute)
					l.line(t, smtpd(25), "%s: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=%s", id, jan)
					l.line(t, "postfix/qmgr", "%s: from=<%s>, size=1, nrcpt=1 (queue active)", id, jan)
					l.line(t, "postfix/local", "%s: to=<%s>, relay=local, status=sent (ok)", id, jan)
					if i == 0 {
						l.failAt(t.Add(time.Second), 11, "192.0.2.1", jan)
					}
				}
				// To this server itself: the session had logged in before the block began.
			},
			want: "passed=2; blocks=1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l logText
			c.log(&l)
			if got := said(run(t, options(t, c.settings, cast, l.String()))); got != c.want {
				t.Errorf("got  %s\nwant %s\n%s", got, c.want, l.String())
			}
		})
	}
}

// Services that customers do not use are not judged; --port says which ones are.
func TestServices(t *testing.T) {
	var l logText
	for i, program := range []string{
		"postfix/smtpd", "postfix-in/smtpd", "postfix/submission-tls/smtpd", "postfix/smtps/smtpd",
		"postfix/10025/smtpd", "postfix/587/smtpd", "postfix/amavis/smtpd", "postfix/customers/smtpd", "postfix/odd/smtpd",
		"postfix-submission/smtpd", "smtps/smtpd", "mx_587/smtpd", "postfix-10025/smtpd",
	} {
		login := ""
		if program == "postfix/odd/smtpd" {
			login = jan
		}
		l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{program: program, from: "192.0.2.1", login: login, sender: jan})
	}
	o := options(t, "", cast, l.String())
	o.Ports = map[string]uint16{"customers": 2525}
	r := run(t, o)
	var got []string
	for _, s := range r.Services {
		got = append(got, fmt.Sprintf("%s %d %q %d %d", s.Name, s.Port, s.Guess, s.Judged, s.Other))
	}
	want := []string{
		`mx_587 587 "" 1 0`, `postfix 25 "" 1 0`, `postfix-10025 0 "its name is a port" 0 1`, `postfix-in 25 "" 1 0`, `postfix-submission 587 "" 1 0`, `postfix/10025 0 "its name is a port" 0 1`, `postfix/587 587 "" 1 0`,
		`postfix/amavis 0 "" 0 1`, `postfix/customers 2525 "" 1 0`, `postfix/odd 587 "clients log in there" 1 0`,
		`postfix/smtps 465 "" 1 0`, `postfix/submission-tls 587 "its name" 1 0`, `smtps 465 "" 1 0`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Messages.Judged != 10 || r.Messages.OtherServices != 3 {
		t.Errorf("%+v", r.Messages)
	}
	// 2525 is in neither list: the daemon takes it for submission.
	if got := r.rule("auth_failed", false).Messages.Count; got != 9 {
		t.Errorf("%d without AUTH", got)
	}
}

func TestServicesAreBounded(t *testing.T) {
	s := services{policy: &rules.Policy{}, seen: map[string]*service{}}
	for i := range 10 * maxServices {
		s.of(fmt.Sprintf("postfix/s%d/smtpd", i), false)
	}
	if len(s.seen) > maxServices+1 {
		t.Errorf("%d services are kept", len(s.seen))
	}
}

// What came before --since is judged, since it may have blocked somebody, and not
// counted.
func TestSinceUntil(t *testing.T) {
	var l logText
	l.fail("9:30", 11, "192.0.2.1", jan)
	l.mail("9:50", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
	l.mail("10:10", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
	l.mail("10:20", mail{port: 587, from: "192.0.2.2", login: jan, sender: jan})
	l.mail("11:00", mail{port: 587, from: "192.0.2.2", login: jan, sender: jan})
	l.mail("13:00", mail{port: 587, from: "192.0.2.2", login: jan, sender: jan})
	o := options(t, withAuth, cast, l.String())
	o.Since, o.Until = at("10:00"), at("11:00")
	r := run(t, o)
	if got := said(r); got != "throttled messages=1; passed=1" || r.Logins.Failed != 0 {
		t.Errorf("%s, %+v", got, r.Logins)
	}
}

// broken is a directory that cannot answer from its nth question on.
type broken struct {
	directory.Directory
	after int
}

func (b *broken) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if b.after--; b.after < 0 {
		return nil, false, errors.New("connection refused")
	}
	return b.Directory.Account(ctx, login)
}

// The daemon defers mail then. A report of that would tell nothing.
func TestDirectoryFails(t *testing.T) {
	var l logText
	for i := range 3 {
		l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{port: 587, from: "192.0.2.1", login: "nobody@domena.cz", sender: jan})
	}
	for after := range 3 {
		o := options(t, "", cast, l.String())
		policy := *o.State.Policy
		policy.OnFailure = rules.FailAccept
		o.State.Policy = &policy
		o.State.Directory = &broken{o.State.Directory, after}
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "asking the directory: connection refused: try again") {
			t.Errorf("after %d: %v", after, err)
		}
	}
}

// Names of failed logins without an @ may be passwords.
func TestPasswordsAreNotShown(t *testing.T) {
	var l logText
	l.fail("9:00", 3, "192.0.2.1", "tajneheslo")
	l.mail("9:01", mail{port: 587, from: "192.0.2.1", sender: jan})
	for _, settings := range []string{withAuth, withAuth + "[login]\ndefault_domain = \"domena.cz\""} {
		r := run(t, options(t, settings, cast, l.String()))
		text := fmt.Sprintf("%+v", r)
		if strings.Contains(text, "tajneheslo") || !strings.Contains(text, "t… (10 characters)") {
			t.Error(text)
		}
	}
}

// Nothing is written: neither a store nor a journal, nor anything beside the logs.
func TestNothingIsWritten(t *testing.T) {
	var l logText
	l.fail("9:00", 12, "192.0.2.1", jan)
	l.mail("9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: jan})
	dir := t.TempDir()
	t.Chdir(dir)
	o := options(t, "[store]\npath = \""+dir+"/portreeve.db\"", cast, l.String())
	run(t, o)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}
