package saslrelay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// MaxLine is how long a line may be, in bytes, with its LF. Dovecot takes 16 KiB
// (AUTH_CLIENT_MAX_LINE_LENGTH) and Postfix less (smtpd_sasl_response_limit).
const MaxLine = 64 << 10

var (
	errTooLong  = errors.New("a line is longer than 64 KiB")
	errSlow     = errors.New("a line did not end in time")
	errCutShort = errors.New("the connection ended before the end of a line")
)

// peer is one of the two connections, as lines.
type peer struct {
	conn              net.Conn
	in                *bufio.Reader
	idle, busy, write time.Duration
}

func newPeer(c net.Conn, idle, busy, write time.Duration) *peer {
	return &peer{conn: c, in: bufio.NewReader(c), idle: idle, busy: busy, write: write}
}

// received is a line, without its LF, or why there are no more.
type received struct {
	line []byte
	err  error
}

// pump sends every line to out, and at last an error, until done is closed.
func (p *peer) pump(out chan<- received, done <-chan struct{}) {
	for {
		line, err := p.line()
		select {
		case out <- received{line, err}:
		case <-done:
			clear(line)
			return
		}
		if err != nil {
			return
		}
	}
}

// line reads the next line. The error is io.EOF when the peer is done, or
// malformed.
func (p *peer) line() ([]byte, error) {
	p.until(p.idle)
	if _, err := p.in.Peek(1); err != nil {
		return nil, err
	}
	p.until(p.busy)
	var line []byte
	for {
		part, err := p.in.ReadSlice('\n')
		line = append(line, part...)
		clear(part) // the buffer lives as long as the connection, and this may be a password
		switch {
		case len(line) > MaxLine:
			return nil, malformed{errTooLong}
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, malformed{errSlow}
		case errors.Is(err, io.EOF):
			return nil, malformed{errCutShort}
		default:
			return nil, fmt.Errorf("read: %w", err)
		}
	}
}

// until sets the deadline of the reads that follow. That fails only when the
// connection is closed, and then the next read says so.
func (p *peer) until(d time.Duration) { _ = p.conn.SetReadDeadline(time.Now().Add(d)) }

// send writes one line, which gets its LF here.
func (p *peer) send(line []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.write)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := p.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
