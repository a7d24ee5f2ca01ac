package daemon

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// postfix is Postfix's end of one milter connection.
type postfix struct {
	net.Conn
	t      testing.TB
	login  string
	silent bool // nobody answers header fields: negotiated
}

// connect negotiates and introduces the client.
func (h *host) connect(client string, port int) *postfix {
	h.t.Helper()
	p := &postfix{Conn: h.open("milter.sock"), t: h.t}
	p.send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	cmd, options := p.receive()
	if cmd != 'O' || len(options) < 12 {
		h.t.Fatalf("negotiation is answered with %q %q", cmd, options)
	}
	p.silent = options[11]&0x80 != 0 // SMFIP_NR_HDR
	p.macros('C', "{client_addr}", client, "{daemon_port}", strconv.Itoa(port))
	p.say('C', "pc.test\x004\xc3\x50"+client+"\x00")
	return p
}

func (p *postfix) send(cmd byte, payload string) {
	p.t.Helper()
	frame := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	if _, err := p.Write(append(append(frame, cmd), payload...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *postfix) receive() (cmd byte, payload string) {
	p.t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(p, head[:]); err != nil {
		p.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:])-1)
	if _, err := io.ReadFull(p, body); err != nil {
		p.t.Fatal(err)
	}
	return head[4], string(body)
}

func (p *postfix) macros(stage byte, pairs ...string) {
	p.t.Helper()
	p.send('D', string(stage)+strings.Join(pairs, "\x00")+"\x00")
}

// say sends one event and returns the refusal, or "".
func (p *postfix) say(cmd byte, payload string) string {
	p.t.Helper()
	p.send(cmd, payload)
	switch answer, text := p.receive(); answer {
	case 'c':
		return ""
	case 'y':
		return strings.ReplaceAll(strings.TrimSuffix(text, "\x00"), "%%", "%")
	default:
		p.t.Fatalf("%q is answered with %q %q", cmd, answer, text)
		return ""
	}
}

func (p *postfix) helo() string { return p.say('H', "pc.test\x00") }

func (p *postfix) mail(sender string) string {
	p.t.Helper()
	p.macros('M', "{auth_authen}", p.login)
	return p.say('M', "<"+sender+">\x00")
}

func (p *postfix) rcpt(recipient string) string {
	p.t.Helper()
	return p.say('R', "<"+recipient+">\x00")
}

// header sends one field, endOfHeader what follows them all.
func (p *postfix) header(name, value string) string {
	p.t.Helper()
	if p.silent {
		p.send('L', name+"\x00"+value+"\x00")
		return ""
	}
	return p.say('L', name+"\x00"+value+"\x00")
}

// abort is what Postfix sends after every message, refused or not.
func (p *postfix) abort() {
	p.t.Helper()
	p.send('A', "")
}

func (p *postfix) endOfHeader() string  { return p.say('N', "") }
func (p *postfix) endOfMessage() string { return p.say('E', "") }

// breaksAtMail begins a message whose answer never comes.
func (p *postfix) breaksAtMail(sender string) {
	p.t.Helper()
	p.macros('M', "{auth_authen}", p.login)
	p.send('M', "<"+sender+">\x00")
	ends(p.t, "the milter connection", p)
}
