package mimic

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// smtp is one SMTP session, with Postfix's default of smtpd_delay_reject = yes.
type smtp struct {
	host    *Server
	peer    *peer
	service service

	client     netip.Addr // the peer's, or XCLIENT's; the zero Addr is unknown
	port       int        // the server's, or XCLIENT's DESTPORT
	helo       string
	esmtp      bool
	login      string
	mechanism  string
	milter     *milter
	policyConn net.Conn

	mail       bool   // in a transaction
	sender     string // unquoted, as the policy service gets it
	typed      string // as the client wrote it
	recipients []string
	queueID    string
	instance   string
}

func (s *Server) smtp(p *peer, v service) {
	t := &smtp{host: s, peer: p, service: v, client: p.addr, port: p.port}
	defer t.end()
	t.greet()
	for {
		line, err := p.line()
		if err != nil || !t.command(line) {
			return
		}
	}
}

func (s *smtp) end() {
	s.reset()
	s.milter.quit()
	if s.policyConn != nil {
		if err := s.policyConn.Close(); err != nil {
			s.host.log.Debug("closing the policy connection failed", "error", err)
		}
	}
}

// mx tells whether this is port 25's service rather than a submission one.
func (s *smtp) mx() bool { return s.service.name == "smtp" }

// greet opens the milter connection and greets, at the beginning and again
// after XCLIENT.
func (s *smtp) greet() {
	failure := "451 4.7.1 Service unavailable - try again later" // tempfail
	if s.mx() {
		failure = "" // accept
	}
	s.milter = newMilter(s.host.fronts.Milter, failure, s.macro, s.host.log)
	if s.milter.connect(s.client, s.peer.clientPort) != "" && s.milter.refused != "" {
		s.peer.say("554 " + hostname + " ESMTP not accepting connections") // FACTS.md 1.4
		return
	}
	s.peer.say("220 " + hostname + " ESMTP Postfix")
}

// macro is the value of a milter macro at this moment.
func (s *smtp) macro(name string) string {
	switch strings.Trim(name, "{}") {
	case "j", "daemon_name":
		return hostname
	case "v":
		return "Postfix 3.7.11"
	case "daemon_addr":
		return "127.0.0.1"
	case "daemon_port":
		return fmt.Sprint(s.port) // FACTS.md 6.1
	case "client_addr":
		if !s.client.IsValid() {
			return "unknown"
		}
		return s.client.String()
	case "client_name":
		return "unknown"
	case "auth_authen":
		return s.login
	case "auth_type":
		return s.mechanism
	case "tls_version":
		if s.peer.tls {
			return "TLSv1.3"
		}
	case "mail_addr":
		return s.sender
	case "i":
		if len(s.recipients) > 0 {
			return s.queueID // FACTS.md 6.1: not at the first RCPT
		}
	}
	return ""
}

// command carries out one line and tells whether the session goes on.
func (s *smtp) command(line string) bool {
	word, rest, _ := strings.Cut(line, " ")
	switch rest = strings.TrimSpace(rest); strings.ToUpper(word) {
	case "QUIT":
		s.peer.say("221 2.0.0 Bye")
		return false
	case "EHLO", "HELO":
		s.hello(strings.EqualFold(word, "EHLO"), rest)
	case "NOOP":
		s.peer.say("250 2.0.0 Ok")
	case "RSET":
		s.reset()
		s.peer.say("250 2.0.0 Ok")
	case "STARTTLS":
		return s.startTLS()
	case "AUTH":
		return s.auth(rest)
	case "XCLIENT":
		s.xclient(rest)
	case "MAIL":
		s.mailFrom(rest)
	case "RCPT":
		s.rcptTo(rest)
	case "DATA":
		return s.data()
	case "VRFY":
		s.peer.say(or(s.milter.refused, "252 2.0.0 "+rest))
	default:
		s.peer.say("502 5.5.2 Error: command not recognized")
	}
	return true
}

// or is the refusal, if there is one.
func or(refusal, reply string) string {
	if refusal != "" {
		return refusal
	}
	return reply
}

// reset ends the transaction, of which the milter is told even when MAIL was
// refused.
func (s *smtp) reset() {
	if s.typed != "" {
		s.milter.abort()
	}
	s.mail, s.sender, s.typed, s.recipients, s.queueID, s.instance = false, "", "", nil, "", ""
}

