package real

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"portreeve/integration/dialogue"
)

// World is one story's mail host. It implements dialogue.World.
type World struct {
	Instance      *Instance
	Daemon        *Daemon
	mail, dovecot int64 // where the shared logs stood when the story began
}

// Dial implements dialogue.World. Linux lets any address of 127.0.0.0/8 be
// bound, so that every story has clients of its own.
func (w *World) Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error) {
	for _, p := range ports {
		if p.port == port {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
			return d.DialContext(ctx, "tcp", w.Instance.Port(port))
		}
	}
	return nil, fmt.Errorf("the host has no port %d; use 25, 587, 465, 110, 995, 143 or 993", port)
}

// Verb implements dialogue.World.
func (w *World) Verb(ctx context.Context, args ...string) (dialogue.Output, error) {
	return w.Daemon.Verb(ctx, args...)
}

// Wait implements dialogue.World.
func (w *World) Wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Accounts implements dialogue.World. The file is replaced as a whole, so that
// the daemon never reads half of it.
func (w *World) Accounts(_ context.Context, content string) error {
	path := filepath.Join(filepath.Dir(w.Daemon.Config), "accounts.toml")
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Restart implements dialogue.World.
func (w *World) Restart(ctx context.Context, kill bool) error {
	end := w.Daemon.Stop
	if kill {
		end = w.Daemon.Kill
	}
	if err := end(); err != nil {
		return err
	}
	return w.Daemon.Start(ctx)
}

// Log implements dialogue.World.
func (w *World) Log() string { return log(w.Daemon.Log, 0) }

// logs is what a failed test shows.
func (w *World) logs() string {
	return tails(log(w.Instance.MailLog(), w.mail), log(w.Instance.DovecotLog(), w.dovecot), w.Log())
}

// tails shows the last lines of the three logs.
func tails(mail, dovecot, portreeve string) string {
	var b strings.Builder
	for _, l := range []struct{ name, text string }{{"Postfix", mail}, {"Dovecot", dovecot}, {"Portreeve", portreeve}} {
		lines := strings.Split(strings.TrimRight(l.text, "\n"), "\n")
		fmt.Fprintf(&b, "--- %s's log, its last lines\n%s\n", l.name, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
	return b.String()
}
