//go:build real

package pages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// home is where a reader's commands are run.
const home = "/root"

// commandTime bounds one command; none waits for anything but programs.
const commandTime = 2 * time.Minute

// TestStory plays the story that -story names on this host, which is its own: it
// writes to /etc and starts Debian's Postfix and Dovecot. pristine.sh calls it.
func TestStory(t *testing.T) {
	if *inner == "" {
		return // TestPages is the call that makes the hosts
	}
	n := slices.IndexFunc(Stories, func(s Story) bool { return s.Pages[0] == *inner })
	if n < 0 {
		t.Fatalf("%s begins no story", *inner)
	}
	h := newHost(t, Stories[n].Host)
	for _, page := range Stories[n].Pages {
		h.ran = 0
		h.page(page, "")
		if h.ran == 0 {
			t.Errorf("%s has no command that is run here", page)
		}
	}
}

// block does what a reader does with a block, or what the test does in between.
func (h *host) block(b Block) {
	h.Helper()
	switch {
	case b.Lang == Step:
		words := strings.Fields(b.Text)
		do, found := steps[words[0]]
		if !found {
			h.Fatalf("%s: there is no step %q", b, words[0])
		}
		h.Logf("%s: %s", b, b.Text)
		do(h, words[1:])
	case b.File != "":
		h.write(b.File, b.Text)
	default:
		for _, c := range b.Commands() {
			h.command(b, c)
		}
	}
}

// command runs one, unless it is run elsewhere, and compares what the page shows.
func (h *host) command(b Block, c Command) {
	h.Helper()
	lines := Lines(Block{Lang: Shell, Text: c.Text})
	elsewhere := func(line string) bool { _, found := Elsewhere[line]; return found }
	if slices.ContainsFunc(lines, elsewhere) {
		if !slices.ContainsFunc(lines, func(l string) bool { return !elsewhere(l) }) {
			return
		}
		if b.Lang == Shell {
			h.Fatalf("%s: some of its commands are run elsewhere: give them a block of their own", b)
		}
	}
	out, err := h.try(c.Text)
	h.ran++
	h.Logf("%s:%d: $ %s\n%s", b.Page, c.Line, c.Text, out)
	want := 0
	if _, comment, found := strings.Cut(c.Text, "# exit status "); found {
		fmt.Sscan(comment, &want) //nolint:errcheck // what is no number stays 0, and fails
	}
	var ended *exec.ExitError
	got := 0
	if err != nil {
		if ended, _ = err.(*exec.ExitError); ended == nil {
			h.Fatalf("%s:%d: %v", b.Page, c.Line, err)
		}
		got = ended.ExitCode()
	}
	if got != want {
		h.Errorf("%s:%d: %q ended with status %d, not %d:\n%s", b.Page, c.Line, c.Text, got, want, out)
	}
	if b.Lang == Console && c.Output != "" && !Shows(c.Output, out) {
		h.Errorf("%s:%d: %q says\n%s\nand the page shows\n%s", b.Page, c.Line, c.Text, out, c.Output)
	}
}

// try runs commands as root's shell does.
func (h *host) try(text string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), commandTime)
	defer stop()
	// To a file: a daemon that a command starts may keep its output open.
	out, err := os.CreateTemp("", "out")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name()) //nolint:errcheck // the host goes away
	defer out.Close()           //nolint:errcheck // read below by its name
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Stdout, cmd.Stderr = h.dir, out, out
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME="+home)
	ran := cmd.Run()
	if ctx.Err() != nil {
		ran = fmt.Errorf("%q took more than %v", text, commandTime)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		return "", err
	}
	return string(said), ran
}

// run is try for what must succeed.
func (h *host) run(text string) string {
	h.Helper()
	out, err := h.try(text)
	if err != nil {
		h.logs()
		h.Fatalf("%s: %v\n%s", text, err, out)
	}
	return out
}

func (h *host) write(path, text string) {
	h.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.Fatal(err)
	}
}

// logs shows the ends of this host's logs.
func (h *host) logs() {
	for _, log := range []string{"/var/log/mail.log", "/var/log/dovecot.log", serviceLog} {
		text, err := os.ReadFile(log)
		h.Logf("--- %s (%v)\n%s", log, err, text[max(0, len(text)-6000):])
	}
}
