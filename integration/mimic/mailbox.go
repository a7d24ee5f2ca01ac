package mimic

import "strings"

// mailbox checks a POP3 or IMAP login.
func (s *Server) mailbox(p *peer, v service, session, user, password string) verdict {
	return s.dovecot.check(attempt{
		protocol: v.name, client: p.addr, login: user, password: password, session: session, tls: p.tls,
	})
}

// pop3 is Dovecot's POP3, as far as the login. Clear text is allowed, as on
// the real test host.
func (s *Server) pop3(p *peer, v service) {
	session, user, in := s.dovecot.ids.next(), "", false
	p.say("+OK Dovecot ready.")
	for {
		line, err := p.line()
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word := strings.ToUpper(word); {
		case word == "QUIT":
			p.say("+OK Logging out")
			return
		case word == "CAPA":
			p.say(append([]string{"+OK", "CAPA", "UIDL", "USER"}, append(p.offerTLS("STLS"), "SASL PLAIN LOGIN", ".")...)...)
		case word == "STLS" && !p.tls:
			p.say("+OK Begin TLS negotiation now.")
			if p.startTLS(s.tls) != nil {
				return
			}
		case word == "USER" && !in:
			user = rest
			p.say("+OK")
		case word == "PASS" && !in && user != "":
			got := s.mailbox(p, v, session, user, rest)
			switch in = got.ok; {
			case got.ok:
				p.say("+OK Logged in.")
			case got.reason != "":
				p.say("-ERR [AUTH] " + got.reason) // FACTS.md 2.2
			default:
				p.say("-ERR [AUTH] Authentication failed.")
			}
		case in && word == "STAT":
			p.say("+OK 0 0")
		case in && word == "LIST":
			p.say("+OK 0 messages:", ".")
		default:
			p.say("-ERR Unknown command.")
		}
	}
}

// offerTLS is the capability, while there is no TLS yet.
func (p *peer) offerTLS(name string) []string {
	if p.tls {
		return nil
	}
	return []string{name}
}

// imap is Dovecot's IMAP, as far as the login.
func (s *Server) imap(p *peer, v service) {
	session, in := s.dovecot.ids.next(), false
	capability := func() string {
		return strings.Join(append([]string{"CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN"}, p.offerTLS("STARTTLS")...), " ")
	}
	p.say("* OK [" + capability() + "] Dovecot ready.")
	for {
		line, err := p.line()
		if err != nil {
			return
		}
		tag, rest, _ := strings.Cut(line, " ")
		word, rest, _ := strings.Cut(rest, " ")
		switch word := strings.ToUpper(word); {
		case word == "LOGOUT":
			p.say("* BYE Logging out", tag+" OK Logout completed.")
			return
		case word == "CAPABILITY":
			p.say("* "+capability(), tag+" OK Capability completed.")
		case word == "NOOP":
			p.say(tag + " OK NOOP completed.")
		case word == "STARTTLS" && !p.tls:
			p.say(tag + " OK Begin TLS negotiation now.")
			if p.startTLS(s.tls) != nil {
				return
			}
		case word == "LOGIN" && !in:
			user, password, _ := strings.Cut(rest, " ")
			got := s.mailbox(p, v, session, strings.Trim(user, `"`), strings.Trim(password, `"`))
			switch in = got.ok; {
			case got.ok:
				p.say(tag + " OK [CAPABILITY IMAP4rev1] Logged in")
			case got.reason != "":
				p.say(tag + " NO [AUTHENTICATIONFAILED] " + got.reason)
			default:
				p.say(tag + " NO [AUTHENTICATIONFAILED] Authentication failed.")
			}
		default:
			p.say(tag + " BAD Error in IMAP command received by server.")
		}
	}
}
