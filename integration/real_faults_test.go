//go:build real

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

// The file system of the store is full, for the real programs: mail that may pass
// passes, a refusal has its id and its whole entry in the log, the alarm is raised,
// and when there is space again the id is explained, also after kill -9.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "32m")
	w := host.World(t, dialogue.Settings{Portreeve: map[string]any{"store.path": filepath.Join(disk, "portreeve.db")}})
	fill(t, filepath.Join(disk, "filler"))

	c := connect(t, w, "127.1.217.1", 587)
	reply := c.expect(`^550 5\.1\.0 \w{22} authentication failed$`, "MAIL FROM:<"+account+">")
	id := idIn(t, reply)
	if !strings.Contains(w.Log(), `msg="refusal not stored, its entry follows" id=`+id+` entry="{`) {
		t.Error("the log has no entry of the refusal")
	}
	c.auth(`^235 `, account, password)
	submit(c, account, "somebody@example.net")
	submit(connect(t, w, "127.1.217.2", 25), "somebody@example.com", "petr@domena.cz")
	eventually(t, "the alarm in status", func() bool {
		return strings.Contains(verb(t, w, 0, "status").Stdout, "DOWN: the store has not been writable since ")
	})
	verb(t, w, 0, "explain", id) // from memory

	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the alarm", func() bool { return strings.Contains(w.Log(), "refusals that had not been stored are") })
	if err := w.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if out := verb(t, w, 0, "explain", id).Stdout; !strings.Contains(out, "127.1.217.1") {
		t.Errorf("explain says %s", out)
	}
}

// A session that was logged in when Portreeve went away is deferred on submission;
// inbound mail goes on to its end, in a session that was open as well as in a new one.
func TestAwayInMidSession(t *testing.T) {
	t.Parallel()
	for _, recipe := range []string{real.RecipeMilter, real.RecipePolicy} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := host.World(t, dialogue.Settings{Recipe: recipe})
			submission, begun, inbound := connect(t, w, "127.1.218.1", 587), connect(t, w, "127.1.218.2", 587), connect(t, w, "127.1.218.3", 25)
			for _, c := range []*client{submission, begun} {
				c.auth(`^235 `, account, password)
			}
			begun.expect(`^250 `, "MAIL FROM:<"+account+">")
			submit(inbound, "somebody@example.com", "petr@domena.cz")
			if err := w.Daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			submit(inbound, "somebody@example.com", "petr@domena.cz")
			submit(connect(t, w, "127.1.218.4", 25), "somebody@example.com", "petr@domena.cz")

			deferred(submission, "MAIL FROM:<"+account+">", "RCPT TO:<somebody@example.net>")
			deferred(begun, "RCPT TO:<somebody@example.net>")
			if err := w.Daemon.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := connect(t, w, "127.1.218.1", 587)
			again.auth(`^235 `, account, password)
			submit(again, account, "somebody@example.net")
		})
	}
}

// submit sends a whole message, which is queued.
func submit(c *client, sender, recipient string) {
	c.t.Helper()
	c.expect(`^250 `, "MAIL FROM:<"+sender+">")
	c.expect(`^250 `, "RCPT TO:<"+recipient+">")
	c.expect(`^354 `, "DATA")
	c.expect(`^250 2\.0\.0 Ok: queued as `, "From: <"+sender+">\r\nSubject: faults\r\n\r\nHello\r\n.")
}

// deferred sends lines of which one is answered for now, and none for good.
func deferred(c *client, lines ...string) {
	c.t.Helper()
	got := ""
	for _, line := range lines {
		got = c.expect(`^[24]`, line)
		if got[0] == '4' {
			return
		}
	}
	c.t.Errorf("%q ended with %q, and was not deferred", lines, got)
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// smallDisk mounts a file system of the size for the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mounting a small file system: %v; run this as root with CAP_SYS_ADMIN (integration/run.sh)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes until the file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it is not whole, and need not be
	for _, block := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, block))
		}
		if !strings.Contains(err.Error(), "no space left") {
			t.Fatal(err)
		}
	}
}
