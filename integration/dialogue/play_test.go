package dialogue

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Every kind of step, coming true and, where it can, failing. want is what the
// failure must contain, `/` separating several; empty: the story plays.
var plays = []struct{ name, story, want string }{
	{"greeting", "from 127.0.0.9 to 25\n< 220 *\n", ""},
	{
		"wrong reply", "from 127.0.0.9 to 25\n< 220 *\n> NOOP\n< 550 *\n",
		"t.dlg:5: A title/step:     < 550 */expected: 550 */came:     250 \"NOOP\"/S: 220 host\n  C: NOOP\n  S: 250/last line of the log",
	},
	{"whole line", "from 127.0.0.9 to 25\n< 220\n", "came:     220 host"},
	{"cannot connect", "from 127.0.0.9 to 1\n", "t.dlg:2:/nothing listens there"},
	{"new connection closes the old", "from 127.0.0.9 to 25\n< 220 *\nfrom 127.0.0.9 to 25\n< 220 *\n", ""},
	{"escapes", "from 127.0.0.9 to 25\n< 220 *\n> a\\x01b\\\\\n< 250 \"a\\x01b\\\\\"\n", ""},
	{"line of the reply", "from 127.0.0.9 to 25\n< 220 *\n> EHLO pc\n< 250 *\n<- 250-AUTH PLAIN LOGIN\n<! 250-STARTTLS\n", ""},
	{"line missing", "from 127.0.0.9 to 25\n< 220 *\n> EHLO pc\n< 250 *\n<- 250-STARTTLS\n", "expected: a line 250-STARTTLS/250-host / 250-AUTH"},
	{"line too many", "from 127.0.0.9 to 25\n< 220 *\n> EHLO pc\n< 250 *\n<! 250-AUTH*\n", "expected: no line 250-AUTH*"},
	{"line of no reply", "from 127.0.0.9 to 25\n<- 250\n", "none was read before"},
	{"starttls", "from 127.0.0.9 to 587\n< 220 *\n> EHLO me.test\n< 250 *\nstarttls\n<- 250-host\n> X\n< 250 \"X\"\n", ""},
	{"starttls refused", "from 127.0.0.9 to 110\n< +OK *\nstarttls\n> x\n< *\nfrom 127.0.0.9 to 25\n< 220 *\nstarttls\n", "expected: 220/came:     250"},
	{"tls", "from 127.0.0.9 to 465\ntls\n< 220 *\n", ""},
	{"tls where there is none", "from 127.0.0.9 to 25\ntls\n", "expected: TLS"},
	{"auth plain", "from 127.0.0.9 to 25\n< 220 *\nauth joe secret\n< 235 AGpvZQBzZWNyZXQ=\n", ""},
	{"auth login", "from 127.0.0.9 to 25\n< 220 *\nauth login joe secret\n< 235 2.7.0 ok\n", ""},
	{"auth login ends early", "from 127.0.0.9 to 25\n< 220 *\nauth login baduser secret\n< 535 5.7.8 no\n", ""},
	{"pop3 login", "from 127.0.0.9 to 110\nlogin joe secret\n< 250 \"PASS secret\"\n", ""},
	{"pop3 login refused at once", "from 127.0.0.9 to 110\nlogin nobody x\n< -ERR who\n", ""},
	{"pop3 list", "from 127.0.0.9 to 995\ntls\n< +OK ready\n> CAPA\n< +OK\n<- STLS\n> LIST\n< -ERR no\n", ""},
	{"command before the greeting", "from 127.0.0.9 to 143\nstarttls\n", "write `< 220 *` first"},
	{"no regular expressions", "from 127.0.0.9 to 143\n< \\* OK*\n", "came:     * OK ready"},
	{"imap after tls", "from 127.0.0.9 to 143\n< * OK ready\nstarttls\nlogin joe \"a b\"\n< a1 OK \"joe\" \"a b\"\n<- \\*\n", "a line \\*"},
	{"login over smtp", "from 127.0.0.9 to 25\nlogin joe secret\n", "expected: a POP3 or IMAP port"},
	{"message", "from 127.0.0.9 to 25\n< 220 *\nmessage\n  A: b\n    c\n\n  .dot\n< 250 A: b|  c||..dot\n", ""},
	{"message refused", "from 127.0.0.9 to 587\n< 220 *\nmessage\n  a\n< 250 \"DATA\"\n", ""},
	{"closed", "from 127.0.0.9 to 25\n< 220 *\n> CLOSE\nclosed\n", ""},
	{"step after hangup", "from 127.0.0.9 to 25\n< 220 *\nhangup\n> NOOP\n", "t.dlg:5:/it was closed before"},
	{"two connections", "from 127.0.0.9 to 25\nb: from 127.0.0.8 to 25\n< 220 *\nb: < 220 *\nb: > x\nb: < 250 \"y\"\n", "  b: C: x\n"},
	{"same id", "from 127.0.0.9 to 25\n< 220 *\n> SAME\n< 550 5.1.0 {id:a} *\n> SAME\n< 550 5.1.0 {id:a} authentication failed\n", ""},
	{"same id expected", "from 127.0.0.9 to 25\n< 220 *\n> NEW\n< 550 5.1.0 {id:a} *\n> NEW\n< 550 5.1.0 {id:a} *\n", "right but for an id"},
	{"other id", "from 127.0.0.9 to 25\n< 220 *\n> NEW\n< * {id:a} *\n> NEW\n< * {id:b!=a} *\n", ""},
	{"other id expected", "from 127.0.0.9 to 25\n< 220 *\n> SAME\n< * {id:a} *\n> SAME\n< * {id:b!=a} *\n", "the same as {a}"},
	{"verb", "from 127.0.0.9 to 25\n< 220 *\n> NEW\n< * {id:a} *\nportreeve explain {a} \"two words\"\n| answer to explain * two words\n| first\n", ""},
	{"verb prints otherwise", "portreeve status\n| up\n", "a line up on standard output/\"first\\nanswer to status\\n\""},
	{"verb's exit status", "portreeve bad\n", "expected: exit status 0/came:     exit status 2/bad is no verb"},
	{"verb's expected exit status", "portreeve[2] bad\n|! *see --help\n", ""},
	{"no program", "portreeve missing\n", "no such program"},
	{"output of nothing", "| x\n", "none was run before"},
	{"repeat counts", "repeat 3\n  portreeve status\nportreeve bad\n", "round 3 of 3"},
}

