package maillog

import (
	"net/netip"
	"time"
)

// Kind is what a line tells.
type Kind uint8

const (
	// AuthFailed is a password that Postfix's SASL server did not accept.
	AuthFailed Kind = iota + 1
	// LoggedIn is a POP3 or IMAP login.
	LoggedIn
	// LoggedOut is the client's end of a POP3 or IMAP session that had logged in.
	LoggedOut
)

// String names the kind as tests and messages show it.
func (k Kind) String() string {
	switch k {
	case AuthFailed:
		return "auth failed"
	case LoggedIn:
		return "logged in"
	case LoggedOut:
		return "logged out"
	}
	return "nothing"
}

// Entry is one line, read.
type Entry struct {
	Kind    Kind
	Time    time.Time  // the line's own
	Zoned   bool       // the line says its zone, so that Time is certain
	Client  netip.Addr // unmapped; the zero Addr of a LoggedOut is to be found by Session
	Service string     // smtp, submission, pop3, imap
	Login   string     // as logged; empty if it was not
	Session string     // Dovecot's session id, or empty
	Times   int        // how often it happened: 1, unless the log daemon folded equal lines
}
