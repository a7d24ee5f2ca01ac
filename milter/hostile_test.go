package milter_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// length is a frame's length field.
func length(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// begun is a session between messages.
var begun = negotiate + connect + helo

// hostileFrames are good frames, a bad one, and what the log must say of it.
var hostileFrames = map[string]struct{ before, bad, reason string }{
	"zero length":            {begun, length(0), "a frame of length zero"},
	"zero length first":      {"", length(0) + "O", "a frame of length zero"},
	"4 GiB":                  {begun, length(1<<32-1) + "M", "the limit is"},
	"1 MiB of MAIL":          {begun, length(1<<20) + "M", "the limit is"},
	"over 1 MiB of header":   {begun + mail, length(1<<20+1) + "L", "the limit is"},
	"a long HELO":            {negotiate + connect, frame('H', str(strings.Repeat("x", 5000))), "the limit is"},
	"a long macro frame":     {begun, frame('D', "M", str(strings.Repeat("x", 66000))), "the limit is"},
	"an ABORT with payload":  {begun + mail, frame('A', "x"), "the limit is"},
	"an end with a body":     {begun + mail + endOfHeader, frame('E', "x"), "the limit is"},
	"unknown command":        {begun, frame('Z', "x"), "unexpected command 'Z'"},
	"NUL command":            {begun, frame(0, "x"), `unexpected command '\\x00'`},
	"body":                   {begun + mail + rcpt + endOfHeader, frame('B', "x"), "unexpected command 'B'"},
	"DATA":                   {begun + mail + rcpt, frame('T'), "unexpected command 'T'"},
	"an SMTP client":         {"", "EHLO pc.test\r\n", "unexpected command"},
	"an HTTP client":         {"", "GET / HTTP/1.1\r\n\r\n", "unexpected command"},
	"MAIL first":             {"", frame('M', str("<a@a.cz>")), "command 'M' out of order"},
	"CONNECT first":          {"", frame('C', str("h"), "U"), "command 'C' out of order"},
	"macros first":           {"", macros('C', "a", "b"), "command 'D' out of order"},
	"ABORT first":            {"", abort, "command 'A' out of order"},
	"MAIL before CONNECT":    {negotiate, frame('M', str("<a@a.cz>")), "command 'M' out of order"},
	"HELO before CONNECT":    {negotiate, helo, "command 'H' out of order"},
	"second negotiation":     {begun, negotiate, "command 'O' out of order"},
	"second CONNECT":         {begun, frame('C', str("h"), "U"), "command 'C' out of order"},
	"CONNECT in a message":   {begun + mail, frame('C', str("h"), "U"), "command 'C' out of order"},
	"RCPT before MAIL":       {begun, frame('R', str("<b@b.cz>")), "command 'R' out of order"},
	"header before MAIL":     {begun, subject, "command 'L' out of order"},
	"end before MAIL":        {begun, endOfMsg, "command 'E' out of order"},
	"end without EOH":        {begun + mail + rcpt + subject, endOfMsg, "command 'E' out of order"},
	"end twice":              {begun + mail + endOfHeader + endOfMsg, endOfMsg, "command 'E' out of order"},
	"RCPT in the header":     {begun + mail + subject, frame('R', str("<b@b.cz>")), "command 'R' out of order"},
	"MAIL in the header":     {begun + mail + subject, frame('M', str("<b@b.cz>")), "command 'M' out of order"},
	"header after its end":   {begun + mail + endOfHeader, hop, "command 'L' out of order"},
	"RCPT after ABORT":       {begun + mail + abort, frame('R', str("<b@b.cz>")), "command 'R' out of order"},
	"short negotiation":      {"", frame('O', "\x00\x00\x00\x06"), "command 'O'"},
	"empty CONNECT":          {negotiate, frame('C'), "no connection"},
	"CONNECT without family": {negotiate, frame('C', str("h")), "no connection"},
	"CONNECT without port":   {negotiate, frame('C', str("h"), "4"), "no connection"},
	"CONNECT half a port":    {negotiate, frame('C', str("h"), "4\x00"), "no connection"},
	"CONNECT unterminated":   {negotiate, frame('C', str("h"), "4\x00\x19", "192.0.2.1"), "no connection"},
	"CONNECT two addresses":  {negotiate, frame('C', str("h"), "4\x00\x19", str("192.0.2.1"), str("x")), "no connection"},
	"CONNECT bad family":     {negotiate, frame('C', str("h"), "X\x00\x19", str("192.0.2.1")), "no connection"},
	"empty HELO":             {negotiate + connect, frame('H'), "command 'H'"},
	"HELO with NUL":          {negotiate + connect, frame('H', str("a\x00b")), "command 'H'"},
	"MAIL unterminated":      {begun, frame('M', "<a@a.cz>"), "command 'M'"},
	"empty MAIL":             {begun, frame('M'), "command 'M'"},
	"header without value":   {begun + mail, frame('L', str("Received")), "command 'L'"},
	"header without name":    {begun + mail, frame('L', str(""), str("x")), "command 'L'"},
	"header with NUL":        {begun + mail, frame('L', str("Received"), str("from\x00a")), "command 'L'"},
	"header unterminated":    {begun + mail, frame('L', str("Received"), "from a"), "command 'L'"},
	"empty header frame":     {begun + mail, frame('L'), "command 'L'"},
	"empty macros":           {begun, frame('D'), "command 'D'"},
	"odd macros":             {begun, frame('D', "M", str("a")), "command 'D'"},
	"macros unterminated":    {begun, frame('D', "M", str("a"), "b"), "command 'D'"},
}

// TestHostileFrames: each is logged with its reason and counted, and closes the
// connection without an answer, before the library or the rules see it.
func TestHostileFrames(t *testing.T) {
	for name, tt := range hostileFrames {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			r.send(tt.before)
			r.gate.take()
			go func() { _, _ = io.WriteString(r.Conn, tt.bad+frame('M', str("<after@a.cz>"))) }()
			if b, err := io.ReadAll(r.Conn); err != nil || len(b) != 0 {
				t.Errorf("answered %q, %v", b, err)
			}
			<-r.done
			r.wantAsked()
			if r.errors.Load() != 1 || !strings.Contains(r.log.String(), tt.reason) {
				t.Errorf("counted %d, logged %s", r.errors.Load(), r.log.String())
			}
		})
	}
}