func TestPlay(t *testing.T) {
	for _, tt := range plays {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := play(t, &fakeHost{}, tt.story)
			if tt.want == "" && got != "" {
				t.Fatalf("the story should play:\n%s", got)
			}
			for want := range strings.SplitSeq(tt.want, "/") {
				if want != "" && !strings.Contains(got, want) {
					t.Errorf("failure lacks %q:\n%s", want, got)
				}
			}
			if tt.want != "" && got == "" {
				t.Error("the story plays, and should not")
			}
		})
	}
}

// TestWorldSteps looks at what the steps did to the world.
func TestWorldSteps(t *testing.T) {
	h := &fakeHost{}
	got := play(t, h, "wait 20s\nwait 1m\naccounts\n  [domains]\n  \"a.cz\" = {}\nrestart\nkill\nrepeat 2\n  portreeve reload\n")
	if got != "" {
		t.Fatal(got)
	}
	if h.waited != 80*time.Second {
		t.Errorf("waited %s, want 80s", h.waited)
	}
	if len(h.files) != 1 || h.files[0] != "[domains]\n\"a.cz\" = {}\n" {
		t.Errorf("accounts written: %q", h.files)
	}
	if s := strings.Join(h.started, " "); s != "false true" {
		t.Errorf("restarts (killed or not): %s", s)
	}
	if s := strings.Join(h.verbs, ", "); s != "reload, reload" {
		t.Errorf("verbs: %s", s)
	}
}

// TestDirectory: only a story that says so may touch the directory, and only on
// a host where that is possible.
func TestDirectory(t *testing.T) {
	const story = "only stand-in\ndirectory fails\ndirectory answers\n"
	h := &fakeHost{}
	if got := play(t, h, story); got != "" {
		t.Fatal(got)
	}
	if !slices.Equal(h.answers, []bool{false, true}) {
		t.Errorf("the directory was made to answer: %v", h.answers)
	}
	if got := play(t, &fakeHost{rigid: true}, story); !strings.Contains(got, "expected: a host whose directory can fail") {
		t.Errorf("on a host that cannot: %q", got)
	}
}

// TestClosedByServer: an open connection is not a closed one, however long the
// player has waited.
func TestClosedFailsOnOpenConnection(t *testing.T) {
	c := &conn{log: &session{}}
	client, err := (&fakeHost{t: t}).Dial(t.Context(), testAddr, 25)
	if err != nil {
		t.Fatal(err)
	}
	c.attach(expired{client})
	if err := c.closedByServer(); err == nil || !strings.Contains(err.Error(), "still open") {
		t.Errorf("got %v", err)
	}
}
