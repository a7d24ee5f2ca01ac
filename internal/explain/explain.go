// Package explain turns a journal entry into what a help desk needs: what was
// refused, by which rule and fact, what the customer can do, in the customer's
// language, and what the administrator can do, ready to copy.
//
// The command and the help-desk page show the same Explanation. Every sentence
// is made here; they add headings and escape what they show: causes, remedies
// and lines contain what clients chose.
package explain

import (
	"time"

	"portreeve/internal/gate"
	"portreeve/journal"
)

// Explanation is one entry of the journal in words.
type Explanation struct {
	journal.Entry
	// Candidate is set when the entry was found by a sender's address, not by an
	// id: it may be another customer's.
	Candidate bool `json:"candidate"`
	Lang      Lang `json:"lang"` // of When, CustomerCause and Customer; the rest is English

	Title           string   `json:"title"`             // the cause in a few words
	When            string   `json:"when"`              // Time as the customer reads it, with its zone
	LastFailedLogin string   `json:"last_failed_login"` // as it may be shown; empty if none is known
	Cause           string   `json:"cause"`             // for the administrator
	Compared        Compared `json:"compared"`
	CustomerCause   string   `json:"customer_cause"` // to be read to the customer
	Customer        []string `json:"customer"`       // what the customer can do, best first

	Administrator []string `json:"administrator"` // each of Remedies as one line
	Remedies      []Remedy `json:"remedies"`      // what the administrator can do, best first

	Block  *Block `json:"block,omitempty"` // of a refusal by rule throttled
	Around Around `json:"around"`
}

// Compared is the fact that decided, beside what would have been allowed.
type Compared struct {
	Fact    string   `json:"fact"`    // what it is: "sender domain", "failed logins"
	Found   string   `json:"found"`   // seznam.cz
	Allowed []string `json:"allowed"` // domena.cz, domena.eu
	Text    string   `json:"text"`    // both in one sentence
}

// Remedy is one thing that the administrator can do. With a Line, the line is
// put into the File first, under the Table, in place of one with the same key;
// then the Command is run.
type Remedy struct {
	Text    string `json:"text"`              // what it does, and when it is right
	File    string `json:"file,omitempty"`    // /etc/portreeve/accounts.toml
	Table   string `json:"table,omitempty"`   // [domains]
	Line    string `json:"line,omitempty"`    // "domena.cz" = { aliases = ["domena.eu", "nova.cz"] }
	Command string `json:"command,omitempty"` // for a POSIX shell; what clients chose in it is quoted
}

// Block is what led to a block, and how long it holds.
type Block struct {
	Prefix string         `json:"prefix"` // the address, or the network that counts as one
	Count  int            `json:"count"`  // failed logins within the window when it began
	Limit  int            `json:"limit"`
	Since  time.Time      `json:"since"`
	Until  time.Time      `json:"until"`  // when it ends, or has ended, by itself
	Over   bool           `json:"over"`   // ended by itself, or lifted
	Logins []BlockedLogin `json:"logins"` // most failures first
	// CountOnce is the count with repeats of one wrong password removed. Spared
	// is set when that is at or under the limit, so that same_password = "once"
	// would have spared everybody behind the address.
	CountOnce int  `json:"count_once"`
	Spared    bool `json:"spared_by_same_password_once"`
	// Text says in one line for each login when it failed.
	Text []string `json:"text"`
}

// BlockedLogin is one login's share in a block.
type BlockedLogin struct {
	Login    string      `json:"login"` // as it may be shown; empty for one with forbidden characters
	Failures int         `json:"failures"`
	Repeats  int         `json:"repeats"` // of them, the same wrong password again
	Times    []time.Time `json:"times"`   // oldest first
}

// Around is what else happened from the client and from the login in the hour
// before and the hour after, nearest first.
type Around struct {
	Since    time.Time          `json:"since"`
	Until    time.Time          `json:"until"`
	Refusals []Nearby           `json:"refusals"` // others, observed ones too
	Failures []gate.FailureFact `json:"failures"` // failed logins that are remembered
	Blocks   []InForce          `json:"blocks"`   // in force now
	More     bool               `json:"more"`     // there are more than these
	Text     []string           `json:"text"`     // all of it, one line each
}

// Nearby is another refusal.
type Nearby struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Count    int       `json:"count"`
	Rule     string    `json:"rule"`
	Reason   string    `json:"reason"`
	Observed bool      `json:"observed"`
	Client   string    `json:"client"`
	Login    string    `json:"login"`
	Sender   string    `json:"sender"`
	Title    string    `json:"title"`
}

// InForce is a block that holds now.
type InForce struct {
	ID     string    `json:"id"`
	Prefix string    `json:"prefix"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

// Missing is what can be said of an id or a sender that is not in the journal.
type Missing struct {
	What       string     `json:"what"`                  // the id, or the sender in angle brackets
	Time       *time.Time `json:"time,omitempty"`        // when the id was made
	HostNumber *uint16    `json:"host_number,omitempty"` // of the host that made it
	Host       string     `json:"host,omitempty"`        // its name, where that is known
	Here       bool       `json:"here"`                  // this host made it
	Doubtful   bool       `json:"doubtful"`              // it may be a word that only looks like an id
	Text       string     `json:"text"`                  // one sentence: what it means and where to ask
	Command    string     `json:"command,omitempty"`     // to be run there
}
