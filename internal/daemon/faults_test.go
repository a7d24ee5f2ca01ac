package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/store"
)

// inside starts a daemon whose parts the test can reach.
func (h *host) inside() (d *Daemon) {
	h.t.Helper()
	h.launch(func(ctx context.Context, ready func()) error {
		opened, c, err := open(ctx, h.options())
		if err != nil {
			return err
		}
		sockets, _, err := openListeners(c, nil)
		if err != nil {
			return errors.Join(err, opened.db.Close())
		}
		d = opened
		return errors.Join(d.serve(ctx, c, sockets, ready), d.db.Close())
	})
	return d
}

// The disk does not answer a sync: injected as a write that takes that long in the
// one writer, since no file system here can be made slow. Passes do not wait,
// refusals wait a second, status, metric and log say it; and when the disk answers, what
// was told is in the journal.
func TestSlowSync(t *testing.T) {
	h := prepare(t, plain)
	d := h.inside()
	held, release := make(chan struct{}), make(chan struct{})
	defer func() {
		select {
		case <-release:
		default:
			close(release)
		}
	}()
	if !d.db.Later(func(store.Tx) error { close(held); <-release; return nil }) {
		t.Fatal("the queue is full")
	}
	<-held
	began := time.Now()
	if got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}); got != "DUNNO" {
		t.Errorf("a pass: %q", got)
	}
	if took := time.Since(began); took >= time.Second {
		t.Errorf("a pass waited %s for the disk", took)
	}
	id := theID(t, h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
	if took := time.Since(began); took < time.Second || took > 2*time.Second+patience/2 {
		t.Errorf("a refusal came after %s, not about a second", took)
	}
	h.eventually("the alarm in status", func() bool { return !h.status().Store.Up })
	if _, page := h.get("/metrics"); !strings.Contains(page, "portreeve_store_up 0\n") {
		t.Error("/metrics says that the store is up")
	}
	h.eventually("the alarm in the log", func() bool {
		return strings.Contains(h.log.String(), "store cannot be written") && strings.Contains(h.log.String(), `entry follows" id=`+id)
	})
	close(release)
	h.eventually("the end of the alarm", func() bool {
		return h.status().Store.Up && strings.Contains(h.log.String(), "store can be written again")
	})
	h.eventually("the entry in the journal", func() bool {
		list := must[[]string](t)(journaled(h))
		return slices.Contains(list, id)
	})
}

// journaled are the ids of the journal, newest first.
func journaled(h *host) (list []string, err error) {
	entries, err := h.admin.Decisions(h.t.Context(), admin.DecisionsRequest{})
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return list, err
}

// A store that is damaged is set aside whole, whatever has happened to it, and
// status, a metric and the log say so until somebody has removed the file.
func TestDamagedStoreIsAnAlarm(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"zero bytes": func(p string) error { return os.Truncate(p, 0) },
		"truncated":  func(p string) error { return os.Truncate(p, 3*4096+100) },
		"corrupt": func(p string) error {
			body, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			copy(body[4096:], strings.Repeat("damage ", 2000))
			return os.WriteFile(p, body, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, plain)
			theID(t, h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
			h.stop()
			if err := damage(h.path("portreeve.db")); err != nil {
				t.Fatal(err)
			}
			before := must[[]byte](t)(os.ReadFile(h.path("portreeve.db")))
			for _, said := range []string{"store was damaged, moved aside", "damaged stores of before lie beside the store"} {
				h.log.buf.Reset()
				h.run()
				s := h.status().Store
				if len(s.SetAside) != 1 || !s.Up {
					t.Fatalf("status: %+v", s)
				}
				if body := must[[]byte](t)(os.ReadFile(s.SetAside[0])); string(body) != string(before) {
					t.Error("the damaged file is not as it was")
				}
				if _, page := h.get("/metrics"); !strings.Contains(page, "portreeve_store_set_aside 1\n") {
					t.Error("the metric does not tell")
				}
				if !strings.Contains(h.log.String(), said) {
					t.Errorf("the log does not say %q:\n%s", said, h.log.String())
				}
				theID(t, h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
				h.stop()
			}
			h.run()
			if err := os.Remove(h.status().Store.SetAside[0]); err != nil {
				t.Fatal(err)
			}
			if _, page := h.get("/metrics"); !strings.Contains(page, "portreeve_store_set_aside 0\n") || h.status().Store.SetAside != nil {
				t.Error("the alarm outlives the file")
			}
		})
	}
}

