package policyd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/policyd"
	"portreeve/rules"
)

// halting is a gate that a poller asks: a sender that begins with "wait" is decided when
// go says so. It answers with the sender.
type halting struct {
	mirror
	at     chan string // the senders that wait
	goOn   chan bool
	begins atomic.Int64 // how often the poller asked
	asks   atomic.Int64 // how often the goroutine of a connection did
}

func newHalting() *halting { return &halting{at: make(chan string, 100), goOn: make(chan bool)} }

func (h *halting) Decide(ctx context.Context, r *rules.Request) rules.Decision {
	h.asks.Add(1)
	return h.mirror.Decide(ctx, r)
}

func (h *halting) Begin(ctx context.Context, r *rules.Request, d *rules.Decision) policyd.Rest {
	h.begins.Add(1)
	switch {
	case strings.HasPrefix(r.Sender, "panic"):
		panic("a bug")
	case strings.HasPrefix(r.Sender, "wait"):
		return halt{h, r}
	}
	*d = h.mirror.Decide(ctx, r)
	return nil
}

type halt struct {
	h *halting
	r *rules.Request
}

func (h halt) Decide() rules.Decision {
	h.h.at <- h.r.Sender
	<-h.h.goOn
	return h.h.mirror.Decide(context.Background(), h.r)
}

// parked is a server with a poller, which begins to accept when it is told to.
type parked struct {
	*halting
	listen.Server
	t      *testing.T
	ln     net.Listener
	policy policyd.Server
	bad    counter
	log    *bytes.Buffer // read after end
	stop   context.CancelFunc
	done   chan error
}

func park(t *testing.T, network string) *parked {
	t.Helper()
	a := listen.Address{Network: network, Addr: "127.0.0.1:0"}
	if network == "unix" {
		a.Addr = filepath.Join(t.TempDir(), "policy.sock")
	}
	ln, err := listen.Open(a, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	p := &parked{halting: newHalting(), t: t, ln: ln, log: new(bytes.Buffer), done: make(chan error, 1)}
	p.policy = policyd.Server{Gate: p.halting, Prompt: p.halting, Meter: &p.bad}
	if p.policy.Poller, err = listen.NewPoller(time.Now); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *parked) start() {
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.policy.Log, p.Log, p.Name, p.Handle = log, log, rules.ProtocolPolicy, p.policy.Handle
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	p.t.Cleanup(p.stop)
	go func() { p.done <- p.Serve(ctx, p.ln) }()
}

// end drains.
func (p *parked) end() {
	p.t.Helper()
	p.stop()
	if err := errors.Join(<-p.done, p.policy.Poller.Close()); err != nil {
		p.t.Error(err)
	}
}

func (p *parked) dial() net.Conn {
	p.t.Helper()
	return dial(p.t, p.ln.Addr().Network(), p.ln.Addr().String())
}

func (p *parked) send(c net.Conn, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if _, err := io.WriteString(c, text); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *parked) answers(c net.Conn, senders ...string) {
	p.t.Helper()
	want := mirrored(senders...)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		p.t.Fatalf("%.200q, %v, want %.200q", got[:n], err, want)
	}
}

func (p *parked) ends(c net.Conn) {
	p.t.Helper()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		p.t.Errorf("%q, %v, want the end", b, err)
	}
}

func mirrored(senders ...string) string {
	var all strings.Builder
	for _, s := range senders {
		all.WriteString("action=550 5.1.0 " + s + "\n\n")
	}
	return all.String()
}

func requests(senders ...string) string {
	var all strings.Builder
	for _, s := range senders {
		all.WriteString(full(s))
	}
	return all.String()
}

func closeWrite(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func onBothNetworks(t *testing.T, test func(t *testing.T, p *parked)) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			check := nothingStays(t)
			test(t, park(t, network))
			check()
		})
	}
}

// padded is a request of so many bytes.
func padded(sender string, size int) string {
	request := strings.TrimSuffix(full(sender), "\n")
	return request + "x=" + strings.Repeat("y", size-len(request)-4) + "\n\n"
}

