package rules

import (
	"net/netip"
	"time"
)

// State tells what is known of a fact.
type State uint8

const (
	// Absent: whoever should know answered that there is none.
	Absent State = iota
	// Known: the value is valid.
	Known
	// Failed: nobody could answer; the value means nothing.
	Failed
)

// Facts answers what the rules ask about one request. An implementation
// belongs to that request: it knows the client's address and the time, looks
// nothing up before it is asked, and remembers the answers for the journal.
type Facts interface {
	// Tally is the count of failed logins against the client's prefix.
	Tally() Tally
	// Failures lists the failed logins from the client's very address within
	// HintWindow, newest first.
	Failures() []Failure
	// Guesses is the count of failed logins of one login, in the form that
	// Logins.Canonical gave it, from all addresses together.
	Guesses(login string) Tally
	// HasLoggedIn tells whether the client has logged in as login within KnownFor.
	HasLoggedIn(login string) bool
	// Account looks up a login, in the form that Login.Canonical gave it.
	Account(login string) (*Account, State)
	// Domains lists every domain of the alias group that the domain belongs
	// to, itself included, as A-labels.
	Domains(domain string) ([]string, State)
	// Addresses lists further addresses of the account (sender.match = "address").
	Addresses(login string) ([]string, State)
	// Senders lists the external addresses that the account may use.
	Senders(login string) ([]string, State)
	// Local tells whether this server takes mail for the domain.
	Local(domain string) State
	// Room asks for a place for the message and the recipient of the request. At
	// StageRcpt a place that is found is reserved, at StageEnd it is taken, and
	// with always it is taken even if there is none (the rule only observes).
	Room(login string, l Limits, always bool) Room
	// Grants lists the valid POP grants of the client's address, newest first.
	Grants() []Grant
}

// HintWindow is how far back a failed login explains why a client is not
// authenticated (SPEC.md section 2, auth_rejected).
const HintWindow = 10 * time.Minute

// KnownFor is how long an address that a login has come from stays familiar
// (rule 11).
const KnownFor = 30 * 24 * time.Hour

// Account is what the directory knows of one login.
type Account struct {
	Login   string // canonical
	SMTP    bool   // false: access disabled
	Forward bool   // may pass on other servers' mail, and use its external senders from anywhere

	MessagesPerHour   int // 0: the default of [quota]
	RecipientsPerHour int
}

// Failure is one failed login.
type Failure struct {
	Time     time.Time
	Client   netip.Addr
	Login    string // canonical; empty when the name had forbidden characters
	Shown    string // the login as it may be kept and shown (see ShownLogin)
	Protocol string // Dovecot's name of the service: smtp, submission
	Password string // Dovecot's short hash of the password (auth policy's pwhash), or empty
	Vague    bool   // Login is only what may be shown: a name without @ from before a restart
	Counted  bool   // false: a refusal at AUTH that does not count (access_disabled)
	ID       uint64 // see Event.ID
}

// Tally is the state of a client prefix, or of a login.
type Tally struct {
	Count int       // counted failures within the window
	Since time.Time // begin of the block, if there is one
	Until time.Time // when the count will have fallen to the limit
	Block string    // id of the block, if one began; of a login: of its being guessed
}

// Grant is a POP login that authorises an address (rule 8).
type Grant struct {
	Login string // canonical
	Last  time.Time
}
