package milter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/milter"
	"portreeve/rules"
)

var testTime = time.Date(2025, 11, 18, 10, 0, 0, 0, time.UTC)

// libraryLog is what go-milter printed to the standard log: it should have
// nothing to say, for it does not escape.
var libraryLog lines

func TestMain(m *testing.M) {
	log.SetOutput(&libraryLog)
	code := m.Run()
	if said := libraryLog.String(); said != "" {
		fmt.Fprintf(os.Stderr, "go-milter wrote to the standard log: %q\n", said)
		code = 1
	}
	os.Exit(code)
}

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

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// gate refuses what begins with "refuse", at the stage that its reply names,
// and keeps what it was asked as text.
type gate struct {
	mu    sync.Mutex
	asked []string
	told  []rules.Event
}

// Tell keeps how a message ended.
func (g *gate) Tell(_ context.Context, e rules.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, e)
	return nil
}

func (g *gate) Decide(_ context.Context, r *rules.Request) rules.Decision {
	refuse := func(text string) rules.Decision {
		return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: text}}
	}
	g.mu.Lock()
	g.asked = append(g.asked, show(r))
	g.mu.Unlock()
	switch {
	case r.Sender == "panic@a.cz":
		panic("a bug\nin the rules")
	case r.Stage == rules.StageHelo && r.Helo == "refuse.test",
		r.Stage == rules.StageMail && strings.HasPrefix(r.Sender, "refuse"):
		return refuse("<" + r.Sender + "> 100% rejected")
	case r.Stage == rules.StageRcpt && strings.HasPrefix(r.Recipient, "refuse"):
		return refuse("<" + r.Recipient + "> rejected")
	case r.Stage == rules.StageHeaders:
		for _, f := range r.Message.Trail {
			if f.Kind == rules.TrailHop {
				return refuse("relay rejected")
			}
		}
	}
	return rules.Decision{Action: rules.Pass}
}

// take returns what was asked since the last call.
func (g *gate) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

// forget drops what was asked and told.
func (g *gate) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.told = nil, nil
}

// show is a request on one line.
func show(r *rules.Request) string {
	s := fmt.Sprintf("%v client=%v:%d helo=%s login=%s tls=%v", r.Stage, r.Client, r.Port, r.Helo, r.Login, r.TLS)
	if r.Stage != rules.StageHelo {
		s += fmt.Sprintf(" sender=%s id=%s", r.Sender, r.QueueID)
	}
	if r.Stage == rules.StageRcpt {
		s += fmt.Sprintf(" recipient=%s taken=%v", r.Recipient, r.Taken)
	}
	if r.Message != nil {
		s += fmt.Sprintf(" recipients=%v trail=", r.Recipients)
		for _, f := range r.Message.Trail {
			s += string("ohr"[f.Kind])
		}
	}
	if r.Protocol != rules.ProtocolMilter || !r.Time.Equal(testTime) {
		s += " without protocol or time"
	}
	return s
}

type counter struct{ atomic.Int64 }

func (c *counter) ProtocolError(p rules.Protocol) {
	if p == rules.ProtocolMilter {
		c.Add(1)
	}
}

// rig is one milter connection.
type rig struct {
	net.Conn
	t      testing.TB
	gate   *gate
	errors counter
	log    lines
	done   chan struct{}
	cancel context.CancelFunc
	silent bool // header fields get no answer: negotiated
}

func start(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, gate: new(gate), done: make(chan struct{})}
	s := &milter.Server{
		Gate: r.gate, Now: func() time.Time { return testTime }, Meter: &r.errors,
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(t.Context())
	ours, theirs := net.Pipe()
	r.Conn = ours
	go func() {
		defer close(r.done)
		s.Handle(ctx, theirs)
		theirs.Close()
	}()
	return r
}

// frame builds a frame; the payload's parts are joined as they are.
func frame(cmd byte, parts ...string) string {
	payload := strings.Join(parts, "")
	return string(binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))) + string(cmd) + payload
}

// str is a NUL-terminated string of the protocol.
func str(s string) string { return s + "\x00" }

// The frames of an ordinary conversation.
var (
	negotiate = frame('O', "\x00\x00\x00\x06", "\x00\x00\x01\xff", "\x00\x1f\xff\xff")
	// An MTA that waits for an answer to each header field.
	negotiateOld = frame('O', "\x00\x00\x00\x02", "\x00\x00\x01\x3f", "\x00\x00\x00\x7f")
	connect      = macros('C', "{client_addr}", "198.51.100.7", "{daemon_port}", "587") +
		frame('C', str("pc.test"), "4", "\xc3\x50", str("198.51.100.7"))
	helo        = frame('H', str("pc.test"))
	mail        = macros('M', "{auth_authen}", "jan@a.cz", "{tls_version}", "TLSv1.3") + frame('M', str("<jan@a.cz>"), str("SIZE=100"))
	rcpt        = macros('R', "i", "4XyZ") + frame('R', str("<b@b.cz>"))
	subject     = frame('L', str("Subject"), str("hello"))
	hop         = frame('L', str("Received"), str("from a by b with ESMTP id c; now"))
	endOfHeader = frame('N')
	endOfMsg    = frame('E')
	abort       = frame('A')
	quit        = frame('Q')
)

func macros(cmd byte, pairs ...string) string {
	var b strings.Builder
	b.WriteByte(cmd)
	for _, s := range pairs {
		b.WriteString(str(s))
	}
	return frame('D', b.String())
}

// answered tells whether a frame has an answer.
func answered(f string) bool { return !strings.ContainsRune("DAQ", rune(f[4])) }

// send writes frames and returns the answer to the last of them; one that has
// none must be followed by one that has.
func (r *rig) send(frames ...string) string {
	r.t.Helper()
	answer := ""
	for _, several := range frames {
		for several != "" {
			n := 4 + int(binary.BigEndian.Uint32([]byte(several)))
			one := several[:n]
			several = several[n:]
			if _, err := io.WriteString(r.Conn, one); err != nil {
				r.t.Fatalf("command %q: %v, log: %s", one[4], err, r.log.String())
			}
			switch {
			case one[4] == 'L' && r.silent:
			case answered(one):
				answer = r.read()
			}
			if one[4] == 'O' {
				r.silent = answer[0] == 'O' && answer[12]&0x80 != 0
			}
		}
	}
	return answer
}

// read reads one answer.
func (r *rig) read() string {
	r.t.Helper()
	length := make([]byte, 4)
	if _, err := io.ReadFull(r.Conn, length); err != nil {
		r.t.Fatalf("no answer: %v, log: %s", err, r.log.String())
	}
	b := make([]byte, binary.BigEndian.Uint32(length))
	if _, err := io.ReadFull(r.Conn, b); err != nil {
		r.t.Fatalf("half an answer: %v", err)
	}
	return string(b)
}

// end closes the connection and waits for the handler.
func (r *rig) end() {
	r.Close()
	<-r.done
}

const continues = "c"

func (r *rig) want(answer, want string) {
	r.t.Helper()
	if answer != want {
		r.t.Errorf("answered %q, want %q", answer, want)
	}
}
