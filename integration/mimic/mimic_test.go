package mimic

import (
	"log/slog"
	"reflect"
	"strings"
	"testing"
)

const hello = "< 220 mx.test *\n> EHLO pc\n< 250 CHUNKING\n"

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the fronts heard\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestKeywords(t *testing.T) {
	t.Parallel()
	(&fakes{}).play(t, "", "from 127.0.9.1 to 587\n< 220 *\n> EHLO pc\n< 250 *\n<- 250-AUTH PLAIN LOGIN\n<- 250-STARTTLS\n<- 250-XCLIENT *\n"+
		"starttls\n<- 250-AUTH PLAIN LOGIN\n<! 250-STARTTLS\n> QUIT\n< 221 2.0.0 Bye\nclosed\n"+
		"from 127.0.9.1 to 465\ntls\n< 220 *\n> EHLO pc\n< 250 *\n<! 250-STARTTLS\n> STARTTLS\n< 554 *\n"+
		"from 127.0.9.1 to 25\n< 220 *\n> HELO pc\n< 250 mx.test\n> FOO\n< 502 *\n> EHLO\n< 501 *\n> VRFY x\n< 252 *\n")
}

func TestAuth(t *testing.T) {
	t.Parallel()
	f := &fakes{}
	got := f.play(t, "auth", "from 127.0.9.1 to 587\n< 220 *\nauth joe@domena.cz secret\n< 503 5.5.1 Error: send HELO/EHLO first\n> EHLO pc\n< 250 *\n"+
		"auth joe@domena.cz wrong\n< 535 5.7.8 Error: authentication failed: (reason unavailable)\n"+
		"auth login nobody x\n< 535 *\nauth \"a b\" x\n< 535 *\n> AUTH CRAM-MD5\n< 535 *\n> AUTH PLAIN\n< 334 \n> AA==\n< 535 *\n"+
		"auth login JOE@domena.cz secret\n< 235 2.7.0 Authentication successful\nauth joe@domena.cz secret\n< 503 *\n")
	check(t, got,
		"auth allow submission joe@domena.cz 127.0.9.1 tls=false",
		"auth report submission joe@domena.cz 127.0.9.1 tls=false success=false reject=false",
		"auth allow submission nobody 127.0.9.1 tls=false",
		"auth report submission nobody 127.0.9.1 tls=false success=false reject=false",
		"auth report submission  127.0.9.1 tls=false success=false reject=false",
		"auth allow submission JOE@domena.cz 127.0.9.1 tls=false",
		"auth allow submission JOE@domena.cz 127.0.9.1 tls=false",
		"auth report submission JOE@domena.cz 127.0.9.1 tls=false success=true reject=false",
	)
}

func TestAuthRefusedByPolicy(t *testing.T) {
	t.Parallel()
	f := &fakes{auth: func(string, string) string { return `{"status":-1,"msg":"go away"}` }}
	got := f.play(t, "auth", "from 127.0.9.1 to 25\n"+hello+"auth joe@domena.cz secret\n< 535 5.7.8 Error: authentication failed: go away\n"+
		"from 127.0.9.1 to 995\ntls\nlogin joe@domena.cz secret\n< -ERR [AUTH] go away\n"+
		"from 127.0.9.1 to 143\nlogin joe@domena.cz secret\n< a1 NO [AUTHENTICATIONFAILED] go away\n")
	check(t, got,
		"auth allow smtp joe@domena.cz 127.0.9.1 tls=false",
		"auth report smtp joe@domena.cz 127.0.9.1 tls=false success=false reject=true",
		"auth allow pop3 joe@domena.cz 127.0.9.1 tls=true",
		"auth report pop3 joe@domena.cz 127.0.9.1 tls=true success=false reject=true",
		"auth allow imap joe@domena.cz 127.0.9.1 tls=false",
		"auth report imap joe@domena.cz 127.0.9.1 tls=false success=false reject=true",
	)
}

