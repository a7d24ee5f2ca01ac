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

// Pace sets the read deadlines of a conversation: a long one while nothing has
// begun, a short one from the first byte of a request to its last. When the
// context ends, a wait for the next request ends at once, and a request that
// has begun may finish.
type Pace struct {
	conn       net.Conn
	idle, busy time.Duration
	stop       func() bool

	mu       sync.Mutex
	draining bool
	waiting  bool
}

// NewPace paces the connection until Stop.
func NewPace(ctx context.Context, c net.Conn, idle, busy time.Duration) *Pace {
	p := &Pace{conn: c, idle: idle, busy: busy}
	p.stop = context.AfterFunc(ctx, p.drain)
	return p
}

// Stop releases what NewPace took.
func (p *Pace) Stop() { p.stop() }

// Wait is called before the read for a request's first byte. Its only error is
// ErrDraining, when the daemon stops, unless stay is set: then the conversation
// is in the middle of something that the drain waits for.
func (p *Pace) Wait(stay bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining && !stay {
		return ErrDraining
	}
	p.waiting = !stay
	p.until(time.Now().Add(p.idle))
	return nil
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
	return p.draining
}

func (p *Pace) drain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	if p.waiting {
		p.until(longAgo)
	}
}

// until sets the deadline. That fails only when the connection is closed, and
// then the next read says so.
func (p *Pace) until(t time.Time) { _ = p.conn.SetReadDeadline(t) }
