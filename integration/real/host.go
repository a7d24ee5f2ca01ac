package real

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"portreeve/integration/dialogue"
)

// Host gives stories a mail host each. Instances are started when first
// needed and used again; at most Parallel run at a time. It implements
// dialogue.Host.
type Host struct {
	Root    string // the project's directory
	Program string // the portreeve binary
	Dir     string // for the instances; other users must be able to enter it

	places  chan struct{} // one per story that may be played now
	mu      sync.Mutex
	idle    map[string][]*Instance // by recipe
	all     []*Instance
	started int // instances, those that failed included; their addresses are not used again
}

// NewHost makes a host that plays up to parallel stories at a time.
func NewHost(root, program, dir string, parallel int) *Host {
	return &Host{Root: root, Program: program, Dir: dir, places: make(chan struct{}, parallel), idle: map[string][]*Instance{}}
}

// Close stops every instance.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, i := range h.all {
		errs = append(errs, i.Stop())
	}
	h.all, h.idle = nil, map[string][]*Instance{}
	return errors.Join(errs...)
}

// Start implements dialogue.Host.
func (h *Host) Start(t testing.TB, s dialogue.Settings) dialogue.World {
	t.Helper()
	return h.World(t, s)
}

// World starts a fresh Portreeve on an instance of the story's recipe. It is
// stopped with the test; a daemon that then ends badly fails it.
func (h *Host) World(t testing.TB, s dialogue.Settings) *World {
	t.Helper()
	h.places <- struct{}{}
	t.Cleanup(func() { <-h.places })
	i, err := h.take(t.Context(), s.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	// A Dovecot that met no auth policy server for a while backs off, and for more
	// than 15 s asks nobody (2.3.19): it would let the next story's clients in.
	if auth, set := s.Portreeve["listen.auth"]; !set || auth != "" {
		t.Cleanup(func() { h.giveBack(i) })
	}
	dir := t.TempDir()
	d, err := i.NewDaemon(dir, Files{
		Program:  h.Program,
		Base:     filepath.Join(h.Root, "integration/testdata/portreeve.toml"),
		Accounts: filepath.Join(h.Root, "integration/testdata/accounts.toml"),
		Settings: s.Portreeve,
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Instance: i, Daemon: d}
	if i.ready { // before that, how it started may be what a failure is about
		w.mail, w.dovecot = size(i.MailLog()), size(i.DovecotLog())
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.logs())
		}
	})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// take finds an idle instance of a recipe, or starts one.
func (h *Host) take(ctx context.Context, recipe string) (*Instance, error) {
	if recipe == "" {
		recipe = RecipeMilter
	}
	if !slices.Contains(recipes, recipe) {
		return nil, fmt.Errorf("no recipe %q; write one of %s", recipe, strings.Join(recipes, ", "))
	}
	h.mu.Lock()
	if free := h.idle[recipe]; len(free) > 0 {
		h.idle[recipe] = free[:len(free)-1]
		h.mu.Unlock()
		return free[len(free)-1], nil
	}
	h.started++
	n := h.started
	h.mu.Unlock()

	i, err := h.start(ctx, n, recipe)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, i)
	return i, nil
}

// address is where the nth instance has its ports.
func address(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, 0, byte(n)}) }

// start starts the nth instance.
func (h *Host) start(ctx context.Context, n int, recipe string) (*Instance, error) {
	o := Options{
		Dir:     filepath.Join(h.Dir, strconv.Itoa(n)),
		Contrib: filepath.Join(h.Root, "contrib"),
		Users:   filepath.Join(h.Root, "integration/testdata/users"),
		Addr:    address(n),
		Recipe:  recipe,
		Token:   "of-the-tests",
		Peers:   "127.0.0.1/32", // as networks.trusted of testdata/portreeve.toml
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	i, err := Start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, tails(log(filepath.Join(o.Dir, "mail.log"), 0), log(filepath.Join(o.Dir, "dovecot.log"), 0), ""))
	}
	return i, nil
}

func (h *Host) giveBack(i *Instance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.idle[i.Recipe] = append(h.idle[i.Recipe], i)
}
