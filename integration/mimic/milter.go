package mimic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Commands of the milter protocol, and the bits by which a milter negotiates
// them (milter-protocol.txt; the numbers are sendmail's).
const (
	cmdAbort, cmdBody, cmdConnect, cmdMacro, cmdEOM, cmdHelo = 'A', 'B', 'C', 'D', 'E', 'H'
	cmdHeader, cmdMail, cmdEOH, cmdNegotiate, cmdQuit        = 'L', 'M', 'N', 'O', 'Q'
	cmdRcpt, cmdData                                         = 'R', 'T'

	milterVersion = 6
	allActions    = 0x1ff
	allEvents     = 0x1fffff
	setSymList    = 0x100
	leadingSpace  = 0x100000
	chunk         = 65535
	largestFrame  = 1 << 20
)

// bits are the events' "do not send" and "will not answer" bits.
var bits = map[byte]struct{ skip, silent uint32 }{
	cmdConnect: {0x1, 0x1000}, cmdHelo: {0x2, 0x2000}, cmdMail: {0x4, 0x4000}, cmdRcpt: {0x8, 0x8000},
	cmdBody: {0x10, 0x80000}, cmdHeader: {0x20, 0x80}, cmdEOH: {0x40, 0x40000}, cmdData: {0x200, 0x10000},
}

// stages is the order of the macro lists in the negotiation.
var stages = []byte{cmdConnect, cmdHelo, cmdMail, cmdRcpt, cmdData, cmdEOM, cmdEOH}

// defaultMacros are Postfix's milter_*_macros, for a milter that asks for none.
var defaultMacros = map[byte]string{
	cmdConnect: "j {daemon_name} {daemon_addr} v", cmdHelo: "{tls_version}",
	cmdMail: "i {auth_type} {auth_authen} {mail_addr}", cmdRcpt: "i {rcpt_addr}", cmdData: "i", cmdEOM: "i", cmdEOH: "i",
}

// milter is Postfix's end of one milter connection. Its methods return the
// reply for the client, or nothing when the client may go on.
type milter struct {
	conn    net.Conn
	version uint32
	events  uint32
	macros  map[byte]string          // the names that it asked for, by stage
	value   func(name string) string // of a macro, now; empty: not defined
	failure string                   // milter_default_action, "" is accept
	log     *slog.Logger

	broken   bool   // holds for the rest of the SMTP session (FACTS.md 1.7)
	refused  string // at CONNECT or HELO: holds for the session (FACTS.md 1.4)
	accepted bool   // the milter wants to hear no more of this message
	deaf     bool   // … or of this connection
}

func newMilter(address, failure string, value func(string) string, log *slog.Logger) *milter {
	m := &milter{value: value, failure: failure, log: log}
	if address == "" { // the recipe "policy only"
		m.deaf, m.accepted = true, true
		return m
	}
	conn, err := dial(context.Background(), address)
	if err == nil {
		m.conn = conn
		err = m.negotiate()
	}
	if err != nil {
		m.breaks(fmt.Errorf("connecting to the milter: %w", err))
	}
	return m
}

// breaks notes an error; it is the default action that answers from now on.
func (m *milter) breaks(err error) string {
	m.log.Warn("milter in error, default action for the rest of the session", "error", err)
	m.broken = true
	return m.failure
}

func (m *milter) negotiate() error {
	offer := binary.BigEndian.AppendUint32(nil, milterVersion)
	offer = binary.BigEndian.AppendUint32(offer, allActions)
	offer = binary.BigEndian.AppendUint32(offer, allEvents)
	if err := m.write(cmdNegotiate, offer); err != nil {
		return err
	}
	code, data, err := m.readFrame()
	if err != nil {
		return err
	}
	if code != cmdNegotiate || len(data) < 12 {
		return fmt.Errorf("the milter negotiates with %q", code)
	}
	m.version = binary.BigEndian.Uint32(data)
	m.events = binary.BigEndian.Uint32(data[8:])
	m.macros = defaultMacros
	if binary.BigEndian.Uint32(data[4:])&setSymList == 0 {
		return nil
	}
	// The lists that it does not name become empty (FACTS.md 6.1).
	m.macros = map[byte]string{}
	for rest := data[12:]; len(rest) > 4; {
		stage := binary.BigEndian.Uint32(rest)
		names, after, ok := strings.Cut(string(rest[4:]), "\x00")
		if !ok || stage >= uint32(len(stages)) {
			return errors.New("the milter's macro list is malformed")
		}
		m.macros[stages[stage]], rest = names, []byte(after)
	}
	return nil
}

