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
	// MessageAccepted is the end of a message that we let pass; it is charged.
	MessageAccepted
	// MessageDropped is a message that did not come to its end.
	MessageDropped
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

	// Transaction is the message's, as in its requests.
	Transaction string

	// ID is the witness's own number of the event, of 48 bits, or 0. A failure that
	// is told again under its ID counts once: a log may be read twice.
	ID uint64
}
