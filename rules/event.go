package rules

import (
	"net/netip"
	"time"
)

// EventKind tells what happened.
type EventKind uint8

const (
	// LoginFailed is a password check that failed (not one that Portreeve refused).
	LoginFailed EventKind = iota
	// LoginSucceeded is a login that the server accepted.
	LoginSucceeded
)

// Event is something that a front witnessed and the ledger should remember.
type Event struct {
	Kind     EventKind
	Protocol Protocol // the front that tells
	Time     time.Time
	Client   netip.Addr // unmapped; the zero Addr is unknown
	Service  string     // Dovecot's name of the service: smtp, submission, pop3, imap
	Login    string     // as the witness gave it
	Password string     // a short hash that only tells equal passwords apart, or empty
	Internal bool       // the server's own fault (Dovecot 2.4 fail_type=internal): not the client's
	TLS      bool
	Session  string // Dovecot's session id, or empty
}
