package milter_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/listen"
	"portreeve/milter"
	"portreeve/rules"
)

// pipes is a listener that hands over one end of each pipe.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return local{c}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

type local struct{ net.Conn }

func (local) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// SetReadDeadline does nothing, nor does SetWriteDeadline: a closed pipe keeps its
// deadlines' timers, and itself, until they would have come. TestDeadlines is
// about them.
func (local) SetReadDeadline(time.Time) error  { return nil }
func (local) SetWriteDeadline(time.Time) error { return nil }

// house is a whole front in a bubble: when synctest.Wait returns, every goroutine
// of it waits or has ended, and can be counted.
type house struct {
	t    *testing.T
	ln   *pipes
	gate *gate
	done chan error
	stop context.CancelFunc
	n    int // of the next good session
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, gate: new(gate), ln: &pipes{make(chan net.Conn), make(chan struct{})}, done: make(chan error, 1)}
	var ctx context.Context
	ctx, h.stop = context.WithCancel(t.Context())
	front := &milter.Server{Gate: h.gate, Now: func() time.Time { return testTime }}
	s := &listen.Server{Name: rules.ProtocolMilter, Handle: front.Handle}
	go func() { h.done <- s.Serve(ctx, h.ln) }()
	return h
}

func (h *house) dial() *rig {
	ours, theirs := net.Pipe()
	h.ln.conns <- theirs
	return &rig{Conn: ours, t: h.t, gate: h.gate}
}

// attack sends bytes, takes whatever is answered, and hangs up when everything
// was sent or nobody takes more.
func (h *house) attack(sent string) {
	c := h.dial()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, c)
	}()
	_, _ = io.WriteString(c.Conn, sent)
	synctest.Wait()
	c.Close()
	<-read
	synctest.Wait()
	h.gate.forget()
}

// next is a session whose every fact is its own; nothing else may be seen in it.
func (h *house) next(after string) {
	h.n++
	r := h.dial()
	ip, login, sender := fmt.Sprintf("192.0.2.%d", h.n%250+1), fmt.Sprintf("l%d@a.cz", h.n), fmt.Sprintf("s%d@a.cz", h.n)
	r.send(negotiate, macros('C', "{client_addr}", ip, "{daemon_port}", "465")+frame('C', str("h"), "U"), frame('H', str("good.test")))
	answer := r.send(macros('M', "{auth_authen}", login)+frame('M', str("<"+sender+">")), frame('R', str("<r@b.cz>")), subject, endOfHeader, endOfMsg)
	r.Close()
	synctest.Wait()
	defer h.gate.forget()
	client := fmt.Sprintf(" client=%s:465 helo=good.test login=", ip)
	want := []string{
		"helo" + client + " tls=false",
		"mail" + client + login + " tls=false sender=" + sender + " id=",
		"rcpt" + client + login + " tls=false sender=" + sender + " id= recipient=r@b.cz taken=true",
		"headers" + client + login + " tls=false sender=" + sender + " id= recipients=[r@b.cz] trail=",
	}
	if asked := h.gate.take(); answer != continues || !slices.Equal(asked, want) {
		h.t.Errorf("after %s the next session is answered %q, and was asked about as\n\t%s", after, answer, strings.Join(asked, "\n\t"))
	}
}

// goroutines wants as many as there were.
func (h *house) goroutines(after string, want int) {
	h.t.Helper()
	if n := bubbled(); n != want {
		h.t.Errorf("after %s there are %d goroutines, not %d", after, n, want)
	}
}

// bubbled is how many goroutines the bubble has; the runtime's own come when they
// like.
func bubbled() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), ", synctest bubble ")
}

// hostileSequences are whole connections: those of hostileFrames, and what is
// hostile without being malformed.
func hostileSequences() map[string]string {
	all := map[string]string{
		"nothing":                "",
		"one byte":               "\x00",
		"half a length":          "\x00\x00",
		"a length and no more":   length(1 << 20),
		"a claim of a megabyte":  begun + mail + length(1<<20) + "L",
		"a second session":       begun + mail + rcpt + quit + begun + mail,
		"QUIT at once":           quit,
		"QUIT twice":             begun + quit + quit,
		"negotiation and ABORT":  negotiate + abort + connect + abort + helo,
		"version 0":              frame('O', strings.Repeat("\x00", 12)) + connect + helo + mail,
		"version 6 and more":     frame('O', "\x00\x00\x00\x06"+strings.Repeat("\xff", 200)) + connect + helo + mail,
		"XCLIENT's macros":       negotiate + connect + macros('C', "{client_addr}", "203.0.113.9", "{daemon_port}", "25") + helo + mail,
		"macros of every event":  begun + macros('M', "i", "A") + macros('R', "i", "B") + macros('N', "i", "C") + macros('E', "i", "D") + macros('C', "{client_addr}", "203.0.113.9") + mail,
		"macros of no event":     begun + macros('z', "{auth_authen}", "other@a.cz") + mail,
		"500 macro frames":       begun + strings.Repeat(macros('M', "{auth_authen}", "other@a.cz"), 500) + mail,
		"1,100 macro frames":     begun + strings.Repeat(macros('M', "{auth_authen}", "other@a.cz"), 1100),
		"a macro of 60 kB":       begun + macros('M', "{auth_authen}", strings.Repeat("x", 60_000)) + mail,
		"5,000 macros in one":    begun + macros('M', slices.Repeat([]string{"a", "b"}, 5000)...) + mail,
		"1,000 messages aborted": begun + strings.Repeat(mail+rcpt+abort, 1000),
		"1,000 times MAIL":       begun + strings.Repeat(mail, 1000),
		"1,000 times HELO":       begun + strings.Repeat(helo, 1000),
		"1,000 ABORTs":           begun + strings.Repeat(abort, 1000),
		"12,000 recipients":      begun + mail + strings.Repeat(rcpt, 12_000) + endOfHeader,
		"200,000 headers":        begun + mail + strings.Repeat(hop, 200_000) + endOfHeader,
		"a header without end":   begun + mail + strings.Repeat(frame('L', str("X-Long"), str(strings.Repeat("y ", 20_000))), 200),
		"a field of a megabyte":  begun + mail + frame('L', str("From"), str(strings.Repeat("a@b.cz, ", 130_000))) + endOfHeader,
		"deep comments":          begun + mail + frame('L', str("From"), str(strings.Repeat("(", 100_000))) + frame('L', str("Received"), str(strings.Repeat("(", 100_000))) + endOfHeader,
		"a refused message":      begun + mail + rcpt + hop + endOfHeader + endOfMsg + endOfMsg,
		"a panic in the rules":   begun + frame('M', str("<panic@a.cz>")) + rcpt,
		"binary rubbish":         strings.Repeat("\xff\x00\x7f\x80", 5000),
		"TLS":                    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x5a", 500),
		"a policy request":       "request=smtpd_access_policy\nsender=a@a.cz\n\n",
	}
	for name, f := range hostileFrames {
		all["frame: "+name] = f.before + f.bad + frame('M', str("<after@a.cz>"))
	}
	message := []string{mail, rcpt, hop, endOfHeader, endOfMsg}
	for i := range len(message) + 1 {
		sent := begun + strings.Join(message[:i], "")
		all[fmt.Sprintf("ABORT after %d frames", i)] = sent + abort
		all[fmt.Sprintf("QUIT after %d frames", i)] = sent + quit
		all[fmt.Sprintf("hung up after %d frames", i)] = sent
		if i < len(message) {
			all[fmt.Sprintf("cut in frame %d", i)] = sent + message[i][:len(message[i])-1]
		}
	}
	return all
}