// TestAllAtOnce: requests, and the end, that have come before the connection is looked at.
func TestAllAtOnce(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		many := strings.Split(strings.Repeat("a@b.cz ", 30)+"z@b.cz", " ")
		close(p.goOn)
		for _, tt := range []struct {
			text    string
			senders []string
		}{
			{full("1@a.cz"), []string{"1@a.cz"}},
			{full("wait1@a.cz"), []string{"wait1@a.cz"}},
			{requests("1@a.cz", "wait2@a.cz", "3@a.cz", "wait4@a.cz"), []string{"1@a.cz", "wait2@a.cz", "3@a.cz", "wait4@a.cz"}},
			{requests(many...), many},
			{requests("wait0@a.cz") + requests(many...), append([]string{"wait0@a.cz"}, many...)},
			{padded("1@a.cz", 4096), []string{"1@a.cz"}}, // fills the buffer, and so on
			{padded("1@a.cz", 4096) + padded("2@a.cz", 4096) + padded("wait3@a.cz", 4096), []string{"1@a.cz", "2@a.cz", "wait3@a.cz"}},
			{padded("1@a.cz", 4095) + padded("2@a.cz", 4098) + full("3@a.cz"), []string{"1@a.cz", "2@a.cz", "3@a.cz"}},
			{padded("1@a.cz", 60_000) + full("2@a.cz"), []string{"1@a.cz", "2@a.cz"}},
			{padded("1@a.cz", policyd.MaxRequest) + padded("wait2@a.cz", policyd.MaxRequest), []string{"1@a.cz", "wait2@a.cz"}},
		} {
			for _, ended := range []bool{true, false} {
				c := p.dial()
				sent := make(chan bool)
				go func() { // more than a socket takes while nobody reads
					defer close(sent)
					p.send(c, tt.text)
					if ended {
						closeWrite(t, c)
					}
				}()
				if len(tt.text) < 50_000 {
					<-sent
				}
				if p.stop == nil {
					p.start()
				}
				p.answers(c, tt.senders...)
				if <-sent; !ended {
					p.send(c, full("again@a.cz"))
					p.answers(c, "again@a.cz")
					closeWrite(t, c)
				}
				p.ends(c)
				c.Close()
			}
		}
		p.end()
		if p.bad.Load() > 0 || p.log.Len() > 0 {
			t.Errorf("%d malformed, logged %s", p.bad.Load(), p.log)
		}
	})
}

// TestMeanwhile: what comes while a decision waits is answered after it, though nothing
// comes behind it.
func TestMeanwhile(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.start()
		half := full("3@a.cz")
		for _, next := range [][]string{{full("2@a.cz")}, {requests("2@a.cz", "3@a.cz")}, {full("2@a.cz"), half[:300], half[300:]}} {
			for _, ended := range []bool{false, true} {
				c := p.dial()
				p.send(c, full("wait1@a.cz"))
				<-p.at
				p.send(c, next...)
				if ended {
					closeWrite(t, c)
				}
				p.goOn <- true
				p.answers(c, "wait1@a.cz", "2@a.cz")
				if len(strings.Join(next, "")) > len(full("2@a.cz")) {
					p.answers(c, "3@a.cz")
				}
				if !ended {
					p.send(c, full("4@a.cz"))
					p.answers(c, "4@a.cz")
					c.Close()
					continue
				}
				p.ends(c)
				c.Close()
			}
		}
		p.end()
	})
}

// TestLargeThenParked: a request that the buffer does not hold is its goroutine's; the
// next is the poller's again.
func TestLargeThenParked(t *testing.T) {
	onBothNetworks(t, func(t *testing.T, p *parked) {
		p.start()
		c := p.dial()
		for i := range 20 {
			p.send(c, padded("1@a.cz", 20_000+i*2000))
			p.answers(c, "1@a.cz")
			p.send(c, full("2@a.cz"))
			p.answers(c, "2@a.cz")
			if b, a := p.begins.Load(), p.asks.Load(); b != int64(i+1) || a != int64(i+1) {
				t.Fatalf("of %d large requests and as many small ones the poller was asked %d, the goroutine %d", i+1, b, a)
			}
		}
		c.Close()
		p.end()
	})
}
