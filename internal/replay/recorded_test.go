package replay

import (
	"os"
	"testing"
)

// The recorded sessions of testdata are the same on Debian 12 and 13: inbound mail
// with and without an alias, of a null sender, a relay attempt, submission with
// and without port logging, a content filter behind the queue and one before it, a
// refused header, a wrong password, mail of mynetworks, one with a refused
// recipient, sendmail's, and a long queue id.
func TestRecorded(t *testing.T) {
	for _, file := range []string{"testdata/postfix-3.7.log", "testdata/postfix-3.10.log"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// The clients are of 127.1.0.0/16, this host's is 127.0.0.1.
		const trusted = "[networks]\ntrusted = [\"127.0.0.1\"]\n"
		for settings, want := range map[string]string{
			trusted: "auth_failed messages=1; sender messages=1; passed=8", // alias.cz is not known
			trusted + "[relay]\nlocal_domains = [\"alias.cz\"]": "sender messages=1; passed=9",
		} {
			r := run(t, options(t, settings, cast, string(text)))
			if got := said(r); got != want {
				t.Errorf("%s: %s, want %s", file, got, want)
			}
			if want := (Messages{Judged: 10, Passed: r.Messages.Passed, Refused: r.Messages.Refused, LoggedIn: 5, Copies: 1, RefusedBefore: 1, NotBySMTP: 1}); r.Messages != want {
				t.Errorf("%s: %+v", file, r.Messages)
			}
			if want := (Logins{Failed: 1, CommandsRefused: 2}); r.Logins != want {
				t.Errorf("%s: %+v", file, r.Logins)
			}
			if e := r.rule("sender", false).Messages.Accounts.List[0].Example; e.Client != "127.1.0.6" || e.Port != 587 || e.Sender != "jan@seznam.cz" || e.Recipient != "x@gmail.com" {
				t.Errorf("%s: %+v", file, e)
			}
		}
	}
}
