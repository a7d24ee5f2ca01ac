package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// probeTimeout is how long a socket that is in the way may take to answer.
const probeTimeout = time.Second

// Open listens at the address. A unix socket gets the mode, and a missing
// parent directory is made with 0755. A stale socket (nobody answers) is
// replaced; one that answers, and anything that is no socket, is left alone
// and reported.
func Open(a Address, mode fs.FileMode) (net.Listener, error) {
	if a.Network != "unix" {
		ln, err := net.Listen(a.Network, a.Addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, inUse(a)
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w: correct the address or the rights", a, err)
		}
		if err := lengthen(ln); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
		return ln, nil
	}
	if err := os.MkdirAll(filepath.Dir(a.Addr), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of %s: %w: make it by hand or change the path", a, err)
	}
	if err := clearStale(a); err != nil {
		return nil, err
	}
	return openUnix(a, mode)
}

// backlog is how many may wait to be accepted, as in the units' Backlog=; the kernel has
// a limit of its own (net.core.somaxconn). Package net reads that in /proc/sys, and takes
// 128 where it cannot: under a unit with ProcSubset=pid.
const backlog = 4096

// lengthen gives a listener's queue its length.
func lengthen(ln net.Listener) error {
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err == nil {
		var done error
		err = raw.Control(func(fd uintptr) { done = syscall.Listen(int(fd), backlog) })
		err = errors.Join(err, done)
	}
	if err != nil {
		return fmt.Errorf("set the length of the queue of %s: %w: start the daemon again", ln.Addr(), err)
	}
	return nil
}

func inUse(a Address) error {
	return fmt.Errorf("another process listens on %s: stop it first or change listen.X", a)
}

// clearStale removes a socket that a process left behind when it died.
func clearStale(a Address) error {
	info, err := os.Lstat(a.Addr)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w: correct the path or the rights", a, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way of a socket and is none: move it or change listen.X", a.Addr)
	}
	conn, err := net.DialTimeout("unix", a.Addr, probeTimeout)
	if err == nil {
		if err := conn.Close(); err != nil {
			return fmt.Errorf("close the probe of %s: %w: try again", a, err)
		}
		return inUse(a)
	}
	// Only a refusal proves that nobody listens. A full queue (EAGAIN) or
	// missing rights prove nothing, and taking over a live socket would leave
	// two daemons that each see half of the mail.
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w (%w)", inUse(a), err)
	}
	if err := os.Remove(a.Addr); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the stale socket %s: %w: remove it by hand", a, err)
	}
	return nil
}

func openUnix(a Address, mode fs.FileMode) (net.Listener, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.Addr, Net: "unix"})
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, inUse(a) // somebody was quicker since clearStale
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: correct the path or the rights", a, err)
	}
	// Package net would unlink the path whoever owns it by then.
	ln.SetUnlinkOnClose(false)
	info, err := os.Lstat(a.Addr)
	if err == nil {
		err = os.Chmod(a.Addr, mode)
	}
	if err == nil {
		err = lengthen(ln)
	}
	if err != nil {
		return nil, errors.Join(
			fmt.Errorf("set the mode of %s: %w: correct the rights of its directory", a, err), ln.Close())
	}
	return &unixListener{UnixListener: ln, path: a.Addr, info: info}, nil
}

// unixListener unlinks its socket at Close only while it is still its own: a
// daemon that started in the meantime keeps its socket.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
	once sync.Once
	err  error
}

// Close stops listening. It may be called more than once.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		// Unlinked while it still listens, so that no successor's probe can
		// find it stale and replace it between the two steps.
		info, err := os.Lstat(l.path)
		if err == nil && os.SameFile(info, l.info) {
			err = os.Remove(l.path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		l.err = errors.Join(err, l.UnixListener.Close())
	})
	return l.err
}
