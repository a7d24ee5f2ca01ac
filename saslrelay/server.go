package saslrelay

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// Gate decides and remembers.
type Gate interface {
	Decide(ctx context.Context, r *rules.Request) rules.Decision
	Tell(ctx context.Context, e rules.Event) error
}

// Meter counts login attempts, and what is no line of the protocol.
type Meter interface {
	ProtocolError(p rules.Protocol)
	// AuthReport counts an attempt by Postfix's smtpd_sasl_service and its
	// result: success, failure, internal (the backend's fault), rejected (by us).
	AuthReport(service, result string)
}

// The times of a connection. Postfix keeps it as long as the smtpd process lives
// and gives each answer 10 s (FACTS.md 2.7), so that no time of ours is shorter.
const (
	DefaultIdle  = 24 * time.Hour
	DefaultBusy  = 10 * time.Second
	DefaultWrite = 10 * time.Second
	DefaultDial  = 10 * time.Second
	// DefaultLate is how long Dovecot's answers are waited for after Postfix has
	// gone, and by a drain, which has 25 s (listen.DefaultDrain). Dovecot's own
	// penalties delay one by up to 17 s (FACTS.md 2.7).
	DefaultLate = 20 * time.Second
)

// Server relays Postfix's SASL connections. Each has a connection to Dovecot of
// its own, so that the ids of one smtpd process mean nothing to another.
type Server struct {
	Gate     Gate
	Upstream func() listen.Address // Dovecot's auth-client socket, asked for each connection
	Now      func() time.Time      // nil: time.Now
	Log      *slog.Logger          // nil: no log
	Meter    Meter                 // nil: none

	Idle  time.Duration // how long a connection may be silent; 0: DefaultIdle
	Busy  time.Duration // from a line's first byte to its last; 0: DefaultBusy
	Write time.Duration // for a line; 0: DefaultWrite
	Late  time.Duration // for Dovecot's answers after Postfix has gone, and at a drain; 0: DefaultLate
}

type noMeter struct{}

func (noMeter) ProtocolError(rules.Protocol)      {}
func (noMeter) AuthReport(service, result string) {}

// Handle serves one connection of Postfix's, for listen.Server. It returns when
// either side is done or sends something malformed, and, at the end of ctx, when
// Dovecot has answered what it was asked. Where Dovecot is away it returns at
// once; Postfix then says 454 (FACTS.md 2.11) and tries again at the next AUTH.
func (s *Server) Handle(ctx context.Context, postfix net.Conn) {
	dovecot, err := s.dial(ctx)
	if err != nil {
		s.logger().Error("dovecot cannot be reached, connection closed", "protocol", rules.ProtocolSASL, "error", err)
		return
	}
	s.between(postfix, dovecot).serve(ctx)
}

// between makes the conversation of two connections.
func (s *Server) between(postfix, dovecot net.Conn) *relay {
	r := &relay{Server: s, log: s.logger(), now: s.Now, meter: s.Meter, postfix: s.peer(postfix), dovecot: s.peer(dovecot)}
	if r.now == nil {
		r.now = time.Now
	}
	if r.meter == nil {
		r.meter = noMeter{}
	}
	return r
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultDial)
	defer cancel()
	var d net.Dialer
	at := s.Upstream()
	c, err := d.DialContext(ctx, at.Network, at.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w: start Dovecot, or correct sasl.upstream", at, err)
	}
	return c, nil
}

func (s *Server) peer(c net.Conn) *peer {
	return newPeer(c, or(s.Idle, DefaultIdle), or(s.Busy, DefaultBusy), or(s.Write, DefaultWrite))
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
