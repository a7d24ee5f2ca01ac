package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"

	library "github.com/emersion/go-milter"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// keptFrame is how large the frame buffer of an idle connection may be.
const keptFrame = 16 << 10

// guard is the connection that the library sees. Its Read hands over one whole,
// vetted frame after the other, and every end of the conversation, whatever its
// cause, is io.EOF there: the library prints other errors to the standard log
// without escaping. The cause is logged here.
//
// Read and Write belong to the library's one goroutine.
type guard struct {
	net.Conn
	in    *bufio.Reader
	pace  *listen.Pace
	log   *slog.Logger
	meter Meter

	vetter vetter
	frame  []byte // length, command and payload
	handed int    // bytes of it that the library has
	failed bool   // nothing more is read

	settled bool // the session has refused the present message

	told macros // of the last macro frame
	now  macros // of the present command

	once  sync.Once
	ended chan struct{} // closed when the library is done with the connection
}

func (g *guard) payload() []byte { return g.frame[5:] }

// Read hands over the present frame, or the next one when it is used up.
func (g *guard) Read(p []byte) (int, error) {
	if g.handed == len(g.frame) {
		if g.failed {
			return 0, io.EOF
		}
		if err := g.next(); err != nil {
			g.failed = true
			g.report(err)
			return 0, io.EOF
		}
	}
	n := copy(p, g.frame[g.handed:])
	g.handed += n
	return n, nil
}

// offered reads the first frame, which the library is handed all the same, and tells
// which parts of the protocol its sender knows; none, if it does not negotiate. ok is
// false where the conversation has ended before it began.
func (g *guard) offered() (known library.OptProtocol, ok bool) {
	if err := g.next(); err != nil {
		g.report(err)
		return 0, false
	}
	if p := g.payload(); g.frame[4] == cmdNegotiate {
		known = library.OptProtocol(binary.BigEndian.Uint32(p[8:]))
	}
	return known, true
}

// malformed is a frame that closes the connection.
type malformed struct{ why error }

func (m malformed) Error() string { return "malformed frame: " + m.why.Error() }

func (g *guard) report(err error) {
	var bad malformed
	switch {
	case errors.As(err, &bad):
		g.log.Warn("malformed milter frame, connection closed", "protocol", rules.ProtocolMilter, "error", bad.why)
		if g.meter != nil {
			g.meter.ProtocolError(rules.ProtocolMilter)
		}
	case !errors.Is(err, io.EOF):
		g.log.Debug("milter connection ended", "protocol", rules.ProtocolMilter, "error", err)
	}
}

// next reads and vets one frame.
func (g *guard) next() error {
	g.frame, g.handed = g.frame[:0], 0
	if cap(g.frame) > keptFrame {
		g.frame = nil
	}
	if err := g.vetter.wait(g.pace, g.settled); err != nil {
		return err
	}
	if _, err := g.in.Peek(1); err != nil {
		if g.pace.Draining() {
			return listen.ErrDraining
		}
		return err
	}
	if err := g.readFrame(); err != nil {
		return err
	}
	cmd := g.frame[4]
	if err := g.vetter.vet(cmd, g.payload()); err != nil {
		return malformed{err}
	}
	if cmd == cmdMacros {
		g.told = parseMacros(g.payload())
		return nil
	}
	g.now = macros{}
	if g.told.command == cmd {
		g.now = g.told
	}
	g.told = macros{}
	return nil
}

// readFrame reads a frame whose first byte has come. Memory is taken as the
// bytes arrive: a length is only a claim.
func (g *guard) readFrame() error {
	if !g.whole() {
		g.pace.Begin()
	}
	if err := g.take(5); err != nil {
		return err
	}
	length, cmd := binary.BigEndian.Uint32(g.frame), g.frame[4]
	switch most := limit(cmd); {
	case length == 0:
		return malformed{errZeroLength}
	case most == 0:
		return malformed{fmt.Errorf("unexpected command %q", cmd)}
	case length > most:
		return malformed{fmt.Errorf("command %q with %d bytes, the limit is %d", cmd, length, most)}
	}
	for rest := int(length) - 1; rest > 0; {
		n := min(rest, max(len(g.frame), 1<<10))
		if err := g.take(n); err != nil {
			return err
		}
		rest -= n
	}
	return nil
}

// whole tells whether the next frame has come to its end already, as nearly
// every one has.
func (g *guard) whole() bool {
	b, err := g.in.Peek(g.in.Buffered())
	return err == nil && len(b) >= 5 && uint64(len(b)) >= 4+uint64(binary.BigEndian.Uint32(b))
}

// take appends n bytes of input to the frame.
func (g *guard) take(n int) error {
	g.frame = slices.Grow(g.frame, n)
	got, err := io.ReadFull(g.in, g.frame[len(g.frame):len(g.frame)+n])
	g.frame = g.frame[:len(g.frame)+got]
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return malformed{errSlow}
	case errors.Is(err, net.ErrClosed):
		return err // by the end of the drain
	case g.pace.Draining():
		return listen.ErrDraining // which may have cut a frame short that was just coming
	default:
		return malformed{errTruncated}
	}
}

// Write sends an answer. The library prints the errors of writes too, so a
// failure is told to the next Read.
func (g *guard) Write(p []byte) (int, error) {
	if g.failed {
		return len(p), nil
	}
	if _, err := g.pace.Write(p); err != nil {
		g.failed = true
		g.report(fmt.Errorf("answer: %w", err))
	}
	return len(p), nil
}

// Close is the last thing that the library does with a connection.
func (g *guard) Close() error {
	err := g.Conn.Close()
	g.once.Do(func() { close(g.ended) })
	return err
}

// oneShot is a listener that has one connection to give, and blocks until that
// has ended. One library server for each connection keeps its faults apart
// (FACTS.md 3.1, 3.8).
type oneShot struct {
	conn  *guard
	given bool
}

// Accept gives the connection, then waits for its end.
func (l *oneShot) Accept() (net.Conn, error) {
	if !l.given {
		l.given = true
		return l.conn, nil
	}
	<-l.conn.ended
	return nil, net.ErrClosed
}

// Close has nothing to close: the socket is listen.Server's.
func (l *oneShot) Close() error { return nil }

// Addr is our address.
func (l *oneShot) Addr() net.Addr { return l.conn.LocalAddr() }
