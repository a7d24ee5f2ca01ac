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
	pace  *listen.Pace
	now   func() time.Time
	log   *slog.Logger
	begun bool // the deadline of the request's end is set
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
}

var desks = sync.Pool{New: func() any { return new(desk) }}

// serve answers until the connection ends. Answers to what came before a
// malformed request are written before the connection is closed.
func (c *conn) serve(ctx context.Context) {
	defer c.Leave()
	err := c.fill()
	for err == nil {
		var n int
		n, err = c.whole()
		switch {
		case err != nil:
		case n > 0:
			err = c.answer(ctx, n)
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
func (c *conn) answer(ctx context.Context, n int) error {
	n, err := c.attributes.parse(c.in[c.begin : c.begin+n])
	if err != nil {
		return malformed{err}
	}
	decision := rules.Decision{Action: rules.Pass}
	if stage, ok := c.attributes.stage(); ok {
		c.attributes.fill(&c.request, stage)
		c.request.Time = c.now()
		decision = c.Gate.Decide(ctx, &c.request)
	}
	c.out = appendAnswer(c.out, &decision)
	c.begin += n
	c.scanned = c.begin
	c.begun = false
	if len(c.out) >= fullOutput {
		return c.flush()
	}
	return nil
}

// flush writes the answers, several in one write where requests came together.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.pace.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// fill reads more. It fails with io.EOF when the peer is done, and with
// listen.ErrDraining when we are.
func (c *conn) fill() error {
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
