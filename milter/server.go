package milter

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	library "github.com/emersion/go-milter"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// Gate decides, and is told how messages end. What outlives the call must not
// hold the request itself.
type Gate interface {
	Decide(ctx context.Context, r *rules.Request) rules.Decision
	Tell(ctx context.Context, e rules.Event) error
}

// Meter counts malformed frames.
type Meter interface {
	ProtocolError(p rules.Protocol)
}

// The times of a connection. Postfix is silent for as long as its client takes
// to send a message; two hours are libmilter's (smfi_settimeout).
const (
	DefaultIdle  = 2 * time.Hour
	DefaultBusy  = 20 * time.Second
	DefaultWrite = 10 * time.Second
)

// Server speaks the milter protocol with Postfix.
type Server struct {
	Gate  Gate
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: no log
	Meter Meter            // nil: none

	Idle  time.Duration // between frames; 0: DefaultIdle
	Busy  time.Duration // from a frame's first byte to its last; 0: DefaultBusy
	Write time.Duration // for an answer; 0: DefaultWrite
}

// Handle serves one connection, for listen.Server. It returns when the library
// is done with it. At the end of ctx it ends at once between messages, and
// after the message inside one.
func (s *Server) Handle(ctx context.Context, c net.Conn) {
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pace := listen.NewPace(ctx, c, or(s.Idle, DefaultIdle), or(s.Busy, DefaultBusy), or(s.Write, DefaultWrite))
	defer pace.Stop()
	g := &guard{
		Conn: c, in: bufio.NewReader(pace), pace: pace, log: log, meter: s.Meter, ended: make(chan struct{}),
	}
	now := s.Now
	if now == nil {
		now = time.Now
	}
	silent, ok := g.offered()
	if !ok {
		return
	}
	silent &= library.OptNoHeaderReply
	// What has begun is decided in full, whatever the daemon is about to do.
	session := &session{gate: s.Gate, ctx: context.WithoutCancel(ctx), clock: now, log: log, conn: g, silent: silent}
	server := &library.Server{
		// Called again after answers that we do not give; the same session
		// then keeps the client's address all the same (FACTS.md 3.3).
		NewMilter: func() library.Milter { return session },
		Actions:   library.OptSetSymList,
		Protocol:  library.OptNoBody | library.OptNoUnknown | library.OptNoData | silent,
		SymList:   wanted,
	}
	// Serve returns when the one connection has ended, with oneShot's error.
	if err := server.Serve(&oneShot{conn: g}); !errors.Is(err, net.ErrClosed) {
		log.Error("the milter library ended early", "protocol", rules.ProtocolMilter, "error", err)
	}
	<-g.ended
	session.end(rules.MessageDropped)
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}
