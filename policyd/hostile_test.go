package policyd_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/policyd"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// endless is a peer that sends one byte for ever, as fast as it is read.
type endless struct {
	script
	with byte
	left int
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := min(len(p), e.left)
	if n == 0 {
		return 0, io.EOF
	}
	for i := range n {
		p[i] = e.with
	}
	e.left, e.read = e.left-n, e.read+n
	return n, nil
}

// TestEndlessLine: of a gigabyte without a newline no more is read than a request
// may have, and the connection is closed.
func TestEndlessLine(t *testing.T) {
	for _, with := range []byte{'a', '=', 0, 0xff} {
		var n counter
		var log bytes.Buffer
		c := &endless{with: with, left: 1 << 30}
		before := heap()
		(&policyd.Server{Gate: &gate{}, Meter: &n, Log: slog.New(slog.NewTextHandler(&log, nil))}).Handle(t.Context(), c)
		if grown := heap() - before; grown > 1<<18 {
			t.Errorf("%q: %d bytes are held", with, grown)
		}
		if c.read > policyd.MaxRequest || n.Load() != 1 || c.out.Len() > 0 || !strings.Contains(log.String(), "longer than 65536 bytes") {
			t.Errorf("%q: read %d, counted %d, answered %q, logged %s", with, c.read, n.Load(), &c.out, &log)
		}
	}
}

// TestLongNamesAndValues: within 64 KiB every name and value is taken, whatever
// its bytes; what is unknown is ignored.
func TestLongNamesAndValues(t *testing.T) {
	long := strings.Repeat("x", 60_000)
	for name, attribute := range map[string]string{
		"a long name":          long + "=1",
		"a long value":         "sender=" + long,
		"a long known one":     "helo_name=" + long,
		"an empty name":        "=value",
		"an equal sign":        "=",
		"many equal signs":     strings.Repeat("=", 60_000),
		"no UTF-8 in a name":   "\xff\xfe\x80=1",
		"no UTF-8 in a value":  "sender=\xff\xfe\x80@a.cz",
		"an overlong encoding": "sender=\xc0\xae@a.cz",
		"controls":             "helo_name=\x01\x02\x1b[2J\x7f",
		"markup":               "helo_name=<script>alert(1)</script>",
		"right to left":        "sender=\u202ezc.a@b",
		"from Postfix 4":       "tls_of_tomorrow=yes\nserver_mood=fine",
	} {
		r := start(t, &gate{})
		r.send(head + "protocol_state=MAIL\n" + attribute + "\n\n" + full("permit@a.cz"))
		if got := r.answer(t) + r.answer(t); got != "action=DUNNO\n\naction=OK\n\n" {
			t.Errorf("%s: answered %q", name, got)
		}
		r.Close()
		<-r.done
		if len(r.gate.asked) != 2 || r.errors.Load() != 0 {
			t.Errorf("%s: asked %d times, log %s", name, len(r.gate.asked), r.log)
		}
	}
}

// TestPipelinedUnread sends thousands of requests and reads nothing: the server
// holds a few answers, stops reading, and gives the peer up.
func TestPipelinedUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, &gate{})
		before := heap()
		var taken atomic.Int64
		written := make(chan struct{})
		go func() {
			defer close(written)
			for range 20_000 {
				if _, err := io.WriteString(r.Conn, full("refuse@a.cz")); err != nil {
					return
				}
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if grown := heap() - before; grown > 1<<20 || taken.Load() > 1000 {
			t.Errorf("%d requests were taken, and hold %d bytes", taken.Load(), grown)
		}
		began := time.Now()
		<-r.done
		if took := time.Since(began); took != policyd.DefaultWrite {
			t.Errorf("given up after %v", took)
		}
		<-written
	})
}

// TestThousandsPipelined: every request has its answer, in its turn, whatever
// number comes together.
func TestThousandsPipelined(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		const n = 20_000
		c, err := net.Dial("unix", w.serve(t, mirror{}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			var in strings.Builder
			for i := range n {
				in.WriteString(full(fmt.Sprintf("%d@a.cz", i)))
				if in.Len() > 60_000 || i == n-1 {
					if _, err := io.WriteString(c, in.String()); err != nil {
						return // the reader says what is missing
					}
					in.Reset()
				}
			}
		}()
		for i := range n {
			want := fmt.Sprintf("action=550 5.1.0 %d@a.cz\n\n", i)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Fatalf("answer %d is %q, %v", i, got, err)
			}
		}
	})
}

// TestHalfClosed: a client that has said all that it will say still gets its
// answers, and then the end.
func TestHalfClosed(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		path := w.serve(t, mirror{})
		for _, tail := range []string{"", "request=smtpd_acc"} {
			c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, full("1@a.cz")+full("2@a.cz")+tail); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if want := "action=550 5.1.0 1@a.cz\n\naction=550 5.1.0 2@a.cz\n\n"; err != nil || string(got) != want {
				t.Errorf("%q behind it: %q, %v", tail, got, err)
			}
		}
	})
}