func (s *smtp) hello(extended bool, name string) {
	if name == "" {
		s.peer.say("501 Syntax: EHLO hostname")
		return
	}
	if s.helo != "" {
		s.milter.abort()
	}
	s.reset()
	s.helo, s.esmtp = name, extended
	s.milter.event(cmdHelo, []byte(name+"\x00"))
	switch {
	case !extended:
		s.peer.say("250 " + hostname)
	case s.milter.refused != "":
		s.peer.say("250-"+hostname, "250 ENHANCEDSTATUSCODES") // FACTS.md 1.4
	default:
		s.peer.say(s.keywords()...)
	}
}

func (s *smtp) keywords() []string {
	k := []string{hostname, "PIPELINING", "SIZE 10240000", "VRFY", "ETRN"}
	if !s.peer.tls {
		k = append(k, "STARTTLS")
	}
	k = append(k, "AUTH PLAIN LOGIN", "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
		"ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")
	for i := range k {
		k[i] = "250-" + k[i]
	}
	return append(k, "250 CHUNKING")
}

func (s *smtp) startTLS() bool {
	switch {
	case s.milter.refused != "":
		s.peer.say(s.milter.refused)
		return true
	case s.peer.tls:
		s.peer.say("554 5.5.1 Error: TLS already active")
		return true
	}
	s.peer.say("220 2.0.0 Ready to start TLS")
	if s.peer.startTLS(s.host.tls) != nil {
		return false
	}
	s.milter.abort()
	s.reset()
	s.helo, s.esmtp, s.login, s.mechanism = "", false, "", ""
	return true
}

// xclient changes address and login in mid-connection, and begins again with
// a greeting and a second milter connection (FACTS.md 1.6).
func (s *smtp) xclient(rest string) {
	login, client, port := "", s.client, s.port
	for _, attribute := range strings.Fields(rest) {
		name, value, _ := strings.Cut(attribute, "=")
		switch strings.ToUpper(name) {
		case "LOGIN":
			login = value
		case "ADDR":
			client = netip.Addr{}
			if value == "[UNAVAILABLE]" {
				continue
			}
			addr, err := netip.ParseAddr(strings.TrimPrefix(value, "IPV6:"))
			if err != nil || addr.Is6() != strings.HasPrefix(value, "IPV6:") {
				s.peer.say("501 5.5.4 Bad ADDR syntax: " + value)
				return
			}
			client = addr
		case "DESTPORT":
			if _, err := fmt.Sscanf(value, "%d", &port); err != nil {
				s.peer.say("501 5.5.4 Bad DESTPORT syntax: " + value)
				return
			}
		default:
			s.peer.say("501 5.5.4 Bad XCLIENT attribute name: " + name)
			return
		}
	}
	s.reset()
	s.milter.quit()
	s.client, s.port, s.login, s.mechanism, s.helo, s.esmtp = client, port, login, "", "", false
	if login != "" {
		s.mechanism = "XCLIENT"
	}
	s.greet()
}

func (s *smtp) mailFrom(rest string) {
	path, arguments, ok := parsePath(rest, "FROM:")
	switch {
	case s.mail:
		s.peer.say("503 5.5.1 Error: nested MAIL command")
		return
	case !ok:
		s.peer.say("501 5.5.4 Syntax: MAIL FROM:<address>")
		return
	}
	// As typed to the milter, unquoted to the policy service (FACTS.md 1.5).
	s.typed, s.sender = path, Internal(path)
	data := path + "\x00"
	for _, a := range arguments {
		data += a + "\x00"
	}
	if reply := s.milter.event(cmdMail, []byte(data)); reply != "" {
		s.reset()
		s.peer.say(reply)
		return
	}
	s.mail, s.queueID = true, s.host.queue.next()
	s.instance = fmt.Sprintf("1f4.%x.%s", time.Now().Unix(), s.queueID)
	s.peer.say("250 2.1.0 Ok")
}

func (s *smtp) rcptTo(rest string) {
	path, _, ok := parsePath(rest, "TO:")
	recipient := Internal(path)
	switch {
	case !s.mail:
		s.peer.say("503 5.5.1 Error: need MAIL command")
	case !ok || recipient == "":
		s.peer.say("501 5.1.3 Bad recipient address syntax")
	default:
		reply := s.senderRestrictions(recipient)
		if reply == "" {
			reply = s.relayRestrictions(recipient)
		}
		if reply == "" {
			reply = s.milter.event(cmdRcpt, []byte(path+"\x00"))
		}
		if reply == "" {
			s.recipients = append(slices.Clip(s.recipients), recipient)
		}
		s.peer.say(or(reply, "250 2.1.5 Ok"))
	}
}
