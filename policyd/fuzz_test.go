package policyd_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/policyd"
)

// script is a connection whose peer has sent everything, in pieces, and closed.
type script struct {
	net.Conn // none: whatever is not below is not called
	in       string
	piece    int
	out      bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if s.in == "" {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(s.piece, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func TestCutShort(t *testing.T) {
	for _, in := range []string{head + "sender=a@b.cz\n", head + "sender=a", "r"} {
		var n counter
		var log bytes.Buffer
		c := &script{in: full("permit@a.cz") + in, piece: 50}
		s := &policyd.Server{Gate: &gate{}, Meter: &n, Log: slog.New(slog.NewTextHandler(&log, nil))}
		s.Handle(t.Context(), c)
		if c.out.String() != "action=OK\n\n" || n.Load() != 1 || !strings.Contains(log.String(), "ended before the empty line") {
			t.Errorf("%q: answered %q, counted %d, logged %s", in, &c.out, n.Load(), &log)
		}
	}
}

// FuzzConnection cuts anything into pieces: every whole request before the
// first malformed one has exactly one answer, and nothing has one after it.
func FuzzConnection(f *testing.F) {
	addConversations(f)
	f.Fuzz(func(t *testing.T, in string, piece uint16) {
		c := &script{in: in, piece: max(int(piece), len(in)/64, 1)}
		s := &policyd.Server{Gate: &gate{}}
		s.Handle(t.Context(), c)
		eachIsAnswered(t, in, c.out.String())
	})
}

// FuzzParked is the same for a socket that a poller waits for.
func FuzzParked(f *testing.F) {
	addConversations(f)
	path := way{poller: true, waits: 3}.serve(f, pass{})
	f.Fuzz(func(t *testing.T, in string, piece uint16) {
		c := dial(t, "unix", path)
		go func() {
			defer c.(*net.UnixConn).CloseWrite() //nolint:errcheck // a closed connection takes no more
			for part := range slices.Chunk([]byte(in), max(int(piece), len(in)/64, 1)) {
				if _, err := c.Write(part); err != nil {
					return
				}
			}
		}()
		out, err := io.ReadAll(c)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) { // it did not read to the end
			t.Error(err)
		}
		eachIsAnswered(t, in, string(out))
	})
}

func addConversations(f *testing.F) {
	f.Add(full("refuse@a.cz")+full("permit@a.cz"), uint16(7))
	f.Add(head+"\n"+head+"x=1\nx=2\n\n"+full("permit@a.cz"), uint16(40))
	f.Add(full("a@b.cz")+"\n", uint16(1))
	f.Add(head+"sender=a\x00\n\n", uint16(3))
	f.Add(strings.Repeat(full("a@b.cz"), 20), uint16(65535))
}

func eachIsAnswered(t *testing.T, in, out string) {
	t.Helper()
	want := 0
	for rest := in; ; want++ {
		request, after, whole := strings.Cut(rest, "\n\n")
		if !whole || !wellFormed(request) {
			break
		}
		rest = after
	}
	if got := strings.Count(out, "\n\n"); got != want || strings.Count(out, "action=") < got {
		t.Errorf("%d answers to %d requests in %q: %q", got, want, in, out)
	}
}

// wellFormed says it in another way than the parser.
func wellFormed(request string) bool {
	if request == "" || request[0] == '\n' || len(request)+2 > policyd.MaxRequest || strings.ContainsAny(request, "\x00\r") {
		return false
	}
	seen := make(map[string]string)
	for line := range strings.SplitSeq(request, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if before, twice := seen[name]; !ok || (twice && before != value) {
			return false
		}
		seen[name] = value
	}
	return seen["request"] == "smtpd_access_policy"
}
