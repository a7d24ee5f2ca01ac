package milter

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"portreeve/internal/listen"
)

// Commands of the protocol, as the first byte of a frame.
const (
	cmdNegotiate   = 'O'
	cmdMacros      = 'D'
	cmdConnect     = 'C'
	cmdHelo        = 'H'
	cmdMail        = 'M'
	cmdRcpt        = 'R'
	cmdHeader      = 'L'
	cmdEndOfHeader = 'N'
	cmdEndOfMsg    = 'E'
	cmdAbort       = 'A'
	cmdQuit        = 'Q'
)

// limit is the largest length field that a command may have: the command byte
// and its payload. 0 is a command that Postfix has no reason to send us: body,
// DATA and unknown commands were negotiated away.
func limit(cmd byte) uint32 {
	switch cmd {
	case cmdEndOfHeader, cmdEndOfMsg, cmdAbort, cmdQuit:
		return 1
	case cmdNegotiate:
		return 1 + 256 // 12 bytes, and what later versions may add
	case cmdConnect, cmdHelo:
		return 1 + 4<<10 // a host name has 1,025 bytes at most
	case cmdMail, cmdRcpt:
		return 1 + 16<<10 // Postfix's line_length_limit is 2,048
	case cmdMacros:
		return 1 + 64<<10
	case cmdHeader:
		return 1 << 20 // the library's own limit; header_size_limit is 102,400
	default:
		return 0
	}
}

// maxMacrosInARow is far above what Postfix sends: one for each event, those
// included that were negotiated away (FACTS.md 6.2).
const maxMacrosInARow = 1000

// What a frame can do wrong.
var (
	errZeroLength   = errors.New("a frame of length zero")
	errTruncated    = errors.New("the connection ended inside a frame")
	errSlow         = errors.New("a frame did not come to its end in time")
	errMacroFlood   = fmt.Errorf("more than %d macro frames without a command", maxMacrosInARow)
	errNotConnected = errors.New("the payload is no connection")
	errNotStrings   = errors.New("the payload is not the strings that the command has")
)

// state is where a conversation stands.
type state uint8

const (
	fresh state = iota
	negotiated
	connected // between messages
	envelope  // after MAIL
	header    // after the first header field
	body      // after the end of the header
)

// vetter checks frames before the library sees them.
type vetter struct {
	state  state
	macros int // in a row
}

// activeLinger is how long a drain waits for a client that has sent MAIL and not yet
// the message, and for one that has sent a command so lately that the next one may be
// under way: long enough for one that is at it, short for one that would keep the
// daemon from restarting. What Dovecot asks meanwhile waits for the next daemon, and
// has 2 s for that (FACTS.md 2.6).
const activeLinger = 1500 * time.Millisecond

// wait waits for the next frame, which a drain does not for long. Of a message that
// has been refused nothing more is to come, only the next one.
func (v *vetter) wait(p *listen.Pace, refused bool) error {
	switch {
	case v.state >= header && !refused:
		return p.Wait(listen.DefaultDrain)
	case v.state == envelope && !refused:
		return p.Wait(activeLinger)
	default:
		return p.WaitLively(activeLinger)
	}
}

// vet takes the next frame's command and payload.
func (v *vetter) vet(cmd byte, payload []byte) error {
	if cmd != cmdMacros {
		v.macros = 0
	} else if v.macros++; v.macros > maxMacrosInARow {
		return errMacroFlood
	}
	next, ok := v.follow(cmd)
	if !ok {
		return fmt.Errorf("command %q out of order", cmd)
	}
	if err := wellFormed(cmd, payload); err != nil {
		return fmt.Errorf("command %q: %w", cmd, err)
	}
	v.state = next
	return nil
}

// follow is the state after the command. Postfix negotiates and connects once
// (XCLIENT opens another milter connection, FACTS.md 1.6), and asks for nothing
// at the end of a message whose header it has not ended: rule 7 has been asked
// by then. MAIL and HELO begin anew wherever the envelope stands.
func (v *vetter) follow(cmd byte) (next state, ok bool) {
	s := v.state
	switch cmd {
	case cmdNegotiate:
		return negotiated, s == fresh
	case cmdConnect:
		return connected, s == negotiated
	case cmdHelo:
		return connected, s == connected || s == envelope
	case cmdMail:
		return envelope, s == connected || s == envelope
	case cmdRcpt:
		return envelope, s == envelope
	case cmdHeader:
		return header, s == envelope || s == header
	case cmdEndOfHeader:
		return body, s == envelope || s == header
	case cmdEndOfMsg:
		return connected, s == body
	case cmdAbort:
		return min(s, connected), s != fresh
	case cmdMacros:
		return s, s != fresh
	case cmdQuit:
		return s, true
	default:
		return s, false
	}
}

func wellFormed(cmd byte, payload []byte) error {
	ok := true
	switch cmd {
	case cmdNegotiate:
		ok = len(payload) >= 12
	case cmdConnect:
		if _, _, ok := connection(payload); !ok {
			return errNotConnected
		}
	case cmdHelo:
		ok = stringCount(payload) == 1
	case cmdMail, cmdRcpt:
		ok = stringCount(payload) >= 1 // the address and ESMTP arguments
	case cmdHeader:
		// A NUL inside would make the library skip the field (FACTS.md 3.6).
		ok = stringCount(payload) == 2 && payload[0] != 0
	case cmdMacros:
		ok = len(payload) > 0 && stringCount(payload[1:]) >= 0 && stringCount(payload[1:])%2 == 0
	}
	if !ok {
		return errNotStrings
	}
	return nil
}

// stringCount is how many NUL-terminated strings b consists of, or -1 if
// something stands behind the last.
func stringCount(b []byte) int {
	if len(b) > 0 && b[len(b)-1] != 0 {
		return -1
	}
	return bytes.Count(b, []byte{0})
}

// firstString is the first NUL-terminated string of b.
func firstString(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// connection reads a CONNECT payload: host name, NUL, family, and for a family
// other than unknown a port of two bytes and the address, NUL. (Sendmail's
// libmilter and Postfix send the port for every one; go-milter's own client
// leaves it out for 'L'.)
func connection(payload []byte) (family byte, address string, ok bool) {
	_, rest, found := bytes.Cut(payload, []byte{0})
	if !found || len(rest) == 0 {
		return 0, "", false
	}
	family, rest = rest[0], rest[1:]
	switch family {
	case 'U':
		return family, "", true
	case '4', '6':
		if len(rest) < 3 || stringCount(rest[2:]) != 1 {
			return 0, "", false
		}
		return family, firstString(rest[2:]), true
	case 'L':
		return family, "", len(rest) > 0 && rest[len(rest)-1] == 0
	default:
		return 0, "", false
	}
}
