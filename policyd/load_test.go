package policyd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"portreeve/policyd"
	"portreeve/rules"
)

// mirror answers with the sender, so that a mixed-up answer shows.
type mirror struct{}

func (mirror) Decide(_ context.Context, r *rules.Request) rules.Decision {
	return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: r.Sender}}
}

func TestConcurrentLoad(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		path := w.serve(t, mirror{})
		var clients sync.WaitGroup
		for i := range 50 {
			clients.Go(func() {
				c, err := net.Dial("unix", path)
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				in := bufio.NewReader(c)
				for j := range 100 {
					sender := fmt.Sprintf("%d.%d@a.cz", i, j)
					if _, err := io.WriteString(c, full(sender)); err != nil {
						t.Error(err)
						return
					}
					line, err := in.ReadString('\n')
					if err == nil {
						_, err = in.ReadString('\n')
					}
					if want := "action=550 5.1.0 " + sender + "\n"; err != nil || line != want {
						t.Errorf("got %q, %v, want %q", line, err, want)
						return
					}
				}
			})
		}
		clients.Wait()
	})
}

// TestPanicEndsOneConnection: a bug in the rules closes the connection of the
// request that met it, and Postfix defers (FACTS.md 1.7).
func TestPanicEndsOneConnection(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		path := w.serve(t, &gate{})
		good, bad := dial(t, "unix", path), dial(t, "unix", path)
		if _, err := io.WriteString(bad, full("panic@a.cz")); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(bad); err != nil || len(b) != 0 {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := io.WriteString(good, full("permit@a.cz")); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(good).ReadString('\n'); err != nil || line != "action=OK\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// pass decides at no cost.
type pass struct{}

func (pass) Decide(context.Context, *rules.Request) rules.Decision { return rules.Decision{} }

// BenchmarkRequest is the front alone; its one allocation holds the request's
// strings.
func BenchmarkRequest(b *testing.B) {
	b.ReportAllocs()
	s := &policyd.Server{Gate: pass{}}
	s.Handle(b.Context(), &repeat{line: []byte(full("jan.novak@domena.cz")), left: b.N})
}

// repeat is a peer that sends one request again and again.
type repeat struct {
	script
	line []byte
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left--; r.left < 0 {
		return 0, io.EOF
	}
	return copy(p, r.line), nil
}

func (r *repeat) Write(p []byte) (int, error) { return len(p), nil }

func TestAllocations(t *testing.T) {
	const n = 1000
	requests := strings.Repeat(full("jan.novak@domena.cz"), n)
	got := testing.AllocsPerRun(5, func() {
		s := &policyd.Server{Gate: pass{}}
		s.Handle(t.Context(), &repeat{line: []byte(requests[:len(requests)/n]), left: n})
	})
	// The copy of the request's strings; the connection's own few are spread over
	// all.
	if per := got / n; per > 1.1 {
		t.Errorf("%.2f allocations a request, want one for its strings", per)
	}
}

// BenchmarkSocket is the whole exchange over a unix socket.
func BenchmarkSocket(b *testing.B) {
	for _, w := range ways[:3] {
		b.Run(w.name, func(b *testing.B) { benchmarkSocket(b, w) })
	}
}

func benchmarkSocket(b *testing.B, w way) {
	path := w.serve(b, pass{})
	b.ReportAllocs()
	request := []byte(full("jan.novak@domena.cz"))
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("unix", path)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 64)
		for pb.Next() {
			if _, err := c.Write(request); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(c, buf[:len("action=DUNNO\n\n")]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func TestAddressesOfAllForms(t *testing.T) {
	for _, in := range []string{
		"0.0.0.0", "255.255.255.255", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1..2.3", ".1.2.3", "1.2.3.",
		"1.2.3.4 ", "", "::", "::1%lo", "IPv6:::1", "2001:db8::1", "::ffff:1.2.3.4", "1.2.3.4:25", "unknown",
	} {
		want := netip.Addr{}
		if a, err := netip.ParseAddr(in); err == nil {
			want = a.Unmap().WithZone("")
		}
		g := &gate{}
		s := &policyd.Server{Gate: g}
		s.Handle(t.Context(), &script{in: head + "protocol_state=MAIL\nclient_address=" + in + "\n\n", piece: 1 << 20})
		if len(g.asked) != 1 || g.asked[0].Client != want {
			t.Errorf("%q: %v, want %v", in, g.asked, want)
		}
	}
}
