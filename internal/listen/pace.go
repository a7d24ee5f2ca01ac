package listen

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// ErrDraining is returned by Pace.Wait when the connection should be closed
// because the daemon stops.
var ErrDraining = errors.New("the daemon stops")

// longAgo as a deadline ends a read that is under way.
var longAgo = time.Unix(1, 0)

// restWithin bounds the reading of what was sent before a drain began: over TCP,
// the peer may go on sending.
const restWithin = time.Second

// Pace sets the read deadlines of a conversation: a long one while nothing has
// begun, a short one from the first byte of a request to its last. When the
// context ends, a wait for the next request ends at once or after the time that
// it was given, and a request that has begun may finish.
type Pace struct {
	conn       net.Conn
	idle, busy time.Duration
	stop       func() bool

	mu      sync.Mutex
	drained time.Time // when the daemon began to stop; zero before
	waiting bool
	linger  time.Duration // of the wait that is under way
}

// NewPace paces the connection until Stop.
func NewPace(ctx context.Context, c net.Conn, idle, busy time.Duration) *Pace {
	p := &Pace{conn: c, idle: idle, busy: busy}
	p.stop = context.AfterFunc(ctx, p.drain)
	return p
}

// Stop releases what NewPace took.
func (p *Pace) Stop() { p.stop() }

// Wait is called before the read for a request's first byte. linger is for how
// long a drain waits, from its begin, for what the conversation is in the middle
// of; 0 is nothing. When that time has passed, the only error is ErrDraining.
func (p *Pace) Wait(linger time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.linger = true, linger
	if p.drained.IsZero() {
		p.until(time.Now().Add(p.idle))
		return nil
	}
	end := p.drained.Add(linger)
	if linger <= 0 && p.halved() {
		end = p.drained.Add(restWithin)
	}
	if !time.Now().Before(end) {
		return ErrDraining
	}
	p.until(end)
	return nil
}

// halved closes the peer's direction: what it has sent by now can still be read, and
// then comes the end. On a unix socket the peer's next write fails, so that no
// request is taken and not answered.
func (p *Pace) halved() bool {
	half, ok := p.conn.(halfCloser)
	return ok && half.CloseRead() == nil
}

// Begin is called when a request's first byte has come, but not its last.
func (p *Pace) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	p.until(time.Now().Add(p.busy))
}

// Draining tells whether the daemon stops: why a wait ended early.
func (p *Pace) Draining() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.drained.IsZero()
}

func (p *Pace) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drained = time.Now()
	switch {
	case p.waiting && p.linger > 0:
		p.until(p.drained.Add(p.linger))
	case p.waiting && p.halved():
		p.until(p.drained.Add(restWithin))
	case p.waiting:
		p.until(longAgo)
	}
}

// until sets the deadline. That fails only when the connection is closed, and
// then the next read says so.
func (p *Pace) until(t time.Time) { _ = p.conn.SetReadDeadline(t) }
