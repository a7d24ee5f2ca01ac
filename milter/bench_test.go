package milter_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"portreeve/milter"
	"portreeve/rules"
)

// idleGate lets everything pass at no cost.
type idleGate struct{}

func (idleGate) Decide(context.Context, *rules.Request) rules.Decision { return rules.Decision{} }
func (idleGate) Tell(context.Context, rules.Event) error               { return nil }

// sessionOf is a connection on which many messages come, frame by frame as
// Postfix sends them.
type sessionOf struct {
	net.Conn
	head     []string
	message  string
	at, left int
}

func (s *sessionOf) Read(p []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(p, s.head[0])
		s.head[0] = s.head[0][n:]
		if s.head[0] == "" {
			s.head = s.head[1:]
		}
		return n, nil
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	one := s.message[s.at:]
	n := copy(p, one)
	if s.at += n; n == len(one) {
		s.at = 0
		s.left--
	}
	return n, nil
}

func (*sessionOf) Write(p []byte) (int, error)      { return len(p), nil }
func (*sessionOf) Close() error                     { return nil }
func (*sessionOf) SetReadDeadline(time.Time) error  { return nil }
func (*sessionOf) SetWriteDeadline(time.Time) error { return nil }
func (*sessionOf) SetDeadline(time.Time) error      { return nil }

// BenchmarkMessage is one message with eight header fields on a connection that
// is used again.
func BenchmarkMessage(b *testing.B) {
	fields := ""
	for _, name := range []string{"Received", "From", "To", "Subject", "Date", "Message-Id", "MIME-Version", "Content-Type"} {
		fields += frame('L', str(name), str(" jan@a.cz (not more than a line of text)"))
	}
	s := &sessionOf{
		head:    []string{negotiate, connect, helo},
		message: strings.Join([]string{mail, rcpt, fields, endOfHeader, endOfMsg, abort}, ""),
		left:    b.N,
	}
	b.ReportAllocs()
	b.ResetTimer()
	(&milter.Server{Gate: idleGate{}}).Handle(b.Context(), s)
	if s.left != 0 {
		b.Errorf("%d messages were not read", s.left)
	}
}