// TestHostileSequences plays every hostile connection against one server, beside
// a session that waits inside its message all the while. After each of them the
// server is alive, its goroutines and its memory are what they were, and the next
// session is asked about with its own facts only.
func TestHostileSequences(t *testing.T) {
	sequences := hostileSequences()
	if len(sequences) < 100 {
		t.Errorf("only %d sequences", len(sequences))
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		bystander := h.dial()
		bystander.send(begun, macros('M', "{auth_authen}", "by@a.cz")+frame('M', str("<stander@a.cz>")))
		h.attack(begun)
		h.next("nothing")
		goroutines, before := bubbled(), heap()
		for name, sent := range sequences {
			h.attack(sent)
			h.next(name)
			h.goroutines(name, goroutines)
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("after %s the heap has %d bytes more", name, grown)
			}
		}
		bystander.want(bystander.send(frame('R', str("<r@b.cz>")), endOfHeader, endOfMsg), continues)
		const own = " client=198.51.100.7:587 helo=pc.test login=by@a.cz tls=false sender=stander@a.cz id="
		bystander.wantAsked("rcpt"+own+" recipient=r@b.cz taken=true", "headers"+own+" recipients=[r@b.cz] trail=")
		bystander.Close()
		h.stop()
		if err := <-h.done; err != nil {
			t.Error(err)
		}
	})
}

func (h *house) flood(goroutines int) {
	before := heap()
	var flood []*rig
	for i := range 3000 {
		r := h.dial()
		flood = append(flood, r)
		sent := []string{"", "\x00\x00", negotiate[:9], negotiate + connect}[i%4]
		go func() { _, _ = io.WriteString(r.Conn, sent) }()
	}
	synctest.Wait()
	if grown := heap() - before; grown > 3000*32<<10 {
		h.t.Errorf("3,000 connections hold %d bytes", grown)
	}
	h.next("a flood began")
	for _, r := range flood {
		r.Close()
	}
	synctest.Wait()
	h.next("a flood")
	h.goroutines("a flood", goroutines)
}

// TestFloodOfConnections: silent, half-begun and never-reading ones, all at once;
// when they have gone, so has everything that they cost.
func TestFloodOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.attack(begun)
		h.next("nothing")
		goroutines := bubbled()
		h.flood(goroutines) // the runtime keeps what describes a goroutine, to use it again
		before := heap()
		h.flood(goroutines)
		if grown := heap() - before; grown > 1<<20 {
			t.Errorf("the heap has %d bytes more", grown)
		}
		h.stop()
		if err := <-h.done; err != nil {
			t.Error(err)
		}
	})
}

// TestSecondConnection is what XCLIENT does: another connection of the same
// smtpd, with another client and login. Neither knows of the other.
func TestSecondConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		first := h.dial()
		first.send(begun, mail)
		second := h.dial()
		second.send(negotiate, macros('C', "{client_addr}", "203.0.113.9", "{daemon_port}", "25")+frame('C', str("x"), "U"), frame('H', str("other.test")))
		h.gate.take()
		second.send(frame('M', str("<x@b.cz>")))
		first.send(frame('R', str("<r@b.cz>")))
		second.send(frame('R', str("<q@b.cz>")))
		first.wantAsked(
			"mail client=203.0.113.9:25 helo=other.test login= tls=false sender=x@b.cz id=",
			"rcpt client=198.51.100.7:587 helo=pc.test login=jan@a.cz tls=true sender=jan@a.cz id= recipient=r@b.cz taken=true",
			"rcpt client=203.0.113.9:25 helo=other.test login= tls=false sender=x@b.cz id= recipient=q@b.cz taken=true",
		)
		first.Close()
		second.Close()
		h.stop()
		if err := <-h.done; err != nil {
			t.Error(err)
		}
	})
}
