package authpolicy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// The times of a connection. Dovecot gives an answer 2 s and keeps idle
// connections for 10 s (FACTS.md 2.6).
const (
	headerTimeout = 5 * time.Second
	bodyTimeout   = 5 * time.Second
	writeTimeout  = 10 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
)

// Server serves the handler on a socket.
type Server struct {
	Handler http.Handler
	Max     int            // connections at a time; 0: listen.DefaultMax
	Allow   []netip.Prefix // networks beyond loopback whose clients may connect
	Drain   time.Duration  // 0: listen.DefaultDrain
	Log     *slog.Logger   // nil: no log
	Meter   listen.Meter   // nil: none
}

// Serve answers until ctx ends, closes ln, and lets the requests that have begun
// finish within the drain time. It returns nil after ctx has ended, or an error
// that names what did not end well.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	guard := &listen.Server{Name: rules.ProtocolAuthPolicy, Max: s.Max, Allow: s.Allow, Log: s.Log, Meter: s.Meter}
	server := &http.Server{
		Handler:           s.Handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + bodyTimeout,
		WriteTimeout:      headerTimeout + bodyTimeout + writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// net/http quotes what a client sent, and slog quotes it again.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { drained <- s.shutdown(ctx, server) })
	err := server.Serve(guard.Listener(ctx, ln))
	switch {
	case !stop():
		return <-drained
	case ctx.Err() != nil: // Accept was quicker
		return s.shutdown(ctx, server)
	default:
		return errors.Join(
			fmt.Errorf("serve %s on %s: %w: restart the service", rules.ProtocolAuthPolicy, ln.Addr(), err), server.Close())
	}
}

// shutdown closes idle connections at once and the others when they are done.
func (s *Server) shutdown(ctx context.Context, server *http.Server) error {
	limit := s.Drain
	if limit <= 0 {
		limit = listen.DefaultDrain
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if err != nil {
		return fmt.Errorf("drain %s: %w: look for what holds its connections", rules.ProtocolAuthPolicy, err)
	}
	return nil
}
