package listen_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/listen"
)

// TestLinesAreOfOneConnectionEach: many come, talk in all ways, and go; their numbers are
// used again, and none gets what is another's. Nothing of them stays.
func TestLinesAreOfOneConnectionEach(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			check := nothingStays(t)
			p := newPoller(t)
			v := start(t, network, listen.Server{Handle: echoAll(t, p)})
			var all sync.WaitGroup
			for i := range uint64(16) {
				all.Go(func() {
					r := rand.New(rand.NewPCG(i, 0))
					for j := range 40 {
						if err := comeAndGo(v, r, fmt.Sprintf("%d.%d", i, j)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			v.end()
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			check()
		})
	}
}

func comeAndGo(v *served, r *rand.Rand, name string) error {
	c, err := net.Dial(v.ln.Addr().Network(), v.ln.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	for k := range r.IntN(12) {
		text := fmt.Sprintf("%c%s.%d.", "xxwc"[r.IntN(4)], name, k)
		text += string(bytes.Repeat([]byte{'.'}, r.IntN(3)*(100-len(text)))) // the buffer is full at a hundred
		if err := says(c, text); err != nil {
			return err
		}
	}
	switch tcp, ok := c.(*net.TCPConn); {
	case ok && r.IntN(3) == 0:
		return tcp.SetLinger(0) // a reset
	case r.IntN(3) == 0:
		_, err = io.WriteString(c, "wand nobody listens")
	}
	return err
}

// TestLineMisses: what comes while the line is its goroutine's, and the end, are served
// when it waits again, though nothing else comes.
func TestLineMisses(t *testing.T) {
	for _, tail := range []string{"second", "wait for the second", "c" + string(make([]byte, 99)), string(make([]byte, 250))} {
		p := newPoller(t)
		waits, sent, ended := make(chan bool), make(chan bool), make(chan error, 1)
		v := start(t, "unix", listen.Server{Handle: func(ctx context.Context, c net.Conn) {
			e := &echoing{}
			e.line, _ = p.Take(c, e.ready)
			if err := e.line.Wait(ctx.Done(), time.Minute); err != nil {
				t.Error(err)
			}
			waits <- true
			<-sent
			ended <- e.serveLeft(ctx)
		}})
		c := v.dial(t).(*net.UnixConn)
		if _, err := io.WriteString(c, "w1"); err != nil {
			t.Fatal(err)
		}
		<-waits
		if _, err := io.WriteString(c, tail); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		sent <- true
		if got, err := io.ReadAll(c); err != nil || string(got) != "w1"+tail {
			t.Errorf("%q, %v, want it and %q", got, err, tail)
		}
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("it ended with %v", err)
		}
		v.end()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func (e *echoing) serveLeft(ctx context.Context) error {
	if _, err := e.line.TryWrite(e.left); err != nil {
		return err
	}
	return e.serve(ctx, time.Minute)
}

// TestLinesTakeTurns: one that always has more to read keeps nobody from being served,
// nor its own goroutine from being told of the drain.
func TestLinesTakeTurns(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	var calls atomic.Int64
	busy, ended := make(chan bool, 1), make(chan error, 8)
	flood := start(t, "unix", listen.Server{Handle: func(ctx context.Context, c net.Conn) {
		line, _ := p.Take(c, func(int, time.Time, bool) (stay, all bool) {
			if calls.Add(1) == 100 {
				busy <- true
			}
			return true, false
		})
		ended <- line.Wait(ctx.Done(), time.Minute)
		line.Close()
	}})
	others := start(t, "unix", listen.Server{Handle: echoAll(t, p)})
	for range 8 { // more than there are goroutines
		if _, err := io.WriteString(flood.dial(t), "x"); err != nil {
			t.Fatal(err)
		}
	}
	<-busy
	for i := range 20 {
		if err := says(others.dial(t), fmt.Sprint("x", i)); err != nil {
			t.Error(err)
		}
	}
	flood.end()
	for range 8 {
		if err := <-ended; !errors.Is(err, listen.ErrDraining) {
			t.Errorf("it ended with %v", err)
		}
	}
	others.end()
}

// TestLineIdles: the time counts from what came last.
func TestLineIdles(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	const idle = 50 * time.Millisecond
	type end struct {
		err  error
		when time.Time
	}
	ended := make(chan end, 1)
	v := start(t, "unix", listen.Server{Handle: func(ctx context.Context, c net.Conn) {
		e := &echoing{}
		e.line, _ = p.Take(c, e.ready)
		err := e.serve(ctx, idle)
		ended <- end{err, time.Now()}
	}})
	c := v.dial(t)
	var last time.Time
	for i := range 10 {
		last = time.Now()
		if err := says(c, []string{"x", "w", "c"}[i%3]); err != nil {
			break // a slow machine
		}
		time.Sleep(idle / 3)
	}
	if e := <-ended; !errors.Is(e.err, os.ErrDeadlineExceeded) || e.when.Sub(last) < idle {
		t.Errorf("%v, %v after the last word", e.err, e.when.Sub(last))
	}
	v.end()
}

// TestLineIsShut: whoever closes the accepted connection ends the line, whatever it does.
func TestLineIsShut(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	for _, mode := range []string{"parked", "its goroutine's", "a conn"} {
		ended := make(chan error, 1)
		v := start(t, "tcp", listen.Server{Handle: func(ctx context.Context, c net.Conn) {
			e := &echoing{}
			e.line, _ = p.Take(c, e.ready)
			defer e.line.Close()
			wait := func() error { return e.line.Wait(ctx.Done(), time.Minute) }
			switch mode {
			case "parked":
				time.AfterFunc(time.Millisecond, func() { c.Close() })
				if err := wait(); err != nil || !errors.Is(e.err, io.EOF) {
					t.Errorf("%v, %v", err, e.err)
				}
			case "a conn":
				conn, err := e.line.Conn()
				if err != nil {
					t.Error(err)
				}
				time.AfterFunc(time.Millisecond, func() { c.Close() })
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			default:
				c.Close()
				if _, err := e.line.TryWrite([]byte("x")); !errors.Is(err, syscall.EPIPE) {
					t.Error(err)
				}
			}
			if _, err := e.line.Conn(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Conn: %v", err)
			}
			ended <- wait()
		}})
		c := v.dial(t)
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", mode, err)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: the peer reads %d, %v", mode, n, err)
		}
		v.end()
	}
}

// TestPanicOfReady ends the connection that met it, whose place is another's then, and
// the log shows where it was.
func TestPanicOfReady(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	var log lines
	v := start(t, "unix", listen.Server{Max: 1, Handle: echoAll(t, p), Log: slog.New(slog.NewTextHandler(&log, nil))})
	for i, text := range []string{"p", "x", "p", "w", "c"} {
		c := v.dial(t)
		switch err := says(c, text); {
		case text == "p" && !errors.Is(err, io.EOF):
			t.Errorf("%d: answered after a panic: %v", i, err)
		case text != "p" && err != nil:
			t.Errorf("%d: %v", i, err)
		}
		c.Close()
	}
	v.end()
	if n, where := log.count(`error="a bug"`), log.count("(*echoing).ready"); n != 2 || where != 2 {
		t.Errorf("logged %d times, with its place %d times: %s", n, where, &log.buf)
	}
}

// TestTakeWithoutASocket: such a connection is left as it is.
func TestTakeWithoutASocket(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	ln := newFake()
	s := listen.Server{Handle: func(ctx context.Context, c net.Conn) {
		if _, ok := p.Take(c, (&echoing{}).ready); ok {
			t.Error("taken")
		}
		echo(ctx, c)
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	c := ln.dial("")
	if !alive(c) {
		t.Error("it is not served")
	}
	c.Close()
	one, _ := net.Pipe()
	if _, ok := p.Take(one, nil); ok {
		t.Error("a pipe is taken")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPollerEnds: at once, or while its goroutines have just served.
func TestPollerEnds(t *testing.T) {
	check := nothingStays(t)
	for i := range 60 {
		p := newPoller(t)
		if i%2 == 0 {
			v := start(t, "unix", listen.Server{Handle: echoAll(t, p)})
			var all sync.WaitGroup
			for range 8 {
				c := v.dial(t)
				all.Go(func() {
					if err := says(c, "x"); err != nil {
						t.Error(err)
					}
					c.Close()
				})
			}
			all.Wait()
			v.end()
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	check()
}

// TestTryWriteTakesWhatFits: no more, and no error.
func TestTryWriteTakesWhatFits(t *testing.T) {
	p := newPoller(t)
	defer p.Close()
	const much = 4 << 20
	filled := make(chan int, 1)
	v := start(t, "unix", listen.Server{Handle: func(_ context.Context, c net.Conn) {
		line, _ := p.Take(c, nil)
		defer line.Close()
		sum := 0
		for {
			n, err := line.TryWrite(make([]byte, much))
			if err != nil {
				t.Error(err)
			}
			if sum += n; n == 0 {
				break
			}
		}
		filled <- sum
	}})
	c := v.dial(t)
	n := <-filled
	if got, err := io.ReadAll(c); err != nil || len(got) != n || n == 0 || n >= much {
		t.Errorf("%d of %d bytes, %v", len(got), n, err)
	}
	v.end()
}
