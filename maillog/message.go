package maillog

import (
	"net/netip"
	"strings"
	"time"
)

// Line is a line with its prefix read: when, where, and which program. What it
// tells is asked for afterwards, since most lines tell nothing.
type Line struct {
	Time    time.Time
	Zoned   bool   // the line says its zone
	Host    string // empty in a file that Dovecot writes itself
	Program string // postfix/submission/smtpd; empty in a file that Dovecot writes itself
	PID     string // empty if it was not logged
	Text    string
}

// Split reads the prefix of a line, without its newline. ref is about when it was
// written, as in Parse.
func Split(line string, ref time.Time) (l Line, ok bool) {
	m, ok := split(line, ref)
	if !ok {
		return Line{}, false
	}
	return Line{Time: m.time, Zoned: m.zoned, Host: m.host, Program: m.program, PID: m.pid, Text: m.text}, true
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+len(sep):]
}

// Entry is what the line tells of a login, as Parse.
func (l Line) Entry() (Entry, bool) {
	return message{time: l.Time, zoned: l.Zoned, program: l.Program, text: l.Text}.entry()
}

// TellsOfLogins tells whether lines of the program may have an Entry.
func TellsOfLogins(program string) bool {
	for i := range patterns {
		if patterns[i].program.MatchString(program) {
			return true
		}
	}
	return false
}

// StepKind is a step of a message's way through Postfix.
type StepKind uint8

const (
	// SessionBegan is smtpd's "connect from".
	SessionBegan StepKind = iota + 1
	// SessionEnded is its "disconnect from".
	SessionEnded
	// Received is smtpd's "client=", at the first recipient that it took.
	Received
	// Refused is a command that smtpd refused.
	Refused
	// Proxied is a message that smtpd's before-queue filter took.
	Proxied
	// Named is the message's id, told by cleanup.
	Named
	// Dropped is a message that smtpd or cleanup refused or discarded after its
	// recipients.
	Dropped
	// Queued is qmgr's "from="; it comes again with each attempt at delivery.
	Queued
	// Delivered is one recipient's delivery, or attempt at it.
	Delivered
	// Removed is the end of the message.
	Removed
)

var stepNames = [...]string{"", "connect", "disconnect", "received", "refused", "proxied", "named", "dropped", "queued", "delivered", "removed"}

// String names the kind as tests show it.
func (k StepKind) String() string { return stepNames[k] }

// Step is one line about a message, or about a session.
type Step struct {
	Kind    StepKind
	QueueID string // empty for NOQUEUE and for a session

	Client netip.Addr // of a session and of Received, unmapped; the zero Addr is "unknown"
	Login  string     // Received: what SASL accepted
	// Passed is set of Received where the client is a content filter that says
	// whose message it passes on (XFORWARD).
	Passed bool

	Sender     string // Queued, Proxied
	Recipients int    // Queued: how many there are, after aliases
	// Recipient is a Delivered's or Proxied's, as it was given at RCPT (orig_to),
	// and Address what aliases have made of it.
	Recipient, Address string
	MessageID          string // Named, without its angle brackets
	// Next is the queue id that the next server gave it (Delivered, Proxied): a
	// content filter's re-injection, if it is one of this host's.
	Next string
}