// TestTruncated ends the connection inside each byte of a conversation.
func TestTruncated(t *testing.T) {
	all := []string{negotiate, connect, helo, mail, rcpt, subject, endOfHeader, endOfMsg}
	for i, last := range all {
		for n := 1; n < 4+int(binary.BigEndian.Uint32([]byte(last))); n++ {
			r := start(t)
			r.send(all[:i]...)
			if _, err := io.WriteString(r.Conn, last[:n]); err != nil {
				t.Fatal(err)
			}
			r.end()
			if r.errors.Load() != 1 {
				t.Fatalf("frame %d cut after %d bytes: %s", i, n, r.log.String())
			}
		}
	}
}

// TestByteByByte sends a conversation in the smallest pieces.
func TestByteByByte(t *testing.T) {
	r := start(t)
	defer r.end()
	go func() {
		for _, b := range []byte(negotiate + connect + helo + mail + rcpt + subject + endOfHeader + endOfMsg) {
			if _, err := r.Write([]byte{b}); err != nil {
				return
			}
		}
	}()
	for range 7 { // nobody waits for an answer to the header field
		r.read()
	}
	if n := len(r.gate.take()); n != 4 || r.errors.Load() != 0 {
		t.Errorf("asked %d times: %s", n, r.log.String())
	}
}