// event sends a command with its macros and reads the answer.
func (m *milter) event(cmd byte, data []byte) string {
	switch {
	case m.broken:
		return m.failure
	case m.refused != "":
		return m.refused
	case m.deaf || m.accepted:
		return ""
	}
	// Written even for an event that is then not sent (FACTS.md 6.2).
	macros := []byte{cmd}
	for _, name := range strings.Fields(m.macros[cmd]) {
		if v := m.value(name); v != "" {
			macros = append(macros, name+"\x00"+v+"\x00"...)
		}
	}
	if err := m.write(cmdMacro, macros); err != nil {
		return m.breaks(err)
	}
	if m.events&bits[cmd].skip != 0 || cmd == cmdData && m.version < 4 {
		return "" // version 2 has no DATA (FACTS.md 3.7)
	}
	if err := m.write(cmd, data); err != nil {
		return m.breaks(err)
	}
	if m.events&bits[cmd].silent != 0 {
		return ""
	}
	return m.answer(cmd)
}

// answer reads the milter's decision.
func (m *milter) answer(cmd byte) string {
	for {
		code, data, err := m.readFrame()
		if err != nil {
			return m.breaks(fmt.Errorf("reading the milter's answer to %q: %w", cmd, err))
		}
		reply := ""
		switch code {
		case 'p': // progress
			continue
		case 'c': // continue
			return ""
		case 'a': // accept
			m.accepted, m.deaf = true, cmd == cmdConnect || cmd == cmdHelo
			return ""
		case 'r': // reject
			reply = "550 5.7.1 Command rejected"
		case 't': // temporary failure
			reply = "451 4.7.1 Service unavailable - try again later"
		case 'y': // a reply of its own
			text, ok := replyText(data)
			if !ok {
				return m.breaks(fmt.Errorf("malformed reply %q", data))
			}
			reply = text
		default:
			return m.breaks(fmt.Errorf("unexpected answer %q to %q", code, cmd))
		}
		if cmd == cmdConnect || cmd == cmdHelo {
			m.refused = reply
		}
		return reply
	}
}

// replyText is what the client is shown of a reply, or that it is malformed
// (FACTS.md 1.2).
func replyText(data []byte) (text string, ok bool) {
	text, found := strings.CutSuffix(string(data), "\x00")
	digit := func(i int) bool { return text[i] >= '0' && text[i] <= '9' }
	if !found || len(text) < 4 || strings.ContainsAny(text, "\x00\r\n") ||
		text[0] != '4' && text[0] != '5' || !digit(1) || !digit(2) || text[3] != ' ' ||
		len(text) > 4 && digit(4) && text[4] != text[0] {
		return "", false
	}
	// A single % is dropped, two are one.
	return strings.NewReplacer("%%", "%", "%", "").Replace(text), true
}

// connect tells the client's address, none when it is unknown (FACTS.md 1.6).
func (m *milter) connect(client netip.Addr, port uint16) string {
	if !client.IsValid() {
		return m.event(cmdConnect, []byte("unknown\x00U"))
	}
	family := byte('4')
	if client.Is6() {
		family = '6'
	}
	data := append([]byte("["+client.String()+"]\x00"), family)
	data = binary.BigEndian.AppendUint16(data, port)
	return m.event(cmdConnect, append(data, client.String()+"\x00"...))
}

// abort ends a transaction; Postfix sends it after every message, refused,
// queued or given up (FACTS.md 1.2).
func (m *milter) abort() {
	m.accepted = m.deaf
	if m.conn == nil || m.broken || m.refused != "" {
		return
	}
	if err := m.write(cmdAbort, nil); err != nil {
		m.breaks(err)
	}
}

// quit ends the connection.
func (m *milter) quit() {
	if m.conn == nil {
		return
	}
	var err error
	if !m.broken {
		err = m.write(cmdQuit, nil)
	}
	if err = errors.Join(err, m.conn.Close()); err != nil {
		m.log.Debug("closing the milter connection failed", "error", err)
	}
}

func (m *milter) write(cmd byte, data []byte) error {
	if err := m.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))
	_, err := m.conn.Write(append(append(frame, cmd), data...))
	return err
}

func (m *milter) readFrame() (code byte, data []byte, err error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	var head [5]byte
	if _, err := io.ReadFull(m.conn, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > largestFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	data = make([]byte, n-1)
	_, err = io.ReadFull(m.conn, data)
	return head[4], data, err
}
