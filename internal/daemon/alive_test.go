package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/listen"
)

// A sign of life is given when everything has answered, and not before.
func TestWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			said  lines
			given atomic.Int64
			state atomic.Value // what the second sign does
		)
		state.Store("answers")
		back := make(chan struct{})
		w := witness{
			every: 10 * time.Second, alive: func() { given.Add(1) }, log: slog.New(slog.NewTextHandler(&said, nil)),
			signs: []sign{
				{"first", func(context.Context) error { return nil }},
				{"second", func(context.Context) error {
					switch state.Load() {
					case "fails":
						return errors.New("broken")
					case "hangs":
						<-back
					}
					return nil
				}},
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go w.watch(ctx)
		pass := func(d time.Duration) int64 {
			before := given.Load()
			time.Sleep(d)
			synctest.Wait()
			return given.Load() - before
		}
		pass(35 * time.Second)
		if n := given.Load(); n != 4 { // the first of them may have come before the sleep
			t.Errorf("%d signs in the first 35 s", n)
		}
		state.Store("fails")
		if n := pass(30 * time.Second); n != 0 || strings.Count(said.String(), "no sign of life") != 1 || !strings.Contains(said.String(), "second: broken") {
			t.Errorf("%d signs while it fails; the log:\n%s", n, said.String())
		}
		state.Store("hangs")
		pass(60 * time.Second)
		state.Store("answers")
		if n := pass(60 * time.Second); n != 0 {
			t.Errorf("%d signs while the question of before hangs", n)
		}
		close(back)
		if n := pass(20 * time.Second); n < 2 {
			t.Errorf("%d signs after it has answered", n)
		}
		cancel()
	})
}

// A whole daemon gives signs, which its books do not show.
func TestSignsOfLife(t *testing.T) {
	h := prepare(t, plain)
	signs := make(chan struct{}, 1)
	o := h.options()
	o.AliveEvery = 200 * time.Millisecond
	o.Alive = func() {
		select {
		case signs <- struct{}{}:
		default:
		}
	}
	h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, o, ready) })
	for range 3 {
		select {
		case <-signs:
		case <-time.After(patience):
			t.Fatalf("no sign of life; the log:\n%s", h.log.String())
		}
	}
	s := h.status()
	if s.Counts.Passed+s.Counts.Refused+s.Counts.Observed+s.Counts.ProtocolErrors != 0 {
		t.Errorf("the signs are counted: %+v", s.Counts)
	}
	if found, err := h.admin.Decisions(t.Context(), admin.DecisionsRequest{}); err != nil || len(found) != 0 {
		t.Errorf("the signs are recorded: %v, %v", found, err)
	}
	if text := h.log.String(); strings.Contains(text, "malformed") {
		t.Errorf("the log:\n%s", text)
	}
}

// The daemon's own question is answered also at an address that is not loopback,
// from which listen.allow lets nobody of this host in.
func TestSignsAtAnAddressOfTheHost(t *testing.T) {
	for _, at := range append(hostAddresses(t), netip.IPv4Unspecified(), netip.IPv6Unspecified()) {
		t.Run(at.String(), func(t *testing.T) {
			h := prepare(t, strings.Replace(plain, `policy = "unix:policy.sock"`, fmt.Sprintf("allow = [\"203.0.113.0/24\"]\npolicy = %q", "inet:"+netip.AddrPortFrom(at, 0).String()), 1))
			signs := make(chan struct{})
			o := h.options()
			o.AliveEvery = 100 * time.Millisecond
			o.Alive = sync.OnceFunc(func() { close(signs) })
			h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, o, ready) })
			select {
			case <-signs:
			case <-time.After(patience):
				t.Errorf("no sign of life; the log:\n%s", h.log.String())
			}
		})
	}
}

// hostAddresses are those by which others reach this machine. One without a network has
// none.
func hostAddresses(t *testing.T) (list []netip.Addr) {
	for _, a := range must[[]net.Addr](t)(net.InterfaceAddrs()) {
		ip := netip.MustParsePrefix(a.String()).Addr()
		if !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			list = append(list, ip)
		}
	}
	return list
}

// A socket at which nobody answers ends the signs, one that is full does not.
func TestSocketThatDoesNotAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.sock")
	ln := must[net.Listener](t)(net.Listen("unix", path))
	defer ln.Close()
	s := socket{name: "policy", address: listen.Address{Network: "unix", Addr: path}, full: &atomic.Bool{}}
	asked := func() error { return answers(t.Context(), s, signOf["policy"], 50*time.Millisecond) }
	if err := asked(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	s.full.Store(true)
	if err := asked(); err != nil {
		t.Errorf("no place is free: %v", err)
	}
	s.full.Store(false)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("action=REJECT\n\n")) // longer than it should be
		}
	}()
	if err := asked(); err == nil || !strings.Contains(err.Error(), "answered") {
		t.Errorf("another answer: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := asked(); err == nil {
		t.Error("nobody listens, and that is no error")
	}
}