func TestMacroFlood(t *testing.T) {
	r := start(t)
	r.send(negotiate, connect, helo)
	for range 900 {
		r.send(macros('U', "{x}", "y"))
	}
	r.want(r.send(mail), continues)
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		for range 10_000 {
			if _, err := io.WriteString(r.Conn, macros('M', "{x}", strings.Repeat("y", 1000))); err != nil {
				return
			}
		}
		t.Error("ten thousand macro frames were taken")
	}()
	<-flooded
	<-r.done
	if !strings.Contains(r.log.String(), "macro frames without a command") {
		t.Error(r.log.String())
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestHugeHeader is FACTS.md 3.2's: 200,000 fields took 210 MiB of a bare
// server. The hop behind them is still seen.
func TestHugeHeader(t *testing.T) {
	r := start(t)
	defer r.end()
	r.send(negotiateOld, connect, helo, mail, rcpt)
	before := heap()
	for i := range 200_000 {
		f := subject
		switch i % 4 {
		case 1:
			f = frame('L', str(fmt.Sprintf("X-%d", i)), str(strings.Repeat("x", 100)))
		case 2:
			f = frame('L', str("Received"), str("by w with HTTP; now"))
		case 3:
			f = frame('L', str("Resent-From"), str("a@b.cz"))
		}
		if got := r.send(f); got != continues {
			t.Fatalf("field %d: answered %q", i, got)
		}
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("the header holds %d bytes of memory", grown)
	}
	r.want(r.send(hop, endOfHeader), "y550 5.1.0 relay rejected\x00")
}

// TestLargestField is as large as a frame may be; its memory is given back.
func TestLargestField(t *testing.T) {
	r := start(t)
	defer r.end()
	r.send(negotiateOld, connect, helo, mail, rcpt)
	before := heap()
	name := str("Received")
	value := "from a by b" + strings.Repeat(" ", 1<<20-1-len(name)-1-len("from a by b"))
	r.want(r.send(frame('L', name, str(value)), subject), continues)
	value = ""
	if grown := heap() - before; grown > 1<<18 {
		t.Errorf("a frame of 1 MiB leaves %d bytes behind", grown)
	}
	r.want(r.send(endOfHeader), "y550 5.1.0 relay rejected\x00")
}

// TestClaimedLength: a length is only a claim (300 of them took 300 MiB of a
// bare server).
func TestClaimedLength(t *testing.T) {
	before := heap()
	var rigs []*rig
	for range 300 {
		r := start(t)
		defer r.end()
		r.send(negotiate, connect, helo, mail)
		if _, err := io.WriteString(r.Conn, "\x00\x10\x00\x00L"); err != nil {
			t.Fatal(err)
		}
		rigs = append(rigs, r)
	}
	if grown := heap() - before; grown > 300*64<<10 {
		t.Errorf("300 claims of 1 MiB hold %d bytes", grown)
	}
	runtime.KeepAlive(rigs)
}

func TestTooManyRecipients(t *testing.T) {
	r := start(t)
	defer r.end()
	r.send(negotiate, connect, helo, mail)
	for i := range 10_000 {
		if got := r.send(frame('R', str(fmt.Sprintf("<%d@b.cz>", i)))); got != continues {
			t.Fatalf("recipient %d: %q", i, got)
		}
		r.gate.take()
	}
	r.want(r.send(frame('R', str("<one@more.cz>"))), "y452 4.5.3 too many recipients\x00")
	r.wantAsked()
	r.send(abort, mail)
	for range 70 {
		r.send(frame('R', str("<"+strings.Repeat("x", 16000)+"@b.cz>")))
	}
	r.want(r.send(frame('R', str("<"+strings.Repeat("x", 16000)+"@b.cz>"))), "y452 4.5.3 too many recipients\x00")
	r.want(r.send(endOfHeader, endOfMsg), continues)
}

// script is a peer that has sent everything, in pieces, and closed.
type script struct {
	rig
	in    string
	piece int
	out   strings.Builder
}

func (s *script) Read(p []byte) (int, error) {
	if s.in == "" {
		return 0, io.EOF
	}
	n := copy(p, s.in[:min(s.piece, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
