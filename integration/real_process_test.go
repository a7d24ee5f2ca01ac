//go:build real

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

const (
	account  = "jan.novak@domena.cz"
	password = "jan.novak-pass"
)

// What a client was told, and every counted failure, is on disk before the
// answer leaves (SPEC.md section 8).
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{})
	const guesser = "127.1.240.1"
	for range 3 {
		connect(t, w, guesser, 587).auth(`^535 `, account, "wrong")
	}
	reply := connect(t, w, guesser, 587).expect(`^550 5\.1\.0 \w{22} authentication failed$`, "MAIL FROM:<a@domena.cz>")
	if err := w.Daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Daemon.Start(t.Context()); err != nil {
		t.Fatalf("after kill -9: %v", err)
	}
	var f []struct{ ID, Rule, Client string }
	out := verb(t, w, 0, "explain", "--json", idIn(t, reply))
	if err := json.Unmarshal([]byte(out.Stdout), &f); err != nil {
		t.Fatalf("explain --json printed %q: %v", out.Stdout, err)
	}
	if len(f) != 1 || f[0].ID != idIn(t, reply) || f[0].Rule != "auth_failed" || f[0].Client != guesser {
		t.Errorf("explain shows %+v for %q", f, reply)
	}
	// Eight more are eleven: the first three still count.
	for range 8 {
		connect(t, w, guesser, 587).auth(`^535 `, account, "wrong")
	}
	connect(t, w, guesser, 587).expect(`^550 5\.1\.0 \w{22} Connection refused from 127\.1\.240\.1\. Too many`, "MAIL FROM:<a@domena.cz>")
}

// An open SMTP session keeps a milter connection open, and says nothing on it.
func TestDrainEndsIdleSessions(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{})
	for range 20 {
		connect(t, w, "127.1.241.1", 587)
	}
	begin := time.Now()
	if err := w.Daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("SIGTERM took %s to drain; SPEC.md section 10 allows 30 s", took)
	}
}

// While Portreeve is away, inbound mail goes on, and nothing that needs it is
// refused for good, or let through.
func TestAway(t *testing.T) {
	t.Parallel()
	for _, recipe := range []string{real.RecipeMilter, real.RecipePolicy} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := host.World(t, dialogue.Settings{Recipe: recipe})
			if err := w.Daemon.Stop(); err != nil {
				t.Fatal(err)
			}
			inbound := connect(t, w, "127.1.242.1", 25)
			inbound.expect(`^250 `, "MAIL FROM:<somebody@example.com>")
			inbound.expect(`^250 `, "RCPT TO:<petr@domena.cz>")
			inbound.expect(`^451 4\.3\.5 `, "RCPT TO:<somebody@example.net>")

			submission := connect(t, w, "127.1.242.2", 587)
			switch recipe {
			case real.RecipeMilter:
				// A milter that cannot be reached at all answers for every command.
				submission.auth(`^454 4\.3\.0 `, account, password)
				submission.expect(`^451 4\.7\.1 `, "MAIL FROM:<"+account+">")
			case real.RecipePolicy:
				submission.auth(`^235 `, account, password)
				submission.expect(`^250 `, "MAIL FROM:<"+account+">")
				submission.expect(`^451 4\.3\.5 `, "RCPT TO:<somebody@example.net>")
			}

			if err := w.Daemon.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := connect(t, w, "127.1.242.2", 587)
			again.auth(`^235 `, account, password)
			again.expect(`^250 `, "MAIL FROM:<"+account+">")
			again.expect(`^250 `, "RCPT TO:<somebody@example.net>")
		})
	}
}

// The fragments of contrib/postfix bring no warning of postconf's, and
// set no milter for every service.
func TestPostfixHasNoComplaints(t *testing.T) {
	t.Parallel()
	for _, recipe := range []string{real.RecipeMilter, real.RecipePolicy} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := host.World(t, dialogue.Settings{Recipe: recipe})
			for _, flag := range []string{"-n", "-P", "-M"} {
				var stderr strings.Builder
				cmd := exec.CommandContext(t.Context(), "postconf", "-c", w.Instance.PostfixConfig(), flag)
				cmd.Stderr = &stderr
				if err := cmd.Run(); err != nil || stderr.Len() > 0 {
					t.Errorf("postconf %s: %v: %s", flag, err, stderr.String())
				}
			}
			main, err := os.ReadFile(filepath.Join(w.Instance.PostfixConfig(), "main.cf"))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(main)) {
				if strings.HasPrefix(line, "smtpd_milters") || strings.HasPrefix(line, "non_smtpd_milters") {
					t.Errorf("main.cf sets milters for every service: %s", line)
				}
			}
		})
	}
}

// Anybody may run doveconf; only root may see Portreeve's token.
func TestTokenIsPrivate(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{})
	conf := filepath.Join(w.Instance.Dir, "dovecot", "dovecot.conf")
	ask := func(uid uint32) string {
		cmd := exec.CommandContext(t.Context(), "doveconf", "-c", conf, "-n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		if err != nil && uid == 0 {
			t.Fatal(err)
		}
		return string(out) // nobody's doveconf may fail over the key's file as well
	}
	if out := ask(0); !strings.Contains(out, w.Instance.Token) {
		t.Errorf("root is not shown the token, so that it cannot be in use: %q", out)
	}
	if out := ask(65534); strings.Contains(out, w.Instance.Token) {
		t.Errorf("nobody is shown the token: %q", out)
	}
}
