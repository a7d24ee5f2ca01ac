package policyd_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/policyd"
	"portreeve/rules"
)

// TestMalformedWhereParked: what came before is answered, by whomever, and the rest is
// not; logged and counted as ever.
func TestMalformedWhereParked(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.start()
		close(p.goOn)
		n := 0
		for in, reason := range map[string]string{
			"\n":                             "no request=",
			"\n\n":                           "no request=",
			"protocol_state=RCPT\n\n":        "no request=",
			head + "sender\n\n":              "a line without =",
			head + "sender=a\x00b\n\n":       "a NUL byte",
			head + "sender=a\r\n\n":          "a CR byte",
			head + "sender=a\r\n\r\n":        "a CR byte", // never whole
			head + "x=1\nx=2\n\n":            "contradicting values",
			head + strings.Repeat("x", 5000): "ended before the empty line",
			"r":                              "ended before the empty line",
		} {
			for _, before := range [][]string{nil, {"1@a.cz"}, {"1@a.cz", "wait2@a.cz"}} {
				for _, apart := range []bool{false, true} {
					c := p.dial()
					if apart {
						p.send(c, requests(before...))
						p.answers(c, before...)
					} else {
						in = requests(before...) + in
					}
					p.send(c, in)
					closeWrite(t, c)
					if !apart {
						p.answers(c, before...)
						in = strings.TrimPrefix(in, requests(before...))
					}
					p.ends(c)
					c.Close()
					n++
				}
			}
			if got := p.bad.Load(); got != int64(n) {
				t.Errorf("%q (%s): %d are counted of %d", in, reason, got, n)
			}
		}
		p.end()
		if got := strings.Count(p.log.String(), "malformed policy request, connection closed"); got != n {
			t.Errorf("%d are logged of %d", got, n)
		}
		if got := strings.Count(p.log.String(), "ended before the empty line"); got != 12 {
			t.Errorf("%d times: ended before the empty line", got)
		}
	})
}

// TestUnreadAnswers: they wait for the peer as long as Write allows, and no longer; the
// poller does not wait for it.
func TestUnreadAnswers(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.policy.Write = 20 * time.Second
		p.start()
		long, n := strings.Repeat("s", 50_000), 200
		asker, beside := p.dial(), p.dial()
		go func() {
			for i := range n {
				sender := long
				if i%7 == 0 {
					sender = "1@a.cz"
				}
				if _, err := io.WriteString(asker, full(sender)); err != nil {
					return // the reader says what is missing
				}
			}
		}()
		for range 100 {
			p.send(beside, full("2@a.cz"))
			p.answers(beside, "2@a.cz")
		}
		for i := range n {
			if i%7 == 0 {
				p.answers(asker, "1@a.cz")
			} else {
				p.answers(asker, long)
			}
		}
		p.send(asker, full("3@a.cz"))
		p.answers(asker, "3@a.cz")
		asker.Close()
		beside.Close()
		p.end()
	})
}

// TestNeverReadWhereParked: such a peer is given up.
func TestNeverReadWhereParked(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.policy.Write, p.Max = 50*time.Millisecond, 1
		p.start()
		c := p.dial()
		for many := full(strings.Repeat("s", 3000)); ; { // a whole request in the first buffer
			if _, err := io.WriteString(c, many); err != nil {
				break
			}
		}
		next := p.dial() // gets the place
		p.send(next, full("1@a.cz"))
		p.answers(next, "1@a.cz")
		c.Close()
		next.Close()
		p.end()
		if !strings.Contains(p.log.String(), "i/o timeout") {
			t.Errorf("logged %s", p.log)
		}
	})
}

// TestPeerIsGone: one that closes or resets, parked or while a decision waits, leaves
// its place.
func TestPeerIsGone(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.Max = 1
		p.start()
		for i := range 60 {
			c := p.dial()
			waits := i%3 == 0
			if waits {
				p.send(c, full("wait1@a.cz"))
				<-p.at
			} else {
				p.send(c, full("1@a.cz"))
				p.answers(c, "1@a.cz")
			}
			if i%3 == 1 {
				p.send(c, full("2@a.cz")+"half") // its answer is not read
			}
			if tcp, ok := c.(*net.TCPConn); ok && i%2 == 0 {
				if err := tcp.SetLinger(0); err != nil {
					t.Fatal(err)
				}
			}
			c.Close()
			if waits {
				p.goOn <- true
			}
		}
		p.end()
		if strings.Contains(p.log.String(), "panic") {
			t.Errorf("logged %s", p.log)
		}
	})
}

