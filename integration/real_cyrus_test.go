//go:build real

package integration

import (
	"encoding/base64"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

// What Cyrus SASL answers, and Postfix logs (2.1.28 with Postfix 3.7 and 3.10).
const (
	cyrusWrong = `^535 5\.7\.8 Error: authentication failed: authentication failure$`
	cyrusAway  = `^454 4\.7\.0 Temporary authentication failure: generic failure$`
)

// cyrus is a host whose SMTP passwords are Cyrus SASL's: the log is the only
// witness.
func cyrus(t *testing.T, recipe string, limit int) *real.World {
	t.Helper()
	return host.World(t, dialogue.Settings{Recipe: recipe, Portreeve: map[string]any{
		"listen.auth": "", "maillog.files": []any{"mail.log"}, "auth_failures.limit": limit,
	}})
}

// A wrong password counts once whichever way the client proves itself, and a
// right one does not.
func TestCyrusMechanisms(t *testing.T) {
	t.Parallel()
	for recipe, mechanisms := range map[string][]string{
		real.RecipeSASLDB:    {"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"},
		real.RecipeSASLAuthd: {"PLAIN", "LOGIN"},
	} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := cyrus(t, recipe, 10)
			for i, mechanism := range mechanisms {
				submit := func(given, want string) {
					t.Helper()
					cmd := exec.CommandContext(t.Context(), "curl", "--verbose", "--no-progress-meter", "smtp://"+w.Instance.Port(587)+"/pc.test",
						"--interface", "127.1.248.1", "--login-options", "AUTH="+mechanism, "--user", account+":"+given,
						"--mail-from", account, "--mail-rcpt", "kdosi@far.test", "--upload-file", "-")
					cmd.Stdin = strings.NewReader("From: <" + account + ">\r\nSubject: test\r\n\r\ntext\r\n")
					out, err := cmd.CombinedOutput()
					if _, ended := err.(*exec.ExitError); err != nil && !ended {
						t.Fatalf("curl cannot be run: %v; install the packages of packages.txt", err)
					}
					if !regexp.MustCompile(want).Match(out) || !strings.Contains(string(out), "AUTH "+mechanism) {
						t.Errorf("%s with the password %q is not answered %s:\n%s", mechanism, given, want, out)
					}
				}
				submit("wrong", `(?m)^< 535 5\.7\.8 Error: authentication failed: authentication failure\r?$`)
				submit(password, `(?m)^< 250 2\.0\.0 Ok: queued as `)
				settled(t, w, "127.1.248.2")
				if n := counted(t, w, "127.1.248.1"); n != i+1 {
					t.Errorf("after %s %d failures are counted, want %d", mechanism, n, i+1)
				}
			}
		})
	}
}

// While nobody can check a password, nobody has failed: those who try meanwhile
// are not shut out afterwards.
func TestCyrusAway(t *testing.T) {
	t.Parallel()
	for recipe, away := range map[string]func(t *testing.T, i *real.Instance) (back func() error){
		real.RecipeSASLAuthd: func(t *testing.T, i *real.Instance) func() error {
			if err := i.StopSASLAuthd(); err != nil {
				t.Fatal(err)
			}
			return func() error { return i.StartSASLAuthd(t.Context()) }
		},
		real.RecipeSASLDB: func(t *testing.T, i *real.Instance) func() error {
			if err := os.Chmod(i.SASLDB(), 0); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Chmod(i.SASLDB(), 0o640) }
		},
	} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := cyrus(t, recipe, 10)
			const customer = "127.1.249.1"
			c := connect(t, w, customer, 587)
			c.auth(cyrusWrong, account, "wrong")
			back := away(t, w.Instance)
			for range 6 {
				c.auth(cyrusAway, account, password)
				c.auth(cyrusAway, account, "wrong")
			}
			if err := back(); err != nil {
				t.Fatal(err)
			}
			settled(t, w, "127.1.249.2")
			if n := counted(t, w, customer); n != 1 {
				t.Errorf("%d failures are counted, want the one before", n)
			}
			c.auth(`^235 `, account, password)
			c.expect(`^250 `, "MAIL FROM:<"+account+">")
		})
	}
}

