package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portreeve/rules"
)

// DefaultMax is the cap on connections of one socket. SPEC.md section 10 asks
// for at least 5,000.
const DefaultMax = 16384

// The pauses after a failed accept: the first and the longest.
const (
	firstBackOff = 5 * time.Millisecond
	maxBackOff   = time.Second
)

// Meter counts what happens on the sockets. Its methods are called
// concurrently.
type Meter interface {
	ProtocolError(p rules.Protocol)
	ConnOpened(p rules.Protocol)
	ConnClosed(p rules.Protocol)
}

// NoMeter counts nothing.
type NoMeter struct{}

// ProtocolError does nothing.
func (NoMeter) ProtocolError(rules.Protocol) {}

// ConnOpened does nothing.
func (NoMeter) ConnOpened(rules.Protocol) {}

// ConnClosed does nothing.
func (NoMeter) ConnClosed(rules.Protocol) {}

// guard is a listener whose Accept returns only connections that may be
// served, and fails only when the context has ended or the listener is closed.
// A connection's place is free again when it is closed.
type guard struct {
	net.Listener
	name   rules.Protocol
	allow  []netip.Prefix
	log    *slog.Logger
	meter  Meter
	ctx    context.Context //nolint:containedctx // a net.Listener's Accept takes none
	places chan struct{}
	full   bool         // logged, until a sixteenth of the places is free again
	wait   *atomic.Bool // whether an accept waits for a place
}

// Listener guards ln for a front that has an accept loop of its own, such as
// net/http's: the cap, the peers and the back-off are those of Serve. Accept is
// for one goroutine. It ends when ctx does; the caller closes the listener.
func (s *Server) Listener(ctx context.Context, ln net.Listener) net.Listener {
	g := &guard{Listener: ln, name: s.Name, allow: s.Allow, log: s.Log, meter: s.Meter, ctx: ctx, wait: s.Full}
	n := s.Max
	if n <= 0 {
		n = DefaultMax
	}
	g.places = make(chan struct{}, n)
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.meter == nil {
		g.meter = NoMeter{}
	}
	if g.wait == nil {
		g.wait = &atomic.Bool{}
	}
	return g
}

// Accept waits for the next connection that may be served.
func (g *guard) Accept() (net.Conn, error) {
	for {
		if err := g.reserve(); err != nil {
			return nil, err
		}
		c, err := g.acceptPatiently()
		if err != nil {
			<-g.places
			return nil, err
		}
		if g.allowed(c.RemoteAddr()) {
			g.meter.ConnOpened(g.name)
			return &conn{Conn: c, guard: g}, nil
		}
		<-g.places
		g.log.Warn("connection from a network that is not allowed, see listen.allow",
			"protocol", g.name, "peer", c.RemoteAddr().String())
		g.logClose(c.Close())
	}
}

// reserve takes a place before the connection is accepted: those for whom there
// is none wait in the kernel's queue instead of being turned away.
func (g *guard) reserve() error {
	select {
	case g.places <- struct{}{}:
		if g.full && len(g.places) <= cap(g.places)-cap(g.places)/16 {
			g.full = false
		}
		return g.ctx.Err()
	default:
	}
	if !g.full {
		g.full = true
		g.log.Warn("no more connections are accepted until one ends", "protocol", g.name, "connections", cap(g.places))
	}
	g.wait.Store(true)
	defer g.wait.Store(false)
	select {
	case g.places <- struct{}{}:
		return nil
	case <-g.ctx.Done():
		return g.ctx.Err()
	}
}

// acceptPatiently outlives errors such as EMFILE: the socket stays, and the
// clients wait.
func (g *guard) acceptPatiently() (net.Conn, error) {
	for pause := firstBackOff; ; pause = min(2*pause, maxBackOff) {
		c, err := g.Listener.Accept()
		if err == nil {
			return c, nil
		}
		if g.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if pause == firstBackOff {
			g.log.Error("cannot accept connections, trying again", "protocol", g.name, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-g.ctx.Done():
			timer.Stop()
			return nil, g.ctx.Err()
		}
	}
}

// allowed tells whether the peer may talk to us. A unix socket is protected by
// its directory.
func (g *guard) allowed(peer net.Addr) bool {
	if _, ok := peer.(*net.UnixAddr); ok {
		return true
	}
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return false
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	if a.IsLoopback() {
		return true
	}
	for _, p := range g.allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (g *guard) logClose(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		g.log.Debug("closing a connection failed", "protocol", g.name, "error", err)
	}
}

// conn gives its place back when it is closed, once.
type conn struct {
	net.Conn
	guard *guard
	once  sync.Once
	err   error

	mu   sync.Mutex
	shut func() // see Lend
}

// Lend gives the socket away, nonblocking and out of Go's own poller: what is left is
// the place, and the peer's name. shut is called when the connection is closed.
func (c *conn) Lend(shut func()) (fd int, err error) {
	if _, ok := c.Conn.(syscall.Conn); !ok {
		return -1, errors.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if fd, err = detach(c.Conn); err == nil {
		c.shut = shut
	}
	return fd, err
}

// CloseRead ends what the peer may send; what has come already can be read.
func (c *conn) CloseRead() error {
	if half, ok := c.Conn.(halfCloser); ok {
		return half.CloseRead()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn, for Pace.ReadInto.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if raw, ok := c.Conn.(syscall.Conn); ok {
		return raw.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// halfCloser is a connection of which one direction can be closed.
type halfCloser interface{ CloseRead() error }

// Close may be called more than once, and from several goroutines.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.mu.Lock()
		shut := c.shut
		c.mu.Unlock()
		if shut != nil {
			shut()
		} else {
			c.err = c.Conn.Close()
		}
		<-c.guard.places
		c.guard.meter.ConnClosed(c.guard.name)
	})
	return c.err
}