// TestPanicWhereParked: what was answered before it is lost with it, the others go on,
// and the place is given back.
func TestPanicWhereParked(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.Max = 2
		p.start()
		beside := p.dial()
		for range 5 {
			c := p.dial()
			p.send(c, full("1@a.cz"))
			p.answers(c, "1@a.cz")
			p.send(c, full("panic@a.cz"))
			p.ends(c)
			c.Close()
			p.send(beside, full("2@a.cz"))
			p.answers(beside, "2@a.cz")
		}
		beside.Close()
		p.end()
		if log := p.log.String(); strings.Count(log, `error="a bug"`) != 5 || strings.Count(log, "(*halting).Begin") != 5 {
			t.Errorf("logged %s", log)
		}
	})
}

// TestDrainOfTheParked: they end at once, and what has come is answered first.
func TestDrainOfTheParked(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.start()
		idle, waits := make([]net.Conn, 200), p.dial()
		for i := range idle {
			idle[i] = p.dial()
			p.send(idle[i], full("1@a.cz"))
			p.answers(idle[i], "1@a.cz")
		}
		p.send(waits, full("wait1@a.cz"))
		<-p.at
		p.send(waits, full("2@a.cz"))
		p.stop()
		for _, c := range idle {
			p.ends(c)
			c.Close()
		}
		p.goOn <- true
		p.answers(waits, "wait1@a.cz", "2@a.cz")
		p.ends(waits)
		waits.Close()
		p.end()
		if p.bad.Load() > 0 {
			t.Errorf("%d malformed, logged %s", p.bad.Load(), p.log)
		}
	})
}

// TestDrainEndsWhatWaits: a decision that takes longer than the drain loses its
// connection.
func TestDrainEndsWhatWaits(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.Drain = 20 * time.Millisecond
		p.start()
		c := p.dial()
		p.send(c, full("wait1@a.cz"))
		<-p.at
		p.stop()
		p.ends(c)
		p.goOn <- true
		c.Close()
		p.end()
		if !strings.Contains(p.log.String(), "closing connections that did not end in time") {
			t.Errorf("logged %s", p.log)
		}
	})
}

// inMemory is a listener whose one connection has no socket.
type inMemory struct {
	conn chan net.Conn
	stop context.Context //nolint:containedctx // a listener's end
}

func (l inMemory) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.stop.Done():
		return nil, net.ErrClosed
	}
}
func (inMemory) Close() error   { return nil }
func (inMemory) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// fromUnix is a connection that says so, as the listener's check asks for.
type fromUnix struct{ net.Conn }

func (fromUnix) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// TestNoSocket: a connection that has none is its goroutine's all the time.
func TestNoSocket(t *testing.T) {
	h := newHalting()
	poller, err := listen.NewPoller(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := listen.Server{Name: rules.ProtocolPolicy, Handle: (&policyd.Server{Gate: h, Poller: poller, Prompt: h}).Handle}
	done := make(chan error, 1)
	ln := inMemory{conn: make(chan net.Conn), stop: ctx}
	go func() { done <- s.Serve(ctx, ln) }()
	ours, theirs := net.Pipe()
	ln.conn <- fromUnix{theirs}
	for range 3 {
		if _, err := io.WriteString(ours, full("1@a.cz")); err != nil {
			t.Fatal(err)
		}
		want := mirrored("1@a.cz")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(ours, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
	stop()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the drain: %v", err)
	}
	if err := errors.Join(<-done, poller.Close()); err != nil {
		t.Error(err)
	}
	if b, a := h.begins.Load(), h.asks.Load(); b > 0 || a != 3 {
		t.Errorf("the poller was asked %d times, the goroutine %d", b, a)
	}
}
