package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/rules"
)

// DefaultDrain is how long Serve lets conversations finish. With afterDrain it
// stays below the 30 s of SPEC.md section 10.
const DefaultDrain = 25 * time.Second

// afterDrain is how long handlers may take to notice that their connections
// have been closed. A directory look-up, the longest thing that they wait for,
// has 2 s.
const afterDrain = 3 * time.Second

// Server serves one socket.
type Server struct {
	Name  rules.Protocol
	Max   int            // connections at a time; 0: DefaultMax
	Allow []netip.Prefix // networks beyond loopback whose clients may connect

	// Handle serves one connection, which is closed when it returns. Its
	// context ends when the drain begins: a handler finishes what has begun and
	// returns. A panic in it ends that connection only.
	Handle func(ctx context.Context, c net.Conn)

	Drain time.Duration // 0: DefaultDrain
	Log   *slog.Logger  // nil: no log
	Meter Meter         // nil: none
	Full  *atomic.Bool  // told whether connections wait for a place; nil: nobody asks
}

// Serve accepts connections until ctx ends, closes ln, and drains: it waits
// until all handlers have returned, and after Drain closes their connections.
// It returns nil after ctx has ended, or an error that names what did not end
// well.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	open := &openConns{conns: make(map[net.Conn]struct{})}
	guarded := s.Listener(ctx, ln)
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- ln.Close() })

	var handlers sync.WaitGroup
	err := s.accept(ctx, guarded, log, open, &handlers)
	switch {
	case !stop():
		err = <-closed // ctx ended: the failed accept was our own doing
	case ctx.Err() != nil: // Accept was quicker
		err = ln.Close()
	case errors.Is(err, net.ErrClosed):
	default:
		err = errors.Join(err, ln.Close())
	}
	if err != nil {
		err = fmt.Errorf("serve %s on %s: %w: restart the service", s.Name, ln.Addr(), err)
	}
	return errors.Join(err, s.drain(log, open, &handlers))
}

func (s *Server) accept(
	ctx context.Context, ln net.Listener, log *slog.Logger, open *openConns, handlers *sync.WaitGroup,
) error {
	// When accepting ends for another reason than ctx, handlers are told too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		open.add(c)
		handlers.Go(func() {
			defer func() {
				if v := recover(); v != nil {
					logPanic(log, s.Name, v)
				}
				open.remove(c)
				if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
					log.Debug("closing a connection failed", "protocol", s.Name, "error", err)
				}
			}()
			s.Handle(ctx, c)
		})
	}
}

// Panic is what a goroutine panics with instead of another that has.
type Panic struct {
	Value any
	Stack []byte // of that one, which shows where
}

// logPanic is called by the function that has recovered.
func logPanic(log *slog.Logger, name rules.Protocol, v any) {
	stack := debug.Stack()
	if p, ok := v.(Panic); ok {
		v, stack = p.Value, p.Stack
	}
	log.Error("a connection's handler panicked", "protocol", name, "error", v, "stack", string(stack))
}

// drain waits for the handlers, and then for nobody.
func (s *Server) drain(log *slog.Logger, open *openConns, handlers *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		handlers.Wait()
		close(done)
	}()
	limit := s.Drain
	if limit <= 0 {
		limit = DefaultDrain
	}
	if endsWithin(done, limit) {
		return nil
	}
	log.Warn("closing connections that did not end in time", "protocol", s.Name, "connections", open.closeAll())
	if endsWithin(done, afterDrain) {
		return nil
	}
	return fmt.Errorf("drain %s: %d connections did not end %v after they were closed: look for what they wait for",
		s.Name, open.count(), afterDrain)
}

func endsWithin(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// openConns are the connections that handlers work on.
type openConns struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (o *openConns) add(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conns[c] = struct{}{}
}

func (o *openConns) remove(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, c)
}

func (o *openConns) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

// closeAll returns how many there were. A failure to close changes nothing:
// the handler closes its connection again and logs it.
func (o *openConns) closeAll() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.Close()
	}
	return len(o.conns)
}
