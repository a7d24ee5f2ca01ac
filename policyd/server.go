package policyd

import (
	"context"
	"log/slog"
	"net"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// Gate decides. The request is the front's: it is used again when Decide has
// returned, so what outlives the call must be copied (its strings may be kept).
type Gate interface {
	Decide(ctx context.Context, r *rules.Request) rules.Decision
}

// PromptGate makes the decision without waiting, or returns what has to be waited for: d
// then means nothing, and the request belongs to that until it has been decided.
type PromptGate interface {
	Begin(ctx context.Context, r *rules.Request, d *rules.Decision) Rest
}

// Rest is a decision that may have to wait; Decide is called once.
type Rest interface{ Decide() rules.Decision }

// Meter counts malformed requests.
type Meter interface {
	ProtocolError(p rules.Protocol)
}

// The times of SPEC.md section 10.
const (
	DefaultIdle  = time.Hour
	DefaultBusy  = 10 * time.Second
	DefaultWrite = 10 * time.Second
)

// Server answers Postfix's policy requests.
type Server struct {
	Gate  Gate
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: no log
	Meter Meter            // nil: none

	// Poller waits for the requests of all connections, and answers those that Prompt
	// decides at once. Nil: each connection's goroutine waits for its own.
	Poller *listen.Poller
	Prompt PromptGate

	Idle  time.Duration // how long a connection may be silent between requests; 0: DefaultIdle
	Busy  time.Duration // from a request's first byte to its last; 0: DefaultBusy
	Write time.Duration // for an answer; 0: DefaultWrite
}

// Handle serves one connection, for listen.Server. It returns when the peer is
// done, when the peer sends something malformed, and, at the end of ctx, when
// no request has begun: one that has begun is still answered.
func (s *Server) Handle(ctx context.Context, c net.Conn) {
	conn := &conn{Server: s, net: c, ctx: ctx, now: s.Now, log: s.Log}
	if conn.now == nil {
		conn.now = time.Now
	}
	if conn.log == nil {
		conn.log = slog.New(slog.DiscardHandler)
	}
	// A request that has begun is decided in full, whatever the daemon is
	// about to do.
	conn.deciding = context.WithoutCancel(ctx)
	defer conn.hangUp()
	if s.Poller != nil && s.Prompt != nil {
		conn.line, conn.parks = s.Poller.Take(c, conn.ready)
	}
	conn.serve()
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
