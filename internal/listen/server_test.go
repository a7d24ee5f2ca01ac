package listen_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), s)
}

type meter struct{ opened, closed atomic.Int64 }

func (m *meter) ProtocolError(rules.Protocol) {}
func (m *meter) ConnOpened(rules.Protocol)    { m.opened.Add(1) }
func (m *meter) ConnClosed(rules.Protocol)    { m.closed.Add(1) }

// fake is a listener in memory, for a bubble of synctest: errors and
// connections come in the order in which they were sent.
type fake struct {
	next   chan any
	closed chan struct{}
	once   sync.Once
}

func newFake() *fake { return &fake{next: make(chan any), closed: make(chan struct{})} }

func (f *fake) Accept() (net.Conn, error) {
	select {
	case v := <-f.next:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *fake) Close() error   { f.once.Do(func() { close(f.closed) }); return nil }
func (f *fake) Addr() net.Addr { return &net.UnixAddr{Name: "fake", Net: "unix"} }

// peer is one end of a pipe that says where it comes from.
type peer struct {
	net.Conn
	from net.Addr
}

func (p peer) RemoteAddr() net.Addr { return p.from }

// dial returns the client's end of a connection from the address; the empty
// one is a unix socket's.
func (f *fake) dial(from string) net.Conn {
	ours, theirs := net.Pipe()
	var a net.Addr = &net.UnixAddr{Net: "unix"}
	if from != "" {
		a = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	}
	f.next <- peer{theirs, a}
	return ours
}

func echo(_ context.Context, c net.Conn) { _, _ = io.Copy(c, c) }

func alive(c net.Conn) bool {
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil
}

func TestServeOutlivesAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		ln := newFake()
		s := &listen.Server{Name: "policy", Handle: echo, Log: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, ln) }()
		began := time.Now()
		for range 12 {
			ln.next <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		}
		c := ln.dial("")
		if !alive(c) {
			t.Error("no connection after the errors")
		}
		if waited := time.Since(began); waited < 3*time.Second || waited > 10*time.Second {
			t.Errorf("12 errors took %v: the pauses should grow to a second", waited)
		}
		if n := log.count("cannot accept connections"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestServeCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		var m meter
		ln := newFake()
		s := &listen.Server{
			Name: "policy", Max: 2, Handle: echo, Meter: &m, Log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, ln) }()
		a, b := ln.dial(""), ln.dial("")
		third := make(chan net.Conn)
		go func() { third <- ln.dial("") }()
		synctest.Wait()
		select {
		case <-third:
			t.Fatal("a third connection was accepted")
		default:
		}
		if !alive(a) || !alive(b) {
			t.Error("the first two do not work")
		}
		a.Close()
		c := <-third
		if !alive(c) {
			t.Error("the third does not work after the first ended")
		}
		if n := log.count("no more connections"); n != 1 {
			t.Errorf("logged %d times in one episode", n)
		}
		b.Close()
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if m.opened.Load() != 3 || m.closed.Load() != 3 {
			t.Errorf("opened %d, closed %d", m.opened.Load(), m.closed.Load())
		}
	})
}

func TestServePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		ln := newFake()
		s := &listen.Server{
			Name: "milter", Max: 1, Handle: echo, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Serve(ctx, ln) }()
		for from, want := range map[string]bool{
			"": true, "127.9.9.9:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
			"192.0.2.77:1": true, "[::ffff:192.0.2.77]:1": true, "[2001:db8::5]:1": true,
			"192.0.3.1:1": false, "[2001:db8:1::5]:1": false, "[fe80::1%eth0]:1": false,
		} {
			c := ln.dial(from)
			if got := alive(c); got != want {
				t.Errorf("peer %q served: %v", from, got)
			}
			c.Close()
			synctest.Wait()
		}
		if n := log.count("not allowed"); n != 3 {
			t.Errorf("%d refusals logged", n)
		}
	})
}

func TestServeSurvivesPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		ln := newFake()
		s := &listen.Server{
			Name: "policy", Log: slog.New(slog.NewTextHandler(&log, nil)),
			Handle: func(ctx context.Context, c net.Conn) {
				if c.RemoteAddr().Network() == "tcp" {
					panic("a bug\nin the handler")
				}
				echo(ctx, c)
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Serve(ctx, ln) }()
		good, bad := ln.dial(""), ln.dial("127.0.0.1:1")
		if _, err := bad.Read(make([]byte, 1)); err == nil {
			t.Error("the connection of the panic is open")
		}
		if !alive(good) {
			t.Error("another connection suffered")
		}
		good.Close()
		if log.count("panicked") != 1 || log.count("TestServeSurvivesPanic") == 0 {
			t.Error("the panic was not logged with its stack")
		}
	})
}

func TestServeDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newFake()
		s := &listen.Server{
			Name: "milter",
			Handle: func(ctx context.Context, c net.Conn) {
				if c.RemoteAddr().Network() == "tcp" {
					_, _ = io.Copy(io.Discard, c) // deaf to ctx
				}
				<-ctx.Done()
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, ln) }()
		idle, busy := ln.dial(""), ln.dial("127.0.0.1:1")
		synctest.Wait()
		began := time.Now()
		cancel()
		if _, err := idle.Read(make([]byte, 1)); err == nil || time.Since(began) != 0 {
			t.Errorf("the idle connection was closed after %v", time.Since(began))
		}
		if _, err := busy.Read(make([]byte, 1)); err == nil || time.Since(began) != listen.DefaultDrain {
			t.Errorf("the busy connection was closed after %v", time.Since(began))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestServeDrainGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newFake()
		release := make(chan struct{})
		s := &listen.Server{
			Name: "milter", Drain: time.Second,
			Handle: func(context.Context, net.Conn) { <-release },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Serve(ctx, ln) }()
		ln.dial("")
		cancel()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "1 connections did not end") {
			t.Errorf("got %v", err)
		}
		close(release)
	})
}

func TestServeEndsWithItsListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newFake()
		s := &listen.Server{Name: "policy", Handle: func(ctx context.Context, _ net.Conn) { <-ctx.Done() }}
		done := make(chan error)
		go func() { done <- s.Serve(t.Context(), ln) }()
		ln.dial("")
		ln.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want the listener's error", err)
		}
	})
}

// TestServeManyConnections is SPEC.md section 10's 5,000 on one real socket.
func TestServeManyConnections(t *testing.T) {
	const want = 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < 2*want+100 {
		t.Fatalf("%d file descriptors are allowed, the test needs %d: raise ulimit -n", limit.Cur, 2*want+100)
	}
	a := unixAddress(t)
	ln := mustOpen(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	s := &listen.Server{Name: "policy", Handle: func(ctx context.Context, c net.Conn) {
		context.AfterFunc(ctx, func() { _ = c.Close() })
		echo(ctx, c)
	}}
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	clients := make([]net.Conn, want)
	for i := range clients {
		c, err := net.Dial("unix", a.Addr)
		for began := time.Now(); errors.Is(err, syscall.EAGAIN) && time.Since(began) < 20*time.Second; c, err = net.Dial("unix", a.Addr) {
			time.Sleep(time.Millisecond) // the queue is full, as Postfix waits, too
		}
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		clients[i] = c
	}
	for i, c := range clients {
		if !alive(c) {
			t.Fatalf("connection %d is dead", i)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(a.Addr); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := func(c net.Conn) time.Duration {
			began := time.Now()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v", err)
			}
			return time.Since(began)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c, _ := net.Pipe()
		p := listen.NewPace(ctx, c, time.Hour, 10*time.Second, 10*time.Second)
		defer p.Stop()
		if err := p.Wait(0); err != nil || read(c) != time.Hour {
			t.Errorf("idle: %v", err)
		}
		if p.Begin(); read(c) != 10*time.Second {
			t.Error("busy: another deadline")
		}
		time.AfterFunc(time.Minute, cancel)
		if err := p.Wait(0); err != nil || read(c) != time.Minute || !p.Draining() {
			t.Errorf("the drain did not end the wait: %v", err)
		}
		if err := p.Wait(0); !errors.Is(err, listen.ErrDraining) {
			t.Errorf("wait while draining: %v", err)
		}
		if err := p.Wait(15 * time.Second); err != nil || read(c) != 15*time.Second {
			t.Errorf("linger while draining: %v", err)
		}
		if err := p.Wait(15 * time.Second); !errors.Is(err, listen.ErrDraining) {
			t.Errorf("linger for longer: %v", err)
		}
		if p.Begin(); read(c) != 10*time.Second {
			t.Error("begun while draining: another deadline")
		}
	})
}

// A deadline that is in force stays where it is, and is moved when it has been met
// too early: what counts is when the latest wait, or answer, began.
func TestPaceMovesDeadlinesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		pipe, peer := net.Pipe()
		c := &counting{Conn: pipe}
		p := listen.NewPace(ctx, c, time.Hour, 10*time.Second, 10*time.Second)
		defer p.Stop()
		wait := func() {
			if err := p.Wait(0); err != nil {
				t.Errorf("wait: %v", err)
			}
		}
		go func() { _, _ = io.Copy(peer, peer) }() // until the pipe is closed
		in := make([]byte, 1)
		for range 100 {
			wait()
			if _, err := p.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := p.Read(in); err != nil {
				t.Fatal(err)
			}
		}
		if c.reads != 1 || c.writes != 1 {
			t.Errorf("%d and %d deadlines for a hundred requests", c.reads, c.writes)
		}
		time.Sleep(59 * time.Minute)
		wait()
		began := time.Now()
		if _, err := p.Read(in); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Hour {
			t.Errorf("the wait ended after %v, %v", time.Since(began), err)
		}
		p.Begin()
		began = time.Now()
		if _, err := p.Read(in); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 10*time.Second {
			t.Errorf("the request was cut after %v, %v", time.Since(began), err)
		}
		wait()
		time.AfterFunc(time.Minute, cancel)
		began = time.Now()
		if _, err := p.Read(in); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("the drain ended the wait after %v, %v", time.Since(began), err)
		}
		pipe.Close()
	})
}

// counting counts the deadlines that are set.
type counting struct {
	net.Conn
	reads, writes int
}

func (c *counting) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *counting) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

// late is a context whose end others are told of later than who asks for it.
type late struct{ context.Context }

func (late) AfterFunc(func()) (stop func() bool) { return func() bool { return true } }

// Value hides the context that could be asked instead.
func (late) Value(any) any { return nil }

// An accept that sees the end before anybody is told of it is no failure.
func TestServeEndsBeforeItIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, served := make(chan error, 1), make(chan struct{}, 2)
	s := &listen.Server{Name: "policy", Handle: func(context.Context, net.Conn) { served <- struct{}{} }}
	go func() { ended <- s.Serve(late{ctx}, ln) }()
	dial := func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	dial()
	<-served
	cancel()
	dial() // the accept that waited
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is open")
	}
}
