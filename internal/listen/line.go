package listen

import (
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// ErrNotParked is returned by Line.Wait when the poller cannot have the socket: there is no
// descriptor left. The connection is as good as before.
var ErrNotParked = errors.New("the poller does not wait for the connection")

// Line is a connection whose goroutine sleeps while nothing is to be done for it that
// takes time. At each moment its socket belongs to the poller, or is one of Go's own
// poller's, as any net.Conn.
type Line struct {
	poller *Poller
	ready  Ready
	left   chan struct{} // the poller has left the line to its goroutine
	idle   *time.Timer   // nil until it is needed

	mu      sync.Mutex
	fd      int      // -1 where there is a conn
	conn    net.Conn // or nil
	closed  bool
	parked  bool // the poller may serve it
	watched bool // it is in the set
	missed  bool // something has come while it was not parked,
	last    bool // and the peer's end
	heard   time.Duration
	panic   *Panic // of ready
}

// Ready reads what has come, at that time, and must not wait. Whatever may take time it
// leaves to the connection's goroutine: without stay, Line.Wait returns. all is whether there
// is nothing left to be read: a read has not filled its buffer, or has met the end if this is
// the last. Otherwise it is called again, after those of other lines that wait: it need not
// read all.
type Ready func(fd int, now time.Time, last bool) (stay, all bool)

// lender is a connection that gives its socket away; when it is closed from then on,
// shut is called.
type lender interface {
	Lend(shut func()) (fd int, err error)
}

// Take makes a line of a connection that a Server has accepted. ready is called in one
// of the poller's goroutines, or in that of the line, one call at a time; if it panics, so
// does Wait. ok is false for
// a connection that has no socket to give away: it stays what it is.
func (p *Poller) Take(c net.Conn, ready Ready) (l *Line, ok bool) {
	from, ok := c.(lender)
	if !ok {
		return nil, false
	}
	l = &Line{poller: p, ready: ready, left: make(chan struct{}, 1), fd: -1}
	fd, err := from.Lend(l.shut)
	if err != nil {
		return nil, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fd = fd
	return l, true
}

// serve is called by the poller when something has come.
func (l *Line) serve(at moment, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.parked {
		l.missed, l.last = true, l.last || last
		return
	}
	l.heard = at.since
	l.read(at.now, last)
}

func (l *Line) read(now time.Time, last bool) {
	defer func() {
		if v := recover(); v != nil {
			l.panic = &Panic{Value: v, Stack: debug.Stack()}
			l.leave()
		}
	}()
	stay, all := l.ready(l.fd, now, last)
	l.missed, l.last = !all, last
	switch {
	case !stay:
		l.leave()
	case !all:
		l.queue()
	}
}

// leave leaves the line to its goroutine.
func (l *Line) leave() {
	l.parked = false
	l.left <- struct{}{}
}

// Wait lets the poller serve the line until there is something that its goroutine must
// do. It fails with ErrDraining when done is closed, with os.ErrDeadlineExceeded when
// nothing has come for as long as idle, and with ErrNotParked.
func (l *Line) Wait(done <-chan struct{}, idle time.Duration) error {
	err := l.wait(done, idle)
	if l.panic != nil {
		panic(*l.panic)
	}
	return err
}

func (l *Line) wait(done <-chan struct{}, idle time.Duration) error {
	if err := l.park(); err != nil {
		return err
	}
	if l.idle == nil {
		l.idle = time.NewTimer(idle)
	}
	for {
		select {
		case <-l.left:
			return nil
		case <-done:
			return l.take(ErrDraining)
		case <-l.idle.C:
			if left := idle - l.silent(); left > 0 {
				l.idle.Reset(left) // it was that of an earlier wait
				continue
			}
			l.idle = nil
			return l.take(os.ErrDeadlineExceeded)
		}
	}
}

func (l *Line) park() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if l.conn != nil {
		fd, err := detach(l.conn)
		if err != nil {
			return errors.Join(ErrNotParked, err)
		}
		l.fd, l.conn = fd, nil
	}
	if err := l.watch(); err != nil {
		return errors.Join(ErrNotParked, err)
	}
	l.parked, l.heard = true, time.Since(l.poller.start)
	if l.missed {
		l.read(l.poller.now(), l.last)
	}
	return nil
}

// take gives the line back to its goroutine, for the reason given, or for none where the
// poller was quicker.
func (l *Line) take(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.parked {
		l.parked = false
		return why
	}
	<-l.left
	return nil
}

func (l *Line) silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.poller.start) - l.heard
}
