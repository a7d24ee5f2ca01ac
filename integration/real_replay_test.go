//go:build real

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
	"portreeve/internal/replay"
)

// send sends one message on an open session; Postfix must take it.
func (c *client) send(sender, recipient string) {
	c.t.Helper()
	c.expect(`^250 `, "MAIL FROM:<"+sender+">")
	c.expect(`^250 `, "RCPT TO:<"+recipient+">")
	c.expect(`^354 `, "DATA")
	c.expect(`^250 .* queued as `, "From: <"+sender+">\r\nSubject: replay\r\n\r\nhello\r\n.")
}

// A log that was written while Portreeve only observed tells replay what the
// daemon has recorded: the same clients by the same rules, as often.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Portreeve: map[string]any{
		"mode": "observe", "auth_failures.limit": int64(3), "smtp_after_pop.enabled": true,
	}})
	logs := []string{w.Instance.MailLog(), w.Instance.DovecotLog()}
	begin := make([]int64, len(logs))
	for i, name := range logs {
		if info, err := os.Stat(name); err == nil {
			begin[i] = info.Size()
		}
	}
	judged := playSessions(t, w)

	// What the log had before belongs to other tests on the same mail host.
	dir := t.TempDir()
	args := []string{"replay", "--json"}
	for i, name := range logs {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(copied, data[begin[i]:], 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, copied)
	}
	var report replay.Report
	if err := json.Unmarshal([]byte(verb(t, w, 0, args...).Stdout), &report); err != nil {
		t.Fatal(err)
	}
	replayed := map[string]int{}
	for _, rule := range report.Rules {
		for _, a := range rule.Messages.Addresses.List {
			replayed[a.Name+" "+string(rule.Rule)] += a.Count
		}
	}
	recorded := observed(w)
	if !maps.Equal(replayed, recorded) {
		t.Errorf("replay refuses %v, the daemon would have refused %v", replayed, recorded)
	}
	want := map[string]int{
		"127.1.238.2 sender": 3, "127.1.238.3 access_disabled": 1, "127.1.238.4 auth_rejected": 1,
		"127.1.238.5 throttled": 2, "127.1.238.7 sender": 1,
	}
	if !maps.Equal(replayed, want) {
		t.Errorf("replay refuses %v, want %v", replayed, want)
	}
	known := journaled(t, w)
	delete(known, "127.1.238.9 auth_failed") // Postfix refused it by itself, so there is no message
	if !slices.Equal(slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(replayed))) {
		t.Errorf("the journal has %v, replay %v", known, replayed)
	}
	if m := report.Messages; m.Judged != judged || m.Unjoined != 0 || report.Blocks != 1 || report.Logins.Failed != 5 || report.Logins.POP != 2 {
		t.Errorf("%d messages were sent; replay says %+v, %+v, %d blocks", judged, m, report.Logins, report.Blocks)
	}
	text := verb(t, w, 0, append([]string{"replay"}, args[2:]...)...).Stdout
	if !strings.Contains(text, "WOULD BE REFUSED BY") {
		t.Errorf("the report reads\n%s", text)
	}
	if t.Failed() {
		data, err := os.ReadFile(args[2])
		t.Logf("%v\n%s", err, data)
	}
}

// playSessions plays a handful of sessions and returns how many messages Postfix
// took.
func playSessions(t *testing.T, w *real.World) (taken int) {
	t.Helper()
	const far = "kdosi@far.test"
	session := func(n, port int, user string) *client {
		c := connect(t, w, fmt.Sprintf("127.1.238.%d", n), port)
		if user != "" {
			name, _, _ := strings.Cut(user, "@")
			c.auth(`^235 `, user, name+"-pass")
		}
		return c
	}
	send := func(c *client, sender, recipient string) {
		c.send(sender, recipient)
		taken++
	}
	// Its own domain and an alias; senders of somebody else's, on both kinds of port.
	own := session(1, 587, account)
	send(own, account, far)
	send(own, "jan.novak@domena.eu", far)
	send(session(2, 587, account), "jan.novak@seznam.cz", far)
	send(session(2, 587, account), "jan.novak@seznam.cz", far)
	send(session(2, 25, "karel@b.cz"), "karel@domena.cz", far)
	// A disabled account, and one that only Dovecot knows.
	send(session(3, 587, "eva@domena.cz"), "eva@domena.cz", far)
	send(session(4, 587, "ghost@domena.cz"), "ghost@domena.cz", far)
	// Too many failures, and what is sent then.
	guesser := session(5, 587, "")
	for range 5 {
		guesser.auth(`^535 `, account, "wrong")
	}
	customer := session(5, 587, account)
	send(customer, account, far)
	send(customer, account, far)
	// SMTP after POP: on 25 abroad, and with somebody else's sender on 587.
	for _, n := range []int{6, 7} {
		pop := connectPOP(t, w, fmt.Sprintf("127.1.238.%d", n))
		pop.expect(`^\+OK`, "USER "+account)
		pop.expect(`^\+OK`, "PASS jan.novak-pass")
		pop.expect(`^\+OK`, "QUIT")
	}
	send(session(6, 25, ""), account, far)
	send(session(7, 587, ""), "jan.novak@seznam.cz", far)
	// Inbound; and what Postfix refuses by itself is no message.
	send(session(8, 25, ""), "nekdo@seznam.cz", account)
	refused := session(9, 25, "")
	refused.expect(`^250 `, "MAIL FROM:<nekdo@seznam.cz>")
	refused.expect(`^554 `, "RCPT TO:<"+far+">")
	return taken
}

// mailDecision is the daemon's log line of what it would have refused at MAIL,
// where it is asked once a message. The journal counts RCPT, the headers and AUTH, too.
var mailDecision = regexp.MustCompile(`msg="would refuse" id=\S+ rule=(\S+) reason=\S+ protocol=milter stage=mail client=(\S+) `)

// observed counts what the daemon would have refused of messages, by client and
// rule.
func observed(w *real.World) map[string]int {
	counts := map[string]int{}
	for _, m := range mailDecision.FindAllStringSubmatch(w.Log(), -1) {
		counts[m[2]+" "+m[1]]++
	}
	return counts
}

// journaled are the clients and rules of the journal's entries about messages.
func journaled(t *testing.T, w *real.World) map[string]bool {
	t.Helper()
	var entries []struct {
		Rule, Client, Sender, Reply string
		Observed                    bool
	}
	if err := json.Unmarshal([]byte(verb(t, w, 0, "decisions", "--json", "--limit", "1000").Stdout), &entries); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, e := range entries {
		if !e.Observed {
			t.Errorf("%s was refused in observe mode: %s", e.Client, e.Reply)
		}
		if e.Sender != "" { // at AUTH there is none yet
			found[e.Client+" "+e.Rule] = true
		}
	}
	return found
}
