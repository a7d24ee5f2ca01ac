//go:build real

package integration

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

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
