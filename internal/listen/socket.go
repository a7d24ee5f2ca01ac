package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

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
	c, err := l.poller.attach(l.fd)
	l.fd = -1
	if err != nil {
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

// queue has the set tell of the line again, after those that it will tell of before.
// Like unwatch, it fails only for a socket that is not in the set.
func (l *Line) queue() {
	event := syscall.EpollEvent{Events: watchFor, Fd: int32(l.fd)}
	_ = syscall.EpollCtl(l.poller.set, syscall.EPOLL_CTL_MOD, l.fd, &event)
}

// unwatch takes the socket out of the set.
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

// attach makes a connection of Go's own poller's of a socket, whose descriptor is used up.
// For a moment it takes one more: where there is none left, the one that is kept for it.
func (p *Poller) attach(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	c, err := net.FileConn(f)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		p.spareMu.Lock()
		defer p.spareMu.Unlock()
		_ = syscall.Close(p.spare)
		c, err = net.FileConn(f)
		defer func() { p.spare, _ = dup(p.set) }() // -1 if another was quicker
	}
	return c, errors.Join(err, f.Close())
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
