package policyd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/listen"
	"portreeve/policyd"
	"portreeve/rules"
)

// way is how a server waits for its connections.
type way struct {
	name   string
	poller bool
	waits  int // of so many decisions one has to be waited for; 0: none
}

// ways are all of them. What a socket's test says holds in each.
var ways = []way{
	{name: "each goroutine"},
	{name: "poller, at once", poller: true},
	{name: "poller, never at once", poller: true, waits: 1},
	{name: "poller, mostly at once", poller: true, waits: 3},
}

func inEachWay(t *testing.T, test func(t *testing.T, w way)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

// server has the gate; end closes what it took.
func (w way) server(g policyd.Gate) (s *policyd.Server, end func() error, err error) {
	s = &policyd.Server{Gate: g}
	if !w.poller {
		return s, func() error { return nil }, nil
	}
	if s.Poller, err = listen.NewPoller(time.Now); err != nil {
		return nil, nil, err
	}
	s.Prompt = &prompt{Gate: g, waits: w.waits}
	return s, s.Poller.Close, nil
}

// listenAndServe serves until end is called.
func (w way) listenAndServe(path string, g policyd.Gate) (end func() error, err error) {
	ln, err := listen.Open(listen.Address{Network: "unix", Addr: path}, 0o666)
	if err != nil {
		return nil, err
	}
	p, closed, err := w.server(g)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &listen.Server{Name: rules.ProtocolPolicy, Handle: p.Handle}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	return func() error {
		cancel()
		return errors.Join(<-done, closed())
	}, nil
}

func (w way) serve(t testing.TB, g policyd.Gate) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "policy.sock")
	end, err := w.listenAndServe(path, g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return path
}

// prompt makes a Gate one that a poller asks.
type prompt struct {
	policyd.Gate
	waits int

	asked, waited atomic.Int64
}

func (p *prompt) Begin(ctx context.Context, r *rules.Request, d *rules.Decision) policyd.Rest {
	if n := p.asked.Add(1); p.waits == 0 || n%int64(p.waits) != 0 {
		*d = p.Decide(ctx, r)
		return nil
	}
	p.waited.Add(1)
	return &rest{gate: p.Gate, ctx: ctx, request: r, was: fmt.Sprintf("%+v", *r)}
}

// rest asks the gate when something else has been waited for. The request is its own
// until then.
type rest struct {
	gate    policyd.Gate
	ctx     context.Context
	request *rules.Request
	was     string
}

func (r *rest) Decide() rules.Decision {
	other := make(chan struct{})
	go func() {
		runtime.Gosched()
		close(other)
	}()
	<-other
	if is := fmt.Sprintf("%+v", *r.request); is != r.was {
		return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Text: "the request has become another: " + is + " was " + r.was}}
	}
	return r.gate.Decide(r.ctx, r.request)
}

// openFiles is how many descriptors this process has.
func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// nothingStays is called before anything is; what it returns, when all has ended.
func nothingStays(t testing.TB) (check func()) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	return func() {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			g, f := runtime.NumGoroutine(), openFiles(t)
			if g <= goroutines && f <= files {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d goroutines and %d descriptors, before %d and %d", g, f, goroutines, files)
			}
		}
	}
}

// dial connects; the connection does not outlive the test.
func dial(t testing.TB, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
