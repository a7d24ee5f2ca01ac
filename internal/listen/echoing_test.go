package listen_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/listen"
)

// echoing is a connection that gives back what it is sent: at once, or where that begins
// with w in its goroutine, or with c there by way of a net.Conn.
type echoing struct {
	line *listen.Line
	left []byte
	err  error
}

func (e *echoing) ready(fd int, _ time.Time, last bool) (stay, all bool) {
	in := make([]byte, 100)
	n, err := listen.TryRead(fd, in)
	switch {
	case err == syscall.EAGAIN:
		return true, true
	case err != nil:
		e.err = err
		return false, true
	case n == 0:
		e.err = io.EOF
		return false, true
	}
	all = n < len(in) && !last
	switch in[0] {
	case 'p':
		panic("a bug")
	case 'w', 'c':
		e.left = in[:n]
		return false, all
	}
	k, err := listen.TryWrite(fd, in[:n])
	e.left, e.err = in[k:n], err
	return k == n, all
}

func (e *echoing) serve(ctx context.Context, idle time.Duration) error {
	defer e.line.Close()
	for {
		if err := e.line.Wait(ctx.Done(), idle); err != nil {
			return err
		}
		if e.err != nil {
			return e.err
		}
		n := 0
		if e.left[0] != 'c' {
			var err error
			if n, err = e.line.TryWrite(e.left); err != nil {
				return err
			}
		}
		if n < len(e.left) {
			c, err := e.line.Conn()
			if err != nil {
				return err
			}
			if _, err := c.Write(e.left[n:]); err != nil {
				return err
			}
		}
		e.left = nil
	}
}

func newPoller(t *testing.T) *listen.Poller {
	t.Helper()
	p, err := listen.NewPoller(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// served is a socket whose connections are given to handle, until end.
type served struct {
	ln  net.Listener
	end func()
}

func start(t *testing.T, network string, s listen.Server) *served {
	t.Helper()
	a := listen.Address{Network: network, Addr: "127.0.0.1:0"}
	if network == "unix" {
		a = unixAddress(t)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v := &served{ln: mustOpen(t, a)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, v.ln) }()
	v.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(v.end)
	return v
}

func (v *served) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial(v.ln.Addr().Network(), v.ln.Addr().String())
	if err == nil {
		err = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func says(c net.Conn, text string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != text {
		return fmt.Errorf("%q, %w, want %q", got[:n], err, text)
	}
	return nil
}

func echoAll(t *testing.T, p *listen.Poller) func(ctx context.Context, c net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		e := &echoing{}
		var ok bool
		if e.line, ok = p.Take(c, e.ready); !ok {
			t.Error("not taken")
			return
		}
		_ = e.serve(ctx, time.Minute)
	}
}

// nothingStays is called before anything is; what it returns, when all has ended.
func nothingStays(t *testing.T) (check func()) {
	t.Helper()
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	goroutines, before := runtime.NumGoroutine(), files()
	return func() {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			g, f := runtime.NumGoroutine(), files()
			if g <= goroutines && f <= before {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d goroutines and %d descriptors, before %d and %d", g, f, goroutines, before)
			}
		}
	}
}
