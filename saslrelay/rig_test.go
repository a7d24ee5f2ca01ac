package saslrelay

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/rules"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// head are the fields of an AUTH as Postfix sends them (FACTS.md 2.10).
const head = "\tservice=smtp\tnologin\tlip=127.0.0.1\trip=192.0.2.7"

func plain(id, login, password string) string {
	return "AUTH\t" + id + "\tPLAIN" + head + "\tresp=" + b64("\x00"+login+"\x00"+password)
}

// judge is a gate that does what the test says, and keeps what it heard.
type judge struct {
	decide func(rules.Request) rules.Decision // nil: everything passes

	mu    sync.Mutex
	asked []rules.Request
	told  []rules.Event
}

func (j *judge) Decide(_ context.Context, r *rules.Request) rules.Decision {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked = append(j.asked, *r)
	if j.decide == nil {
		return rules.Decision{}
	}
	return j.decide(*r)
}

func (j *judge) Tell(_ context.Context, e rules.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.told = append(j.told, e)
	return errors.New("the disk is full") // and the client is answered all the same
}

func (j *judge) heard() (asked []rules.Request, told []rules.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asked, j.told
}

func refuse(text string) rules.Decision {
	return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: text}}
}

// counter is the meter.
type counter struct {
	mu      sync.Mutex
	errors  int
	reports []string
}

func (c *counter) ProtocolError(p rules.Protocol) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p == rules.ProtocolSASL {
		c.errors++
	}
}

func (c *counter) AuthReport(service, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, service+" "+result)
}

// rig is one conversation; the test is both Postfix and Dovecot.
type rig struct {
	t                *testing.T
	judge            *judge
	meter            *counter
	log              *bytes.Buffer // to be read after end
	postfix, dovecot *end
	stop             context.CancelFunc
	done             chan struct{}
}

// end is the test's end of a connection.
type end struct {
	t    *testing.T
	name string
	net.Conn
	in *bufio.Reader
}

func start(t *testing.T, decide func(rules.Request) rules.Decision) *rig {
	t.Helper()
	r := &rig{t: t, judge: &judge{decide: decide}, meter: &counter{}, log: &bytes.Buffer{}, done: make(chan struct{})}
	s := &Server{Gate: r.judge, Meter: r.meter, Log: slog.New(slog.NewTextHandler(r.log, nil))}
	pOurs, pTheirs := net.Pipe()
	dOurs, dTheirs := net.Pipe()
	r.postfix = &end{t, "Postfix", pOurs, bufio.NewReader(pOurs)}
	r.dovecot = &end{t, "Dovecot", dOurs, bufio.NewReader(dOurs)}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() {
		defer close(r.done)
		s.between(pTheirs, dTheirs).serve(ctx)
	}()
	t.Cleanup(func() {
		pOurs.Close()
		dOurs.Close()
		<-r.done
		stop()
	})
	return r
}

// sends writes lines, and returns when the relay has read them.
func (e *end) sends(lines ...string) {
	e.t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(e.Conn, l+"\n"); err != nil {
			e.t.Fatalf("%s cannot send %q: %v", e.name, l, err)
		}
	}
}

// gets reads lines and compares them.
func (e *end) gets(lines ...string) {
	e.t.Helper()
	for _, want := range lines {
		if err := e.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			e.t.Fatal(err)
		}
		got, err := e.in.ReadString('\n')
		if err != nil || got != want+"\n" {
			e.t.Fatalf("%s got %q, %v; want %q", e.name, got, err, want)
		}
	}
}

// closed wants the end of the connection, and nothing before it.
func (e *end) closed() {
	e.t.Helper()
	_ = e.SetReadDeadline(time.Time{}) // a pipe whose other end is closed has none to set
	rest, err := io.ReadAll(e.in)
	if err != nil || len(rest) > 0 {
		e.t.Fatalf("%s got %q, %v; want the end", e.name, rest, err)
	}
}

// ends wants both connections closed.
func (r *rig) ends() {
	r.t.Helper()
	r.dovecot.closed()
	r.postfix.closed()
	<-r.done
	if strings.Contains(r.log.String(), "secret") {
		r.t.Errorf("a password is in the log: %s", r.log)
	}
}