// What docs/by-hand.md warns of: Cyrus SASL has the same word for a wrong
// password, for a password store behind saslauthd that is away, and for a sasldb
// that is not there. Should a later version tell them apart, this test fails and
// the table of maillog can follow.
func TestCyrusCannotTell(t *testing.T) {
	t.Parallel()
	for recipe, away := range map[string]func(*real.Instance) error{
		real.RecipeSASLAuthd: (*real.Instance).StopDovecot,
		real.RecipeSASLDB:    func(i *real.Instance) error { return os.Remove(i.SASLDB()) },
	} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := cyrus(t, recipe, 10)
			if err := away(w.Instance); err != nil {
				t.Fatal(err)
			}
			connect(t, w, "127.1.250.1", 587).auth(cyrusWrong, account, password)
			settled(t, w, "127.1.250.2")
			if n := counted(t, w, "127.1.250.1"); n != 1 {
				t.Errorf("%d failures are counted, want 1", n)
			}
		})
	}
}

// victim is whom hostile logins blame.
const victim = "127.1.251.200"

const forged = "postfix/smtpd[1]: warning: unknown[" + victim + "]: SASL PLAIN authentication failed: authentication failure"

// guessed are logins that are checked, and are wrong.
var guessed = []string{
	"x]: SASL PLAIN authentication failed: authentication failure, sasl_username=y",
	"unknown[" + victim + "]: SASL PLAIN authentication failed: authentication failure",
	"x\nNov 22 10:00:00 mx " + forged,
	"x\r\n2026-11-22T10:00:00.000000+00:00 mx " + forged + ", sasl_username=y",
	"message repeated 9 times: [ warning: unknown[" + victim + "]: SASL PLAIN authentication failed: authentication failure]",
	"generic failure, sasl_username=", ", sasl_username=generic failure", "(unavailable)",
	"0l0uxmDAtIPWPDRAEgMU9d", // as a journal id
	"\xff\xfe", "\x01\x02\x7f", "%s%n", "ž@domena.cz", strings.Repeat("x", 200),
}

// notGuessed are lines after which no password was checked.
var notGuessed = [][]string{
	{"AUTH PLAIN !!!!"},
	{"AUTH PLAIN ="},
	{"AUTH PLAIN AAAA"},
	{"AUTH FOO"},
	{`AUTH "PLAIN authentication failed: authentication failure"`},
	{"AUTH LOGIN", "*"},
	{"AUTH LOGIN", base64.StdEncoding.EncodeToString([]byte(account)), "*"},
	{"AUTH LOGIN", "!!!!"},
	{"EHLO " + forged},
	{"MAIL FROM:<\"" + forged + "\"@domena.cz>", "RCPT TO:<x@far.test>"},
}

// Whatever a client sends, it is held against nobody else; and no login is so odd
// that its failure goes uncounted.
func TestCyrusHostile(t *testing.T) {
	t.Parallel()
	for _, recipe := range []string{real.RecipeSASLDB, real.RecipeSASLAuthd} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := cyrus(t, recipe, 1000)
			const guesser, bystander = "127.1.251.1", "127.1.251.2"
			encode := base64.StdEncoding.EncodeToString
			for _, login := range guessed {
				c := connect(t, w, guesser, 587)
				c.auth(cyrusWrong, login, "wrong")
				c.expect(`^334 `, "AUTH LOGIN")
				c.expect(`^334 `, encode([]byte(login)))
				c.expect(cyrusWrong, encode([]byte("wrong")))
			}
			for _, lines := range notGuessed {
				c := connect(t, w, bystander, 587)
				for _, line := range lines {
					c.expect(`^[2345]`, line)
				}
			}
			settled(t, w, "127.1.251.3")
			for addr, want := range map[string]int{guesser: 2 * len(guessed), bystander: 0, victim: 0} {
				if n := counted(t, w, addr); n != want {
					t.Errorf("%d failures of %s are counted, want %d", n, addr, want)
				}
			}
		})
	}
}