// TestAuthFailsOpen: bad JSON lets the attempt go on; a refusal after the
// password was found right is one all the same.
func TestAuthFailsOpen(t *testing.T) {
	t.Parallel()
	(&fakes{auth: func(string, string) string { return "?" }}).play(t, "",
		"from 127.0.9.1 to 25\n"+hello+"auth joe@domena.cz secret\n< 235 *\n")
	asked := 0
	f := &fakes{auth: func(command, _ string) string {
		if asked++; asked == 2 {
			return `{"status":-1,"msg":"no"}`
		}
		return `{"status":0,"msg":""}`
	}}
	f.play(t, "", "from 127.0.9.1 to 25\n"+hello+"auth joe@domena.cz secret\n< 535 *: no\n")
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	(&fakes{}).play(t, "", "from 127.0.9.1 to 110\n< +OK *\n> CAPA\n< +OK\n<- STLS\nstarttls\n> CAPA\n< +OK\n<! STLS\n"+
		"login joe@domena.cz wrong\n< -ERR [AUTH] Authentication failed.\nlogin joe@domena.cz secret\n< +OK Logged in.\n> STAT\n< +OK 0 0\n> LIST\n< +OK *\n> X\n< -ERR *\n> QUIT\n< +OK *\nclosed\n"+
		"from 127.0.9.1 to 143\n< * OK *STARTTLS*\nstarttls\n> a NOOP\n< a OK *\nlogin joe@domena.cz wrong\n< a1 NO [AUTHENTICATIONFAILED] Authentication failed.\n"+
		"login joe@domena.cz secret\n< a1 OK *\n> b CAPABILITY\n< b OK *\n<- * CAPABILITY *\n> c X\n< c BAD *\n> d LOGOUT\n< d OK *\nclosed\n"+
		"from 127.0.9.1 to 993\ntls\nlogin joe@domena.cz secret\n< a1 OK *\n")
}

// TestRelay is the order of smtpd_relay_restrictions on both kinds of ports.
func TestRelay(t *testing.T) {
	t.Parallel()
	f := &fakes{policy: func(a map[string]string) string {
		switch a["recipient"] {
		case "granted@far.test":
			return "OK"
		case "refused@far.test":
			return "550 5.1.0 X authentication failed"
		case "odd@far.test":
			return "REJECT"
		}
		return "DUNNO"
	}}
	got := f.play(t, "policy", "from 127.0.9.1 to 25\n"+hello+"> MAIL FROM:<\"a b\"@domena.cz>\n< 250 2.1.0 Ok\n> RCPT TO:<x@domena.cz>\n< 250 2.1.5 Ok\n"+
		"> RCPT TO:<x@far.test>\n< 554 5.7.1 <x@far.test>: Relay access denied\n> RCPT TO:<granted@far.test>\n< 250 *\n"+
		"> RCPT TO:<refused@far.test>\n< 550 5.1.0 <refused@far.test>: Recipient address rejected: X authentication failed\n"+
		"> RCPT TO:<odd@far.test>\n< 451 4.3.5 Server configuration error\n"+
		"from 127.0.9.1 to 587\n"+hello+"> MAIL FROM:<>\n< 250 *\n> RCPT TO:<x@domena.cz>\n< 554 5.7.1 <x@domena.cz>: Recipient address rejected: Access denied\n> RSET\n< 250 *\n"+
		"auth joe@domena.cz secret\n< 235 *\n> MAIL FROM:<a>\n< 250 *\n> RCPT TO:<x@far.test>\n< 250 *\n"+
		"from 127.0.0.1 to 25\n"+hello+"> MAIL FROM:<a>\n< 250 *\n> RCPT TO:<x@far.test>\n< 250 *\n")
	check(t, got,
		"policy relay RCPT 127.0.9.1:25 login= a b@domena.cz>x@far.test id=true",
		"policy relay RCPT 127.0.9.1:25 login= a b@domena.cz>granted@far.test id=true",
		"policy relay RCPT 127.0.9.1:25 login= a b@domena.cz>refused@far.test id=true",
		"policy relay RCPT 127.0.9.1:25 login= a b@domena.cz>odd@far.test id=true",
		"policy relay RCPT 127.0.9.1:587 login= >x@domena.cz id=false",
		"policy relay RCPT 127.0.9.1:587 login=joe@domena.cz a>x@far.test id=false",
	)
}

