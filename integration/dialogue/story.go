// Package dialogue reads and plays stories: text files that say what a client
// sends to a mail host and what it must get. A postmaster can read them, and
// the same file runs against the in-process stand-in and against real Postfix
// and Dovecot. The notation is described in integration/README.md.
package dialogue

import (
	"net/netip"
	"time"
)

// Story is one parsed file.
type Story struct {
	Name     string // of the file, for failures
	Title    string // the first comment paragraph, on one line
	Settings Settings
	Steps    []Step
}

// Step is one thing that happens, or is expected.
type Step struct {
	Line   int    // in the file, from 1
	Text   string // the line as written, without its indentation
	Conn   string // the connection's name; empty is the unnamed one
	Action Action
}

// Action is what a step does; the concrete types below are all there are.
type Action interface {
	// play does it on behalf of the step. A failure ends the test.
	play(p *player, s Step)
}

// The actions of a connection.
type (
	// Dial opens a connection, closing the former one of the same name.
	Dial struct {
		From netip.Addr
		Port int
	}
	// Send sends one line; CRLF is added.
	Send struct{ Line string }
	// Expect reads a reply and matches its status line.
	Expect struct{ Pattern Pattern }
	// Among looks at the lines of the reply that was read last: one of them,
	// or with Absent none of them, must match.
	Among struct {
		Pattern Pattern
		Absent  bool
	}
	// StartTLS asks for TLS, shakes hands and greets again.
	StartTLS struct{}
	// TLS shakes hands at once (465, 995, 993).
	TLS struct{}
	// Auth is SMTP AUTH; the final reply is left for Expect.
	Auth struct{ Mechanism, User, Password string }
	// Login is POP3's USER and PASS or IMAP's LOGIN; the final reply is left
	// for Expect.
	Login struct{ User, Password string }
	// Message is DATA and what follows; the final reply is left for Expect.
	Message struct{ Lines []string }
	// Hangup closes without QUIT.
	Hangup struct{}
	// Closed expects that the server has closed the connection.
	Closed struct{}
)

// The actions on the host.
type (
	// Wait lets time pass.
	Wait struct{ For time.Duration }
	// Accounts replaces accounts.toml.
	Accounts struct{ Content string }
	// Directory makes the directory of accounts fail, or answer again.
	Directory struct{ Answers bool }
	// Verb runs `portreeve Args...` and expects the exit status.
	Verb struct {
		Args []string // {name} stands for a captured id
		Exit int
	}
	// Printed looks for a line in what the last verb printed.
	Printed struct {
		Pattern Pattern
		Stderr  bool
	}
	// Restart ends the daemon and starts it again.
	Restart struct{ Kill bool }
	// Repeat plays steps several times.
	Repeat struct {
		Times int
		Steps []Step
	}
)
