package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
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

// Pace keeps the times of a conversation: a long one while nothing has begun, a
// short one from the first byte of a request to its last, and one for an answer.
// When the context ends, a wait for the next request ends at once or after the
// time that it was given, and a request that has begun may finish.
//
// To move a deadline costs as much as a small request does. So one that is in
// force stays where it is while the conversation goes on, and is moved when it
// has been met too early: read and write through Read and Write.
type Pace struct {
	conn              net.Conn
	idle, busy, write time.Duration
	stop              func() bool
	start             time.Time

	armed   bool          // there is a write deadline
	written time.Duration // from start to the latest answer, if no wait has come after it

	raw     syscall.RawConn // nil where the connection has no file descriptor
	attempt func(fd uintptr) bool
	buffer  Buffer // of the ReadInto that is under way
	n       int    // what its last attempt has read
	err     error

	mu      sync.Mutex
	drained time.Time // when the daemon began to stop; zero before
	waiting bool
	idling  bool          // the deadline in force is that of a wait
	waited  time.Duration // from start to the latest wait
	linger  time.Duration // of the wait that is under way
	lively  time.Duration // likewise
}

// NewPace paces the connection until Stop.
func NewPace(ctx context.Context, c net.Conn, idle, busy, write time.Duration) *Pace {
	p := &Pace{conn: c, idle: idle, busy: busy, write: write, start: time.Now()}
	if descriptor, ok := c.(syscall.Conn); ok {
		if raw, err := descriptor.SyscallConn(); err == nil {
			p.raw, p.attempt = raw, p.try
		}
	}
	p.stop = context.AfterFunc(ctx, p.drain)
	return p
}

// Stop releases what NewPace took.
func (p *Pace) Stop() { p.stop() }

// Wait is called before the read for a request's first byte. linger is for how
// long a drain waits, from its begin, for what the conversation is in the middle
// of; 0 is nothing. When that time has passed, the only error is ErrDraining.
func (p *Pace) Wait(linger time.Duration) error { return p.wait(linger, 0) }

// WaitLively is Wait for a conversation that is in the middle of nothing, but may
// well go on: a drain waits until the peer has been silent for the time, and no
// longer than that time from its begin.
func (p *Pace) WaitLively(silent time.Duration) error { return p.wait(0, silent) }

func (p *Pace) wait(linger, lively time.Duration) error {
	waited := p.written // just now
	if p.written = 0; waited == 0 {
		waited = time.Since(p.start)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting, p.linger, p.lively = true, linger, lively
	if p.drained.IsZero() {
		p.waited = waited
		if !p.idling {
			p.idling = true
			p.until(p.start.Add(p.waited + p.idle))
		}
		return nil
	}
	end := p.drained.Add(max(linger, lively))
	if linger <= 0 && lively <= 0 && p.halved() {
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
	p.waiting, p.idling = false, false
	p.until(time.Now().Add(p.busy))
}

// Read reads from the connection.
func (p *Pace) Read(b []byte) (int, error) {
	for {
		n, err := p.conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !p.early() {
			return n, err
		}
	}
}

// Buffer is the memory for a read, asked for when there may be something to read
// and left when there is nothing: what only waits needs none.
type Buffer interface {
	Take() []byte // not empty
	Leave()
}

// ReadInto reads from the connection into the buffer. It is for one goroutine.
func (p *Pace) ReadInto(b Buffer) (int, error) {
	if p.raw == nil {
		return p.Read(b.Take())
	}
	p.buffer = b
	for {
		p.n, p.err = 0, nil
		err := p.raw.Read(p.attempt)
		switch {
		case err == nil:
			return p.n, p.err
		case !errors.Is(err, os.ErrDeadlineExceeded) || !p.early():
			return 0, err
		}
	}
}

// try reads without waiting; false is to wait.
func (p *Pace) try(fd uintptr) bool {
	room := p.buffer.Take()
	n, err := syscall.Read(int(fd), room)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), room)
	}
	switch {
	case err == syscall.EAGAIN:
		p.buffer.Leave()
		return false
	case err != nil:
		p.err = os.NewSyscallError("read", err)
	case n == 0:
		p.err = io.EOF
	default:
		p.n = n
	}
	return true
}

// early tells whether the deadline was that of an earlier wait, and then moves it.
func (p *Pace) early() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := p.waited + p.idle
	if !p.idling || !p.drained.IsZero() || time.Since(p.start) >= end {
		return false
	}
	p.until(p.start.Add(end))
	return true
}

// Write writes an answer. It is for one goroutine.
func (p *Pace) Write(b []byte) (int, error) {
	p.written = time.Since(p.start)
	end := p.written + p.write
	if !p.armed {
		p.armed = true
		p.writeUntil(end)
	}
	written := 0
	for {
		n, err := p.conn.Write(b[written:])
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(p.start) >= end {
			return written, err
		}
		p.writeUntil(end) // the deadline was that of an earlier answer
	}
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
	silent := p.drained.Sub(p.start) - p.waited
	switch {
	case p.waiting && p.lively > silent:
		p.until(p.drained.Add(p.lively - silent))
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

// writeUntil is the same for answers.
func (p *Pace) writeUntil(end time.Duration) { _ = p.conn.SetWriteDeadline(p.start.Add(end)) }