// TestPolicyOnly is the recipe without a milter: the sender's restrictions are
// asked at RCPT, and again at the end of the message.
func TestPolicyOnly(t *testing.T) {
	t.Parallel()
	f := &fakes{noMilter: true, policy: func(a map[string]string) string {
		switch {
		case a["policy_context"] == "" && a["sender"] == "bad@x":
			return "550 5.1.0 X no"
		case a["protocol_state"] == "END-OF-MESSAGE" && a["recipient_count"] == "2":
			return "450 4.7.1 X too many"
		}
		return "OK"
	}}
	got := f.play(t, "", "from 127.0.9.1 to 587\n"+hello+"> MAIL FROM:<bad@x>\n< 250 *\n> RCPT TO:<a@far.test>\n< 550 5.1.0 <bad@x>: Sender address rejected: X no\n> RSET\n< 250 *\n"+
		"> MAIL FROM:<a@x>\n< 250 *\n> RCPT TO:<a@far.test>\n< 250 *\nmessage\n  Subject: x\n< 250 *\n"+
		"> MAIL FROM:<a@x>\n< 250 *\n> RCPT TO:<a@far.test>\n< 250 *\n> RCPT TO:<b@far.test>\n< 250 *\nmessage\n  Subject: x\n< 450 4.7.1 <END-OF-MESSAGE>: End-of-data rejected: X too many\n")
	check(t, got,
		"policy  RCPT 127.0.9.1:587 login= bad@x>a@far.test id=false",
		"policy  RCPT 127.0.9.1:587 login= a@x>a@far.test id=false",
		"policy relay RCPT 127.0.9.1:587 login= a@x>a@far.test id=false",
		"policy  END-OF-MESSAGE 127.0.9.1:587 login= a@x>a@far.test id=true",
		"policy  RCPT 127.0.9.1:587 login= a@x>a@far.test id=false",
		"policy relay RCPT 127.0.9.1:587 login= a@x>a@far.test id=false",
		"policy  RCPT 127.0.9.1:587 login= a@x>b@far.test id=true",
		"policy relay RCPT 127.0.9.1:587 login= a@x>b@far.test id=true",
		"policy  END-OF-MESSAGE 127.0.9.1:587 login= a@x> id=true",
	)
}

// TestPolicyAway: asked again once, then the default action.
func TestPolicyAway(t *testing.T) {
	t.Parallel()
	f := &fakes{policy: func(map[string]string) string { return "hang up" }}
	got := f.play(t, "policy", "from 127.0.9.1 to 25\n"+hello+"> MAIL FROM:<a>\n< 250 *\n> RCPT TO:<x@far.test>\n"+
		"< 451 4.3.5 <x@far.test>: Recipient address rejected: relaying cannot be checked now, try again later\n")
	if len(got) != 2 {
		t.Errorf("asked %d times, want 2", len(got))
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	(&fakes{}).play(t, "", "from 127.0.9.1 to 25\n"+hello+"> RCPT TO:<a@domena.cz>\n< 503 5.5.1 Error: need MAIL command\nmessage\n  x\n< 503 5.5.1 Error: need RCPT command\n"+
		"> MAIL <a>\n< 501 *\n> MAIL FROM:<a>\n< 250 *\n> MAIL FROM:<a>\n< 503 5.5.1 Error: nested MAIL command\n> RCPT TO:<>\n< 501 *\nauth a b\n< 503 *\n"+
		"message\n  x\n< 554 5.5.1 Error: no valid recipients\n> RCPT TO:<a@domena.cz>\n< 250 *\nmessage\n  Subject: x\n< 250 2.0.0 Ok: queued as *\n"+
		"> NOOP\n< 250 *\n> XCLIENT FOO=1\n< 501 *\n> XCLIENT ADDR=nonsense\n< 501 *\n")
}

func TestNew(t *testing.T) {
	if _, err := New(Fronts{}, []byte("joe:secret"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a user without a password scheme: %v", err)
	}
}
