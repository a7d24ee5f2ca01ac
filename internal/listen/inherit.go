package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// Inherited are the listening sockets that the service manager opened before the
// daemon started (systemd.socket(5), sd_listen_fds(3)). It keeps them open when the
// daemon ends: who connects in between waits in their queues.
type Inherited struct {
	left []*inherited // that nobody has taken
}

// inherited is one of them.
type inherited struct {
	net.Listener
	name    string // FileDescriptorName=, or the unit's
	address Address
}

// Inherit takes over the sockets, and closes the files that they came in: a listener
// has a descriptor of its own. The error names a socket that nobody can be accepted
// from; then none is taken.
func Inherit(files []*os.File) (*Inherited, error) {
	list := &Inherited{}
	var errs []error
	for _, f := range files {
		ln, err := net.FileListener(f)
		if err != nil {
			errs = append(errs, fmt.Errorf("the service manager's socket %q is no listening stream socket: %w: give it a ListenStream= in its unit", f.Name(), err))
		} else {
			list.left = append(list.left, &inherited{Listener: ln, name: f.Name(), address: addressOf(ln)})
		}
		if err := f.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the service manager's copy of %q: %w: start the service again", f.Name(), err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, list.Close())...)
	}
	return list, nil
}

func addressOf(ln net.Listener) Address {
	if ln.Addr().Network() == "unix" {
		return Address{Network: "unix", Addr: ln.Addr().String()}
	}
	return Address{Network: "tcp", Addr: ln.Addr().String()}
}

// Take removes the socket of an address from the list and returns it; nil if the
// service manager opened none there. The address tells which it is, not the name:
// all sockets of one unit have the same.
func (l *Inherited) Take(a Address) net.Listener {
	i := slices.IndexFunc(l.left, func(one *inherited) bool { return one.address.same(a) })
	if i < 0 {
		return nil
	}
	one := l.left[i]
	l.left = slices.Delete(l.left, i, i+1)
	// Closing it leaves the socket's path where it is: it is not ours, and package net
	// unlinks only what it has bound itself.
	return one.Listener
}

// Unused names the sockets that nobody has taken.
func (l *Inherited) Unused() []string {
	var list []string
	for _, one := range l.left {
		list = append(list, fmt.Sprintf("%s (%s)", one.address, one.name))
	}
	return list
}

// Close closes our end of those that nobody has taken.
func (l *Inherited) Close() error {
	var errs []error
	for _, one := range l.left {
		if err := one.Listener.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the service manager's socket %s: %w: start the service again", one.address, err))
		}
	}
	return errors.Join(errs...)
}

// same tells whether a socket that is open at a is the one that b asks for.
func (a Address) same(b Address) bool {
	if a.Network != b.Network {
		return false
	}
	if a.Network == "unix" {
		return filepath.Clean(a.Addr) == filepath.Clean(b.Addr)
	}
	open, err := netip.ParseAddrPort(a.Addr)
	if err != nil {
		return false
	}
	host, port, err := net.SplitHostPort(b.Addr)
	if err != nil || port != fmt.Sprint(open.Port()) {
		return false
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "localhost":
		return open.Addr().Unmap().IsLoopback()
	case host == "" || err == nil && ip.IsUnspecified():
		return open.Addr().IsUnspecified()
	}
	return err == nil && ip.Unmap() == open.Addr().Unmap()
}
