package milter

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	library "github.com/emersion/go-milter"
)

// wanted is what Postfix is asked for, per stage; it sends nothing else
// (FACTS.md 6.1). The queue id is known from the second RCPT on.
var wanted = map[library.Stage][]string{
	library.StageConnect:  {"{daemon_port}", "{client_addr}"},
	library.StageHelo:     {"{tls_version}"},
	library.StageMailFrom: {"{auth_authen}", "{tls_version}", "{client_addr}", "{daemon_port}", "i"},
	library.StageRcptTo:   {"i"},
	library.StageEOH:      {"i"},
	library.StageEOM:      {"i"},
}

// macros are the values that came for one command. The library keeps only the
// last packet's, whatever command it was for (FACTS.md 3.4), so that a MAIL
// without macros would inherit the login of the one before.
type macros struct {
	command    byte
	clientAddr string
	daemonPort string
	authAuthen string
	tlsVersion string
	queueID    string
}

// parseMacros reads a vetted macro frame's payload.
func parseMacros(payload []byte) macros {
	m := macros{command: payload[0]}
	for rest := payload[1:]; len(rest) > 0; {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		switch string(name) {
		case "{client_addr}":
			m.clientAddr = string(value)
		case "{daemon_port}":
			m.daemonPort = string(value)
		case "{auth_authen}":
			m.authAuthen = string(value)
		case "{tls_version}":
			m.tlsVersion = string(value)
		case "i":
			m.queueID = string(value)
		}
	}
	return m
}

// port is the server port, or 0 if it was not told.
func (m *macros) port() uint16 {
	n, err := strconv.ParseUint(m.daemonPort, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// address reads an address as Postfix writes it in a macro (2001:db8::1) or in
// CONNECT (IPv6:2001:db8::1, which the library cannot read, FACTS.md 3.6). It
// is the zero Addr for what is none, such as "unknown".
func address(text string) netip.Addr {
	const prefix = "IPv6:"
	if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		text = text[len(prefix):]
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
