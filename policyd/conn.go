package policyd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"portreeve/internal/listen"
	"portreeve/rules"
)

// The read buffer: what it begins with (Postfix's requests have 600 to 900
// bytes), and how large it may stay when it is empty.
const (
	firstBuffer = 4 << 10
	keptBuffer  = 16 << 10
	fullOutput  = 4 << 10 // answers are written at the latest then
)

// conn is one connection.
type conn struct {
	*Server
	*desk // nil while the connection waits for a request
	net   net.Conn
	now   func() time.Time
	log   *slog.Logger

	ctx      context.Context //nolint:containedctx // ends when the drain begins; the poller's calls have none
	deciding context.Context //nolint:containedctx // does not end with it

	pace  *listen.Pace // of its goroutine's reads and writes, nil while the poller waits
	begun bool         // the deadline of the request's end is set

	parks bool // the poller waits for the next request
	line  *listen.Line
	left  left
}

// desk is what a request in hand needs. It serves many in turn, so that a request
// costs no memory but the strings that it names, and those of all connections, so
// that one that waits costs little.
type desk struct {
	in         []byte
	begin, end int // in[begin:end] has been read and not yet answered
	scanned    int // in[begin:scanned] contains no empty line

	out        []byte // answers that have not been written
	attributes attributes
	request    rules.Request
	decision   rules.Decision // promptly made
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// serve answers until the connection ends. Answers to what came before a
// malformed request are written before the connection is closed.
func (c *conn) serve() {
	defer c.Leave()
	err := c.fill()
	for err == nil {
		var n int
		n, err = c.whole()
		switch {
		case err != nil:
		case n > 0:
			err = c.answer(n)
		default:
			if err = c.flush(); err == nil {
				err = c.fill()
			}
		}
	}
	var bad malformed
	if errors.As(err, &bad) {
		err = nil
		if c.desk != nil {
			err = c.flush()
		}
		c.log.Warn("malformed policy request, connection closed", "protocol", rules.ProtocolPolicy, "error", bad.why)
		if c.Meter != nil {
			c.Meter.ProtocolError(rules.ProtocolPolicy)
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.log.Debug("policy connection ended", "protocol", rules.ProtocolPolicy, "error", err)
	}
}

// malformed is a request that gets no answer.
type malformed struct{ why error }

func (m malformed) Error() string { return "malformed request: " + m.why.Error() }

// whole is the length of what is at the front of the buffer and has a whole
// request in it, empty line included, or 0 if there is none.
func (c *conn) whole() (int, error) {
	n := 0
	switch unanswered := c.in[c.begin:c.end]; {
	case len(unanswered) > 0 && unanswered[0] == '\n':
		n = 1 // an empty request
	case len(unanswered) <= MaxRequest && bytes.HasSuffix(unanswered, emptyLine):
		return len(unanswered), nil // one request, nearly always
	default:
		if at := bytes.Index(c.in[c.scanned:c.end], emptyLine); at >= 0 {
			n = c.scanned + at + 2 - c.begin
			break
		}
		// A peer that ends its lines in CRLF never sends an empty one.
		if bytes.IndexByte(c.in[c.scanned:c.end], '\r') >= 0 {
			return 0, malformed{errCR}
		}
		// The last byte may be the first half of an empty line.
		c.scanned = max(c.begin, c.end-1)
	}
	if n > MaxRequest || (n == 0 && c.end-c.begin >= MaxRequest) {
		return 0, malformed{errTooLong}
	}
	return n, nil
}

var emptyLine = []byte("\n\n")

// answer decides the request at the front, which ends within n bytes.
func (c *conn) answer(n int) error {
	n, asks, err := c.understand(n, c.now())
	if err != nil {
		return err
	}
	decision := rules.Decision{Action: rules.Pass}
	if asks {
		decision = c.Gate.Decide(c.deciding, &c.request)
	}
	c.add(&decision, n)
	if len(c.out) >= fullOutput {
		return c.flush()
	}
	return nil
}

// understand reads the request at the front, which ends within n bytes and came at that
// time. It returns its length, and whether there is anything to decide.
func (c *conn) understand(n int, now time.Time) (length int, asks bool, err error) {
	if length, err = c.attributes.parse(c.in[c.begin : c.begin+n]); err != nil {
		return 0, false, malformed{err}
	}
	stage, asks := c.attributes.stage()
	if asks {
		c.attributes.fill(&c.request, stage)
		c.request.Time = now
	}
	return length, asks, nil
}

// add takes the request of n bytes off the front, and adds its answer to those that have
// not been written.
func (c *conn) add(d *rules.Decision, n int) {
	c.out = appendAnswer(c.out, d)
	c.begin += n
	c.scanned = c.begin
	c.begun = false
}

// flush writes the answers, several in one write where requests came together.
func (c *conn) flush() error {
	if c.desk == nil || len(c.out) == 0 {
		return nil
	}
	if c.parks && c.pace == nil {
		done, err := c.tryFlush(c.line.TryWrite)
		if done || err != nil {
			return err
		}
	}
	err := c.wake()
	if err == nil {
		_, err = c.pace.Write(c.out)
	}
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// wake makes the connection one whose goroutine reads and writes.
func (c *conn) wake() error {
	if c.pace != nil {
		return nil
	}
	conn := c.net
	if c.line != nil {
		var err error
		if conn, err = c.line.Conn(); err != nil {
			return err
		}
	}
	c.pace = listen.NewPace(c.ctx, conn, or(c.Idle, DefaultIdle), or(c.Busy, DefaultBusy), or(c.Write, DefaultWrite))
	return nil
}

// sleep is the contrary.
func (c *conn) sleep() {
	if c.pace != nil {
		c.pace.Stop()
		c.pace = nil
	}
}

func (c *conn) hangUp() {
	c.sleep()
	if c.line != nil {
		if err := c.line.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			c.log.Debug("closing a connection failed", "protocol", rules.ProtocolPolicy, "error", err)
		}
	}
}

// fill reads more. It fails with io.EOF when the peer is done, and with
// listen.ErrDraining when we are.
func (c *conn) fill() error {
	if c.parks && !c.pending() {
		if err := c.park(); !errors.Is(err, listen.ErrDraining) && !errors.Is(err, listen.ErrNotParked) {
			return err
		}
		c.parks = false // the drain's own times are those of its goroutine
	}
	if err := c.wake(); err != nil {
		return err
	}
	if err := c.setDeadline(); err != nil {
		return err
	}
	n, err := c.pace.ReadInto(c)
	if n > 0 {
		c.end += n
		return nil // an error will come again
	}
	pending := c.pending()
	switch {
	case pending && errors.Is(err, os.ErrDeadlineExceeded):
		return malformed{errSlow}
	case pending && errors.Is(err, net.ErrClosed):
		return err // by the end of the drain
	case c.pace.Draining():
		return listen.ErrDraining // which may have cut a request short that was just coming
	case pending:
		return malformed{errCutShort}
	default:
		return err
	}
}

func (c *conn) setDeadline() error {
	if !c.pending() {
		return c.pace.Wait(0)
	}
	if !c.begun {
		c.begun = true
		c.pace.Begin()
	}
	return nil
}

// pending tells whether a part of a request has come.
func (c *conn) pending() bool { return c.desk != nil && c.begin < c.end }

// Take implements listen.Buffer.
func (c *conn) Take() []byte {
	if c.desk == nil {
		c.desk = desks.Get().(*desk)
	}
	c.makeRoom()
	return c.in[c.end:]
}

// Leave implements listen.Buffer: somebody else may have the desk while the
// connection waits.
func (c *conn) Leave() {
	if c.desk == nil || c.begin < c.end {
		return
	}
	desks.Put(c.desk)
	c.desk = nil
}

// makeRoom makes space for the next read: a request that grows is moved to the
// front, then into a larger buffer, as its bytes arrive and never before.
func (c *desk) makeRoom() {
	pending := c.in[c.begin:c.end]
	switch {
	case len(pending) == 0 && (c.in == nil || len(c.in) > keptBuffer):
		c.in = make([]byte, firstBuffer)
	case len(pending) == len(c.in):
		c.in = make([]byte, min(2*len(c.in), MaxRequest))
	case len(pending) > 0 && c.end < len(c.in):
		return
	}
	c.scanned -= c.begin
	c.begin, c.end = 0, copy(c.in, pending)
	c.scanned = max(c.scanned, 0)
}
