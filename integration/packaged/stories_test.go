//go:build packaged

package packaged

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
)

// played are the stories that the packaged daemon plays, under its user and its unit,
// behind what setup has made of Debian's Postfix and Dovecot: one or two for each rule.
// All of them are played, with the same program, by ../real_test.go; what differs here
// is the layout. Left out are those of other recipes than the one that this host is
// connected by, those that wait for a window to pass, and most of those that fail to
// log in a dozen times, at a second each.
var played = []string{
	"forward-account",   // rules 5, 7
	"forwarded-mail",    // rule 7
	"header-from",       // rule 6
	"inbound",           // rule 3, port 25
	"no-auth",           // rule 3
	"observe",           // rule 10
	"null-sender",       // rules 5, 6
	"ports",             // what customers were told of 25, 587, 465, 110, 995, 143, 993
	"quota",             // rule 9, over a restart
	"reload",            // accounts.toml and portreeve.toml
	"restart",           // blocks and grants survive it, and kill -9
	"sender-domain",     // rule 5
	"sender-forms",      // rule 5, what Postfix rewrites
	"smtp-after-pop",    // rule 8
	"too-many-failures", // rule 2
	"unknown-login",     // rule 4
	"webmail-sender",    // rule 5
	"wrong-password",    // the reply at AUTH
}

func stories(h host) {
	t := h.TB.(*testing.T) //nolint:forcetypeassert // of t.Run
	kept := h.read(etc + "/portreeve.toml")
	defer fresh(h, kept)
	for _, name := range played {
		path := filepath.Join("../dialogues", name+".dlg")
		story, err := dialogue.Parse(path, []byte(h.read(path)))
		h.must(err)
		t.Run(name, func(t *testing.T) { dialogue.Play(t, packagedHost{}, story) })
	}
}

// fresh starts the daemon anew, with a configuration and without a memory.
func fresh(h host, config string) {
	h.Helper()
	h.systemctl(append([]string{"stop"}, units...)...)
	files, err := filepath.Glob(state + "/*")
	h.must(err)
	for _, f := range files {
		h.must(os.Remove(f))
	}
	h.write(etc+"/portreeve.toml", config)
	h.write(etc+"/accounts.toml", h.read("../testdata/accounts.toml"))
	open(h)
}

// open starts the units, which are stopped. systemd at times finds the port of a socket
// in use that it closed a moment before (its issue 26512); the daemon then listens there
// itself, and systemctl fails. So that is tried once more.
func open(h host) {
	h.Helper()
	start := append([]string{"start"}, units...)
	began := time.Now()
	err := systemctl(start...)
	if err == nil {
		return
	}
	what, _ := try("journalctl", "--no-pager", "--output=cat", "_PID=1", fmt.Sprintf("--since=@%d", began.Unix()))
	if h.property("portreeve.service", "ActiveState") != "active" {
		h.Fatalf("%v\n%s", err, what)
	}
	h.Logf("trying again: %v\n%s", err, what)
	h.systemctl(append([]string{"stop"}, units...)...)
	h.systemctl(start...)
}

// packagedHost implements dialogue.Host.
type packagedHost struct{}

// Start implements dialogue.Host.
func (packagedHost) Start(t testing.TB, s dialogue.Settings) dialogue.World {
	t.Helper()
	h := host{t}
	if s.Recipe != "" && s.Recipe != "milter" {
		t.Fatalf("the host is connected by the recipe milter, not %s: take the story off the list", s.Recipe)
	}
	config, err := dialogue.Config([]byte(h.read("../testdata/portreeve.toml")),
		map[string]any{"listen.auth": "inet:127.0.0.1:9192", "store.path": state + "/portreeve.db"}, s.Portreeve)
	h.must(err)
	began := time.Now()
	fresh(h, string(config))
	return &world{began: began}
}

// world implements dialogue.World.
type world struct{ began time.Time }

// Dial implements dialogue.World.
func (w *world) Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error) {
	if !slices.Contains([]int{25, 587, 465, 110, 995, 143, 993}, port) {
		return nil, fmt.Errorf("the host has no port %d", port)
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	return d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// Verb implements dialogue.World.
func (w *world) Verb(ctx context.Context, args ...string) (dialogue.Output, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := dialogue.Output{Stdout: stdout.String(), Stderr: stderr.String()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		out.Exit = exit.ExitCode()
		return out, nil
	}
	return out, err
}

// Wait implements dialogue.World.
func (w *world) Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Accounts implements dialogue.World.
func (w *world) Accounts(_ context.Context, content string) error {
	return os.WriteFile(etc+"/accounts.toml", []byte(content), 0o640)
}

// Restart implements dialogue.World. After kill -9, systemd itself starts it again.
func (w *world) Restart(ctx context.Context, kill bool) error {
	if !kill {
		return systemctl("restart", "portreeve.service")
	}
	before, err := status()
	if err != nil {
		return err
	}
	if err := systemctl("kill", "--signal=KILL", "portreeve.service"); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s, err := status(); err == nil && s.Since.After(before.Since) {
			return nil
		}
	}
	return errors.New("systemd has not started the killed daemon again within 20 s")
}

// Log implements dialogue.World.
func (w *world) Log() string { return strings.TrimSpace(journal(w.began)) }
