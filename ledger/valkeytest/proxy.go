package valkeytest

import (
	"io"
	"net"
	"sync"
	"testing"
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
	conns  map[net.Conn]bool
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
		go p.copy(s, c, false)
		go p.copy(c, s, true)
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

func (p *Proxy) copy(to io.WriteCloser, from io.Reader, answer bool) {
	defer to.Close() //nolint:errcheck // the other side has gone
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if p.loses(answer) {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