// A store of a newer version is left alone, and the daemon does not start.
func TestNewerStore(t *testing.T) {
	h := prepare(t, plain)
	db, err := store.Open(h.path("portreeve.db"), append(slices.Clone(store.Schema), "create table later(x)"), noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := must[[]byte](t)(os.ReadFile(h.path("portreeve.db")))
	if err := h.fails(); !strings.Contains(err.Error(), "it was written by a newer portreeve") {
		t.Errorf("got %v", err)
	}
	if after := must[[]byte](t)(os.ReadFile(h.path("portreeve.db"))); string(after) != string(before) {
		t.Error("the file has changed")
	}
	h.absent("policy.sock", "admin.sock")
}

// A stale socket, as kill -9 leaves them, is replaced; a directory that is missing is made.
func TestSocketsAfterAKill(t *testing.T) {
	h := prepare(t, strings.ReplaceAll(plain, `"unix:`, `"unix:missing/`))
	h.admin = admin.NewClient("unix", h.path("missing/admin.sock"))
	for range 2 {
		p, err := h.spawn("serve")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.end(t, os.Kill); err == nil {
			t.Error("killed, and ended well")
		}
	}
	h.run()
	if s := h.status(); s.Listeners["policy"] != "unix:"+h.path("missing/policy.sock") {
		t.Errorf("listeners %v", s.Listeners)
	}
}

// Whoever starts the daemon as the wrong user, or gives files the wrong rights, is
// told which and what to do; nothing is half open.
func TestWrongRights(t *testing.T) {
	for name, tt := range map[string]struct {
		path string
		mode os.FileMode
		want string
	}{
		"sockets":       {"sockets", 0o555, "permission denied: correct the path or the rights"},
		"store":         {"store", 0o555, "opening the store's lock file: "},
		"configuration": {"portreeve.toml", 0, "portreeve.toml"},
		"accounts":      {"accounts.toml", 0, "accounts.toml"},
		"token":         {"token", 0, "token"},
	} {
		t.Run(name, func(t *testing.T) {
			h := prepare(t, strings.NewReplacer(`"unix:`, `"unix:sockets/`, `"portreeve.db"`, `"store/portreeve.db"`).Replace(plain))
			h.open4all()
			if err := os.Chmod(h.path(tt.path), tt.mode); err != nil {
				t.Fatal(err)
			}
			p, err := h.spawn("nobody")
			if err == nil {
				_, err = p.end(t, os.Kill)
				t.Fatalf("it started; %v", err)
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "panic") {
				t.Errorf("got %v\nwant %q in it", err, tt.want)
			}
			h.absent("sockets/policy.sock", "sockets/admin.sock")
		})
	}
}

// open4all moves the host's files to where another user gets at them.
func (h *host) open4all() {
	h.t.Helper()
	dir := must[string](h.t)(os.MkdirTemp("", "portreeve-rights-"))
	h.t.Cleanup(func() {
		for _, name := range []string{"sockets", "store"} {
			if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
				h.t.Error(err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			h.t.Error(err)
		}
	})
	for _, name := range []string{"portreeve.toml", "accounts.toml", "token"} {
		body := must[[]byte](h.t)(os.ReadFile(h.path(name)))
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"": 0o755, "sockets": 0o777, "store": 0o777} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(path, mode), os.Chmod(path, mode)); err != nil {
			h.t.Fatal(fmt.Errorf("making the host's directories: %w", err))
		}
	}
	h.dir = dir
}
