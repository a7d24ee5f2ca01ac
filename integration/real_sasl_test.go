//go:build real

package integration

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

const relayThrottled = `^535 5\.7\.8 Error: authentication failed: \w{22} Connection refused from `

// Forty clients of one address guess at the same moment. Nobody's failure is
// lost or comes late: the address is blocked when the last one has its answer.
func TestSASLFortyAtOnce(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Recipe: real.RecipeSASL, Portreeve: map[string]any{"auth_failures.limit": 39}})
	const guesser = "127.1.243.1"
	clients := make([]*client, 40)
	for i := range clients {
		clients[i] = connect(t, w, guesser, 587)
	}
	for _, c := range clients {
		if err := c.text.PrintfLine("AUTH PLAIN %s", "AGphbi5ub3Zha0Bkb21lbmEuY3oAc3BhdG5l"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range clients {
		c.expect(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`, "")
	}
	connect(t, w, guesser, 587).auth(relayThrottled, account, password)
	connect(t, w, "127.1.243.2", 587).auth(`^235 `, account, password)
}

// What the relay tells of a wrong password, and of a block.
var (
	saslFailed    = regexp.MustCompile(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`)
	saslThrottled = regexp.MustCompile(`^535 5\.7\.8 Error: authentication failed: (\w{22}) Connection refused from 127\.1\.239\.1\. Too many authorization failures from this IP, try again later\.$`)
)

// burst is what came of attempts that were made at the same moment.
type burst struct {
	mu     sync.Mutex
	failed int
	blocks map[string]int // refusals, by the id of the block that they name
	others []string
	known  func()        // closes begun, once
	begun  chan struct{} // closed when the replies show that the block has begun
}

func newBurst() *burst {
	b := &burst{blocks: map[string]int{}, begun: make(chan struct{})}
	b.known = sync.OnceFunc(func() { close(b.begun) })
	return b
}

// note takes a reply. A failure is recorded before it is told, so eleven of them
// show a block as well as a refusal does.
func (b *burst) note(reply string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := saslThrottled.FindStringSubmatch(reply); m != nil {
		b.blocks[m[1]]++
		b.known()
	} else if !saslFailed.MatchString(reply) {
		b.others = append(b.others, reply)
	} else if b.failed++; b.failed == 11 {
		b.known()
	}
}

// guess tries a wrong password, and once the block has begun another one, and the
// right one.
func (b *burst) guess(c *client) error {
	reply, err := c.ask(authPlain(account, "wrong"))
	if err != nil {
		return err
	}
	b.note(reply)
	<-b.begun
	for _, given := range []string{"wrong again", password} {
		reply, err := c.ask(authPlain(account, given))
		if err != nil {
			return err
		}
		if b.note(reply); !saslThrottled.MatchString(reply) {
			return fmt.Errorf("in the block the password %q is answered %q", given, reply)
		}
	}
	return nil
}

// Forty guesses of one address at the same moment, with the usual limit of ten.
// None slips:
//   - every failure is counted, and no more than eleven are told of one: the others
//     are told of the block, like whatever begins after it, whether the password
//     is wrong or right;
//   - who got in before cannot send, and a POP login opens nothing.
func TestSASLBurst(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Recipe: real.RecipeSASL, Portreeve: map[string]any{"smtp_after_pop.enabled": true}})
	const guesser = "127.1.239.1"
	inside := connect(t, w, guesser, 587)
	inside.auth(`^235 `, account, password)
	waiting := underWay(t, w, guesser)
	var clients []*client // with the others no more than smtpd_client_connection_count_limit, 50
	for range 40 {
		clients = append(clients, connect(t, w, guesser, 587))
	}

	b := newBurst()
	errs := make(chan error, len(clients))
	for _, c := range clients {
		go func() { errs <- b.guess(c) }()
	}
	select {
	case <-b.begun:
	case err := <-errs: // nobody ends before the block has begun, but by an error
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("nobody is told of a block, or of eleven failures, within a minute")
	}
	for c, last := range waiting {
		b.note(c.expect(saslThrottled.String(), last))
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	b.check(t, w, guesser)
	inside.expect(`^550 5\.1\.0 \w{22} Connection refused from `, "MAIL FROM:<"+account+">")
	pop := connectPOP(t, w, guesser)
	pop.expect(`^\+OK`, "USER "+account)
	pop.expect(`^\+OK`, "PASS "+password)
	connect(t, w, guesser, 587).expect(`^550 5\.1\.0 \w{22} Connection refused from `, "MAIL FROM:<"+account+">")
	relaying := connect(t, w, guesser, 25)
	relaying.expect(`^250 `, "MAIL FROM:<"+account+">")
	relaying.expect(`^550 5\.1\.0 <kdosi@far\.test>: Recipient address rejected: \w{22} Connection refused from `, "RCPT TO:<kdosi@far.test>")
	connect(t, w, "127.1.239.2", 587).auth(`^235 `, account, password)
}

// underWay are sessions in the middle of AUTH, and the client's last word of each,
// with which its password is right.
func underWay(t *testing.T, w *real.World, from string) map[*client]string {
	t.Helper()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	all := map[*client]string{}
	for _, attempt := range [][]string{
		{"AUTH LOGIN", encode(account), encode(password)},
		{"AUTH LOGIN " + encode(account), encode(password)},
		{"AUTH PLAIN", encode("\x00" + account + "\x00" + password)},
	} {
		c := connect(t, w, from, 587)
		for _, line := range attempt[:len(attempt)-1] {
			c.expect(`^334 `, line)
		}
		all[c] = attempt[len(attempt)-1]
	}
	return all
}

// check compares what the clients were told with what is remembered.
func (b *burst) check(t *testing.T, w *real.World, from string) {
	t.Helper()
	if len(b.others) > 0 || len(b.blocks) != 1 {
		t.Errorf("other replies %q, blocks %v", b.others, b.blocks)
	}
	blocks := verb(t, w, 0, "blocks", "--json").Stdout
	for id := range b.blocks {
		if !strings.Contains(blocks, `"`+id+`"`) {
			t.Errorf("the clients were told of the block %s, which is none of %s", id, blocks)
		}
	}
	// The ledger keeps sixteen failures more than a block needs.
	failures := reported(t, w, "failure")
	if n := counted(t, w, from); n != min(failures, 11+16) || failures < 11 {
		t.Errorf("%d failures are counted of %d that Dovecot told", n, failures)
	}
	if b.failed > 11 {
		t.Errorf("%d are told that they failed, want eleven at most", b.failed)
	}
}

// Dovecot goes and comes back beneath a session, and so does Portreeve.
func TestSASLRestarts(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Recipe: real.RecipeSASL})
	c := connect(t, w, "127.1.244.1", 587)
	c.auth(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`, account, "wrong")
	if err := w.Instance.StopDovecot(); err != nil {
		t.Fatal(err)
	}
	c.auth(`^454 4\.7\.0 `, account, password)
	if err := w.Instance.StartDovecot(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.auth(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`, account, "wrong")
	if err := w.Restart(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	c.auth(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication failed$`, account, "wrong")
	if err := w.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	c.auth(`^235 `, account, password)
}

// What a client's owner sees, with the two programs that a help desk uses.
func TestSASLClients(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Recipe: real.RecipeSASL})
	server := w.Instance.Port(587)
	for _, program := range [][]string{
		{"swaks", "--server", server, "--local-interface", "127.1.245.1", "--ehlo", "pc.test", "--auth", "PLAIN", "--auth-user", account, "--auth-password", "{password}", "--from", account, "--to", "kdosi@far.test"},
		{"swaks", "--server", server, "--local-interface", "127.1.245.2", "--ehlo", "pc.test", "--auth", "LOGIN", "--auth-user", account, "--auth-password", "{password}", "--from", account, "--to", "kdosi@far.test"},
		{"curl", "--verbose", "--no-progress-meter", "smtp://" + server + "/pc.test", "--interface", "127.1.245.3", "--login-options", "AUTH=PLAIN", "--user", account + ":{password}", "--mail-from", account, "--mail-rcpt", "kdosi@far.test", "--upload-file", "-"},
		{"curl", "--verbose", "--no-progress-meter", "smtp://" + server + "/pc.test", "--interface", "127.1.245.4", "--login-options", "AUTH=LOGIN", "--user", account + ":{password}", "--mail-from", account, "--mail-rcpt", "kdosi@far.test", "--upload-file", "-"},
	} {
		for given, want := range map[string]string{
			"wrong":  `(?m)535 5\.7\.8 Error: authentication failed: \w{22} authentication failed\r?$`,
			password: `(?m)250 2\.0\.0 Ok: queued as `,
		} {
			args := make([]string, len(program))
			for i, arg := range program {
				args[i] = strings.ReplaceAll(arg, "{password}", given)
			}
			cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
			cmd.Stdin = strings.NewReader("From: <" + account + ">\r\nSubject: test\r\n\r\ntext\r\n")
			out, err := cmd.CombinedOutput()
			if _, ended := err.(*exec.ExitError); err != nil && !ended {
				t.Fatalf("%s cannot be run: %v; install the packages of packages.txt", args[0], err)
			}
			if !regexp.MustCompile(want).Match(out) || (err == nil) != (given == password) {
				t.Errorf("%s with the password %q: %v\n%s", args[0], given, err, out)
			}
		}
	}
}
