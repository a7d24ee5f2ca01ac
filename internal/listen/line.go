package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

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
}

// Ready reads what has come and must not wait. Whatever may take time it leaves to the
// connection's goroutine: without stay, Line.Wait returns. all is whether there is nothing
// left to be read: a read has not filled its buffer, or has met the end if this is the last.
type Ready func(fd int, last bool) (stay, all bool)

// lender is a connection that gives its socket away; when it is closed from then on,
// shut is called.
type lender interface {
	Lend(shut func()) (fd int, err error)
}

// Take makes a line of a connection that a Server has accepted. ready is called in one
// of the poller's goroutines, or in that of the line, one call at a time. ok is false for
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
func (l *Line) serve(now time.Duration, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.parked {
		l.missed, l.last = true, l.last || last
		return
	}
	l.heard = now
	l.read(last)
}

func (l *Line) read(last bool) {
	stay, all := l.ready(l.fd, last)
	l.missed, l.last = !all, last
	if !stay {
		l.parked = false
		l.left <- struct{}{}
	}
}

// Wait lets the poller serve the line until there is something that its goroutine must
// do. It fails with ErrDraining when done is closed, and with os.ErrDeadlineExceeded
// when nothing has come for as long as idle.
func (l *Line) Wait(done <-chan struct{}, idle time.Duration) error {
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
			return err
		}
		l.fd, l.conn = fd, nil
	}
	if err := l.watch(); err != nil {
		return err
	}
	l.parked, l.heard = true, time.Since(l.poller.start)
	if l.missed {
		l.read(l.last)
	}
	return nil
}

// take gives the line back to its goroutine, for the reason given, or for none where the
// poller was quicker.
func (l *Line) take(why error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.parked {
		<-l.left
		return nil
	}
	l.parked = false
	return why
}

func (l *Line) silent() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.poller.start) - l.heard
}

// Conn is the connection for a conversation in which its goroutine waits, until the next
// Wait.
func (l *Line) Conn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	if l.conn != nil {
		return l.conn, nil
	}
	l.unwatch()
	l.forget()
	f := os.NewFile(uintptr(l.fd), "connection")
	l.fd = -1
	c, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("wait for a connection: %w: raise the limit on open files", err)
	}
	l.conn = c
	return c, nil
}

// TryWrite writes what the socket takes at once.
func (l *Line) TryWrite(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd < 0 {
		return 0, nil
	}
	return TryWrite(l.fd, b)
}

// Close ends the connection. It is for the line's goroutine.
func (l *Line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.parked = true, false
	if l.idle != nil {
		l.idle.Stop()
	}
	if l.conn != nil {
		return l.conn.Close()
	}
	if l.fd < 0 {
		return nil
	}
	l.unwatch()
	l.forget()
	fd := l.fd
	l.fd = -1
	return os.NewSyscallError("close", syscall.Close(fd))
}

// shut ends the conversation from outside: what is read or written next fails.
func (l *Line) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close() // its goroutine finds out
	} else if l.fd >= 0 {
		_ = syscall.Shutdown(l.fd, syscall.SHUT_RDWR) // likewise
	}
}

func (l *Line) watch() error {
	if l.watched {
		return nil
	}
	l.poller.mu.Lock()
	l.poller.lines[l.fd] = l
	l.poller.mu.Unlock()
	event := syscall.EpollEvent{Events: watchFor, Fd: int32(l.fd)}
	if err := syscall.EpollCtl(l.poller.set, syscall.EPOLL_CTL_ADD, l.fd, &event); err != nil {
		return fmt.Errorf("wait for a connection: %w: raise fs.epoll.max_user_watches", err)
	}
	l.watched = true
	return nil
}

// unwatch takes the socket out of the set. That fails only for one that is not in it.
func (l *Line) unwatch() {
	if l.watched {
		l.watched, l.missed, l.last = false, false, false
		_ = syscall.EpollCtl(l.poller.set, syscall.EPOLL_CTL_DEL, l.fd, nil)
	}
}

// forget is called before the file descriptor becomes another's.
func (l *Line) forget() {
	l.poller.mu.Lock()
	defer l.poller.mu.Unlock()
	if l.poller.lines[l.fd] == l {
		delete(l.poller.lines, l.fd)
	}
}

// detach takes a connection's socket out of Go's own poller.
func detach(c net.Conn) (fd int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(old uintptr) { fd, failed = dup(int(old)) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		return -1, fmt.Errorf("wait for a connection: %w: raise the limit on open files", err)
	}
	if err := c.Close(); err != nil {
		return -1, errors.Join(err, syscall.Close(fd))
	}
	return fd, nil
}

func dup(fd int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("fcntl", errno)
	}
	return int(n), nil
}
