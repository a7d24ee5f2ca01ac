//go:build real

package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
)

// Postfix's log is rotated as logrotate does it: renamed, still written to, and
// made anew when Postfix is told. Eleven failures are eleven, on both sides of it.
func TestMailLogRotation(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Portreeve: map[string]any{
		"listen.auth": "", "maillog.files": []any{"mail.log"},
	}})
	const guesser = "127.1.246.1"
	guess := func(n int) {
		t.Helper()
		c := connect(t, w, guesser, 587)
		for range n {
			c.auth(`^535 `, account, "wrong")
		}
		// An smtpd from before a reload that is busy can keep the next client waiting
		// for its greeting (seen with 3.10.13): let it end.
		c.expect(`^221 `, "QUIT")
	}
	log := w.Instance.MailLog()
	guess(4)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	guess(3)
	out, err := exec.CommandContext(t.Context(), "postfix", "-c", w.Instance.PostfixConfig(), "reload").CombinedOutput()
	if err != nil {
		t.Fatalf("postfix reload: %v: %s", err, out)
	}
	guess(4)
	if data, err := os.ReadFile(log + ".1"); err != nil || strings.Count(string(data), guesser+"]: SASL PLAIN") < 7 {
		t.Errorf("the rotated log has not the first seven failures (%v)", err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		blocks := verb(t, w, 0, "blocks").Stdout
		if strings.Contains(blocks, guesser) {
			if !strings.Contains(blocks, " 11 ") {
				t.Errorf("not eleven failures: %s", blocks)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not blocked after eleven failures: %q", blocks)
		}
	}
	connect(t, w, guesser, 587).expect(`^550 5\.1\.0 \w{22} Connection refused from `, "MAIL FROM:<"+account+">")
}
