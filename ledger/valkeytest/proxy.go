package valkeytest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a host and a server, and can lose what they send, as a network
// does that was taken away: nobody gets an answer, or an error.
type Proxy struct {
	Addr   string
	to     string
	l      net.Listener
	mu     sync.Mutex
	closed bool
	black  bool
	answer bool // answers are lost, what is asked goes through
	every  int  // of so many answers one is met by the fault; 0: none
	fault  Fault
	least  int           // bytes of an answer that the fault may meet
	delay  time.Duration // of an answer that is Late
	seen   int           // answers
	most   int           // bytes that were asked at once
	conns  map[net.Conn]bool
}

// Fault is what happens to an answer whose question the server has heard.
type Fault int

// The faults.
const (
	Cut       Fault = iota // both sides of the connection are closed
	Tear                   // half of the answer arrives; then as Cut
	HalfClose              // the host is told that nothing more comes, and may still ask
	Silence                // this answer and all later ones of the connection are lost
	Late                   // it comes 300 ms late, or as late as Delay says
)

// Fail lets the fault meet every n-th answer; 0 ends that.
func (p *Proxy) Fail(every int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every, p.least, p.fault, p.delay = every, 0, f, 300*time.Millisecond
}

// FailLong lets the fault meet the answers of so many bytes.
func (p *Proxy) FailLong(least int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every, p.least, p.fault = 1, least, f
}

// Delay makes every answer so late.
func (p *Proxy) Delay(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every, p.least, p.fault, p.delay = 1, 0, Late, by
}

// strikes tells whether an answer of n bytes is met by a fault, and by which.
func (p *Proxy) strikes(n int) (f Fault, delay time.Duration, now bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.every == 0 || n < p.least {
		return 0, 0, false
	}
	p.seen++
	return p.fault, p.delay, p.seen%p.every == 0
}

// StartProxy starts one. It ends with the test.
func StartProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), to: to, l: l, conns: map[net.Conn]bool{}}
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// Lose loses everything from now on, that of open connections too.
func (p *Proxy) Lose() { p.set(true, false) }

// LoseAnswers loses what the server answers: it does what it is told, and nobody knows.
func (p *Proxy) LoseAnswers() { p.set(false, true) }

// Heal lets new connections through. Those that have lost something are closed.
func (p *Proxy) Heal() {
	p.set(false, false)
	p.drop()
}

func (p *Proxy) set(black, answer bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.black, p.answer = black, answer
}

func (p *Proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close() //nolint:errcheck // that is what it is for
		delete(p.conns, c)
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.l.Close() //nolint:errcheck // the test has ended
	p.drop()
}

func (p *Proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.to)
		if err != nil {
			c.Close() //nolint:errcheck // the server is not there
			continue
		}
		if !p.keep(c, s) {
			return
		}
		go p.ask(s, c)
		go p.answers(c, s)
	}
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close() //nolint:errcheck // too late
		}
		p.conns[c] = true
	}
	return !p.closed
}

func (p *Proxy) loses(answer bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.black || answer && p.answer
}

func (p *Proxy) asked(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = max(p.most, n)
}

// Most is how many bytes were asked at once, at most.
func (p *Proxy) Most() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.most
}

func (p *Proxy) ask(to io.WriteCloser, from io.Reader) {
	defer to.Close() //nolint:errcheck // the other side has gone
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.asked(n)
		if p.loses(false) {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *Proxy) answers(to, from net.Conn) {
	ends := true // with this side, the other one
	defer func() {
		if ends {
			to.Close()   //nolint:errcheck // that is what it is for
			from.Close() //nolint:errcheck // so that nothing more is asked
		}
	}()
	buf := make([]byte, 64<<10)
	silent := false
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if silent || p.loses(true) {
			continue
		}
		if f, delay, now := p.strikes(n); now {
			switch f {
			case Cut:
				return
			case Tear:
				to.Write(buf[:n/2]) //nolint:errcheck // it is closed anyway
				return
			case HalfClose:
				to.(*net.TCPConn).CloseWrite() //nolint:errcheck // the host may have gone
				ends, silent = false, true
				continue
			case Silence:
				silent = true
				continue
			case Late:
				time.Sleep(delay)
			}
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
