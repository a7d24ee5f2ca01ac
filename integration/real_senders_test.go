//go:build real

package integration

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/mimic"
	"portreeve/integration/real"
)

// queuedAs is what became of each sender that Postfix took: its queue id.
type queuedAs map[string]string

// sendAll tries to send one message as each sender, from one client, logged in as
// login, or not at all where that is empty.
func sendAll(t *testing.T, w *real.World, from string, port int, login, password string, senders []string) queuedAs {
	t.Helper()
	taken := queuedAs{}
	var c *client
	for i, sender := range senders {
		if i%8 == 0 { // Postfix ends a session after twenty errors
			if c != nil {
				c.text.Close()
			}
			c = connect(t, w, from, port)
			if login != "" {
				c.auth(`^235 `, login, password)
			}
		}
		if id := c.offer(sender); id != "" {
			taken[sender] = id
		}
	}
	return taken
}

var queuedPattern = regexp.MustCompile(`^250 .* queued as (\S+)$`)

// offer sends a message, and returns its queue id, or nothing where it is refused.
func (c *client) offer(sender string) (id string) {
	c.t.Helper()
	argument := "MAIL FROM:<" + sender + ">"
	if strings.ContainsFunc(sender, func(r rune) bool { return r > 0x7e }) {
		argument += " SMTPUTF8"
	}
	for _, step := range [][2]string{
		{argument, "250 "},
		{"RCPT TO:<kdosi@far.test>", "250 "},
		{"DATA", "354 "},
		{"From: <jan.novak@domena.cz>\r\nSubject: hostile\r\n\r\ntext\r\n.", "250 "},
	} {
		reply, err := c.ask(step[0])
		if err != nil {
			c.t.Fatalf("as %q: %v", sender, err)
		}
		if !strings.HasPrefix(reply, step[1]) {
			if strings.HasPrefix(reply, "421 ") || strings.HasPrefix(reply, "4") {
				c.t.Errorf("as %q: %s is answered %q", sender, step[0], reply)
			}
			c.expect(`^250 `, "RSET")
			return ""
		}
		if m := queuedPattern.FindStringSubmatch(reply); m != nil {
			id = m[1]
		}
	}
	return id
}

// domains reads under which domain each message was queued, in Postfix's log.
func (q queuedAs) domains(t *testing.T, w *real.World) map[string]string {
	t.Helper()
	got := map[string]string{}
	for deadline := time.Now().Add(time.Minute); len(got) < len(q); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("of %d queued messages the log has %d within a minute", len(q), len(got))
		}
		log, err := os.ReadFile(w.Instance.MailLog())
		if err != nil {
			t.Fatal(err)
		}
		from := map[string]string{}
		for _, m := range regexp.MustCompile(`(?m) (\S+): from=<(.*)>, size=`).FindAllSubmatch(log, -1) {
			from[string(m[1])] = string(m[2])
		}
		for sender, id := range q {
			if address, ok := from[id]; ok {
				got[sender] = mimic.ASCIILower(address[strings.LastIndexByte(address, '@')+1:])
			}
		}
	}
	return got
}

// TestRealSenders sends several hundred hostile senders through Postfix with a
// valid login: whatever Portreeve lets pass is queued under a domain of that
// account.
func TestRealSenders(t *testing.T) {
	t.Parallel()
	senders := sendable(400)
	for i, recipe := range []string{real.RecipeMilter, real.RecipePolicy} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := host.World(t, dialogue.Settings{Recipe: recipe})
			for login, password := range map[string]string{account: password, "mta@firma.cz": "mta-pass", "jiri@xn--haky-hua.cz": "jiri-pass"} {
				taken := sendAll(t, w, fmt.Sprintf("127.1.236.%d", i+1), 587, login, password, senders)
				for sender, domain := range taken.domains(t, w) {
					// What Postfix reads as nobody is the null sender, and follows sender.null_sender.
					if domain != "" && !slices.Contains(sendersOf[login], domain) {
						t.Errorf("%s has sent as %q, which is queued at %q", login, sender, domain)
					}
				}
				t.Logf("%s: %d of %d senders pass", login, len(taken), len(senders))
				if len(taken) == 0 || len(taken) > len(senders)/2 {
					t.Errorf("%s: %d of %d senders pass: the corpus tells nothing", login, len(taken), len(senders))
				}
			}
		})
	}
}

// TestRealQueued holds what TestSendersAreQueuedAsOwn believes of Postfix against
// Postfix: a trusted client may send as anybody. Comments, blanks and lists, which
// Postfix drops, are nothing that Portreeve lets pass as typed.
func TestRealQueued(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{})
	taken := sendAll(t, w, "127.0.0.1", 25, "", "", sendable(400))
	foreign := 0
	compared := 0
	for sender, domain := range taken.domains(t, w) {
		if strings.ContainsAny(sender, "()<>; \t\v\x01") {
			continue
		}
		compared++
		if want := mimic.Queued("<" + sender + ">"); domain != want {
			t.Errorf("%q is queued at %q, and was believed to be at %q", sender, domain, want)
		}
		if !slices.Contains(sendersOf[account], domain) {
			foreign++
		}
	}
	t.Logf("%d of %d are queued, %d compared, %d at a foreign domain", len(taken), len(sendable(400)), compared, foreign)
	if foreign < 50 {
		t.Errorf("only %d of %d senders would have been forged: the corpus tells nothing", foreign, len(taken))
	}
}

// sendable are the hostile senders that fit into a line of SMTP.
func sendable(mutations int) (list []string) {
	for _, s := range hostileSenders(mutations) {
		if !strings.ContainsAny(s, "\x00\r\n") && s != "" {
			list = append(list, s)
		}
	}
	return list
}
