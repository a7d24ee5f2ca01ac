package mimic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/integration/dialogue"
)

// Daemon runs Portreeve until ctx ends, calls ready once its listeners are
// open, and returns when it has drained.
type Daemon func(ctx context.Context, s Setup, ready func()) error

// Setup is what a daemon is run with.
type Setup struct {
	Config    string // the path of its portreeve.toml
	Now       func() time.Time
	Log       *slog.Logger
	Directory func(directory.Directory) directory.Directory // goes in front of every one
}

// Host plays stories on the stand-in, with a daemon in this process. It
// implements dialogue.Host.
type Host struct {
	Testdata string // the directory of portreeve.toml, accounts.toml and users
	Program  string // the portreeve binary, for the verbs
	Run      Daemon

	verbs sync.RWMutex // read-locked while a verb runs
}

// World is one mail host with its daemon.
type World struct {
	host   *Host
	dir    string
	config string
	fronts Fronts
	server *Server
	log    *buffer
	down   atomic.Bool // the directory of accounts fails

	mu    sync.Mutex
	ahead time.Duration // of the real clock

	stop  context.CancelFunc
	ended chan error // what the daemon returned
}

// startWithin bounds the daemon's start and its end.
const startWithin = 30 * time.Second

// Plays tells whether the stand-in can play a story of these settings.
func (h *Host) Plays(s dialogue.Settings) bool {
	return s.Only != dialogue.OnlyReal && (s.Recipe == "milter" || s.Recipe == "policy")
}

// Start implements dialogue.Host.
func (h *Host) Start(t testing.TB, settings dialogue.Settings) dialogue.World {
	t.Helper()
	if !h.Plays(settings) {
		t.Fatalf("the story is only for %q or needs the recipe %q; play it on the real host", settings.Only, settings.Recipe)
	}
	w, err := h.world(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// world writes the files into a directory with a short name (the path of a
// unix socket has 107 bytes at most) and starts everything.
func (h *Host) world(settings dialogue.Settings) (*World, error) {
	dir, err := os.MkdirTemp("", "mimic")
	if err != nil {
		return nil, err
	}
	w := &World{host: h, dir: dir, config: filepath.Join(dir, "portreeve.toml"), log: &buffer{}}
	w.fronts = Fronts{Policy: w.socket("policy"), Milter: w.socket("milter"), Auth: w.socket("auth"), Token: token}
	if settings.Recipe == "policy" {
		w.fronts.Milter = ""
	}
	users, err := w.files(settings)
	if err == nil {
		err = w.run()
	}
	if err == nil {
		log := slog.New(slog.NewTextHandler(w.log, nil)).With("program", "mimic")
		w.server, err = New(w.fronts, users, log)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// token is what Dovecot shows to the auth policy front.
const token = "of-the-stories"

func (w *World) socket(name string) string { return "unix:" + filepath.Join(w.dir, name+".sock") }

func (w *World) files(settings dialogue.Settings) (users []byte, err error) {
	read := func(name string) (data []byte) {
		data, e := os.ReadFile(filepath.Join(w.host.Testdata, name))
		err = errors.Join(err, e)
		return data
	}
	base, accounts, users := read("portreeve.toml"), read("accounts.toml"), read("users")
	if err != nil {
		return nil, err
	}
	config, err := dialogue.Config(base, map[string]any{
		"listen.policy": w.fronts.Policy, "listen.milter": w.fronts.Milter,
		"listen.auth": w.fronts.Auth, "listen.admin": w.socket("admin"),
	}, settings.Portreeve)
	if err != nil {
		return nil, err
	}
	return users, errors.Join(
		os.WriteFile(w.config, config, 0o600),
		os.WriteFile(filepath.Join(w.dir, "accounts.toml"), accounts, 0o600),
		os.WriteFile(filepath.Join(w.dir, "token"), []byte(w.fronts.Token+"\n"), 0o600),
	)
}

// run starts the daemon and returns when it is ready.
func (w *World) run() error {
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	setup := Setup{Config: w.config, Now: w.now, Log: log, Directory: w.breakable}
	go func() { ended <- w.host.Run(ctx, setup, sync.OnceFunc(func() { close(ready) })) }()
	select {
	case <-ready:
		w.stop, w.ended = stop, ended
		return nil
	case err := <-ended:
		stop()
		return fmt.Errorf("the daemon ended before it was ready: %w\n%s", err, w.log)
	case <-time.After(startWithin):
		stop()
		return fmt.Errorf("the daemon was not ready within %s\n%s", startWithin, w.log)
	}
}

// end stops the daemon and waits until it has drained.
func (w *World) end() error {
	if w.stop == nil {
		return nil
	}
	w.stop()
	w.stop = nil
	select {
	case err := <-w.ended:
		if err != nil {
			return fmt.Errorf("the daemon ended badly: %w", err)
		}
		return nil
	case <-time.After(startWithin):
		return fmt.Errorf("the daemon did not drain within %s", startWithin)
	}
}

func (w *World) close() error {
	var err error
	if w.server != nil {
		err = w.server.Close() // first: Postfix's connections keep a daemon draining
	}
	return errors.Join(err, w.end(), os.RemoveAll(w.dir))
}

// now is the daemon's clock.
func (w *World) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

// Dial implements dialogue.World.
func (w *World) Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error) {
	return w.server.Dial(ctx, from, port)
}

// Wait moves the daemon's clock.
func (w *World) Wait(_ context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ahead += d
	return nil
}

// Accounts implements dialogue.World.
func (w *World) Accounts(_ context.Context, content string) error {
	return os.WriteFile(filepath.Join(w.dir, "accounts.toml"), []byte(content), 0o600)
}

// Restart ends the daemon and starts it again. There is no process to kill
// here; that a kill loses nothing is for the real world to show.
func (w *World) Restart(context.Context, bool) error {
	if err := w.endAlone(); err != nil {
		return err
	}
	return w.run()
}

// endAlone ends the daemon while no verb is being started: such a child holds
// this process's files open until it has become the program, the store's lock
// among them.
func (w *World) endAlone() error {
	w.host.verbs.Lock()
	defer w.host.verbs.Unlock()
	return w.end()
}

// Verb runs the program against the daemon's admin socket.
func (w *World) Verb(ctx context.Context, args ...string) (dialogue.Output, error) {
	w.host.verbs.RLock()
	defer w.host.verbs.RUnlock()
	cmd := exec.CommandContext(ctx, w.host.Program, append(args, "--config", w.config)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	if err != nil {
		return dialogue.Output{}, fmt.Errorf("running portreeve %s: %w", strings.Join(args, " "), err)
	}
	return dialogue.Output{Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode()}, nil
}

// Log implements dialogue.World.
func (w *World) Log() string { return w.log.String() }

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
