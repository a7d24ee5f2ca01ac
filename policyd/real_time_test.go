package policyd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// TestDeadlinesOfASocket: what TestDeadlines shows in a bubble holds for a socket,
// which is read in another way: one that talks goes on beyond the deadline of its first
// wait, one that is silent ends, and so does a request that is.
func TestDeadlinesOfASocket(t *testing.T) {
	t.Parallel()
	inEachWay(t, func(t *testing.T, w way) {
		t.Parallel()
		const idle, busy = 600 * time.Millisecond, 300 * time.Millisecond
		for _, network := range []string{"unix", "tcp"} {
			address := listen.Address{Network: network, Addr: "127.0.0.1:0"}
			if network == "unix" {
				address.Addr = filepath.Join(t.TempDir(), "policy.sock")
			}
			ln, err := listen.Open(address, 0o666)
			if err != nil {
				t.Fatal(err)
			}
			p, closed, err := w.server(mirror{})
			if err != nil {
				t.Fatal(err)
			}
			var bad counter
			p.Meter, p.Idle, p.Busy = &bad, idle, busy
			s := &listen.Server{Name: rules.ProtocolPolicy, Handle: p.Handle}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- s.Serve(ctx, ln) }()
			t.Cleanup(func() {
				cancel()
				if err := errors.Join(<-served, closed()); err != nil {
					t.Error(err)
				}
			})
			dial := func() net.Conn {
				c, err := net.Dial(network, ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			ask := func(c net.Conn) {
				t.Helper()
				want := "action=550 5.1.0 1@a.cz\n\n"
				got := make([]byte, len(want))
				if _, err := io.WriteString(c, full("1@a.cz")); err != nil {
					t.Fatal(network, err)
				}
				if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
					t.Fatalf("%s: %q, %v", network, got, err)
				}
			}
			ends := func(c net.Conn, least time.Duration) {
				t.Helper()
				began := time.Now()
				if err := c.SetReadDeadline(began.Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				_, err := io.ReadAll(c) // over TCP it may be reset
				if took := time.Since(began); took < least || took > 5*time.Second {
					t.Errorf("%s: it ended after %v, %v", network, took, err)
				}
			}
			c := dial()
			for range 4 {
				ask(c)
				time.Sleep(idle / 3)
			}
			ends(c, idle/3)
			if n := bad.Load(); n != 0 {
				t.Errorf("%s: %d malformed", network, n)
			}
			c = dial()
			ask(c)
			if _, err := io.WriteString(c, "request=smtpd_acc"); err != nil {
				t.Fatal(err)
			}
			ends(c, busy/2)
			if n := bad.Load(); n != 1 {
				t.Errorf("%s: %d malformed, want the slow one", network, n)
			}
		}
	})
}
