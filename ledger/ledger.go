// Package ledger remembers failed logins, blocks and POP logins.
//
// Answers come from memory, at once; what must last is written before the call
// that tells of it returns. A write that fails is an error for the caller to
// report, but memory holds it all the same: the rules go on.
package ledger

import (
	"context"
	"net/netip"
	"time"

	"portreeve/rules"
)

// Window is how failures are counted: more than Limit within Length block.
type Window struct {
	Limit  int
	Length time.Duration
	Once   bool // one wrong password of one login counts once, however often it is tried
}

// Counting is how failures are counted: against the client, and against the
// login from all clients together (rule 11; a limit of 0 is off).
type Counting struct{ Client, Login Window }

// Tallies are what a failure has made of its client and its login. What it does
// not count against is zero.
type Tallies struct{ Client, Login rules.Tally }

// retention is how long a failure can matter.
func (c Counting) retention() time.Duration {
	keep := max(c.Client.Length, rules.HintWindow)
	if c.Login.Limit > 0 {
		keep = max(keep, c.Login.Length)
	}
	return keep
}

// Block is a client prefix above the limit.
type Block struct {
	Prefix   netip.Prefix
	ID       string // journal entry; empty while nobody was told of it
	Since    time.Time
	Until    time.Time
	Count    int
	Failures []rules.Failure // that led to it, oldest first
}

// FailureQuery selects failures by one of the two, and by time.
type FailureQuery struct {
	Client netip.Addr // the zero Addr is not asked for
	Login  string     // as it is shown (rules.ShownLogin), in any case; ASCII only is folded
	Since  time.Time
	Limit  int
}

// Ledger is what the gate needs of a memory. Implementations share the
// conformance suite ledgertest. All methods may be called concurrently.
type Ledger interface {
	// AddFailure remembers a failed login against the prefix, and against its
	// login. The tallies count it already; so does every other call that begins after
	// this one has. The zero Prefix is nobody: the login alone counts.
	AddFailure(ctx context.Context, prefix netip.Prefix, f rules.Failure, c Counting) (Tallies, error)
	// Tally counts the failures of the prefix within the window before now.
	Tally(prefix netip.Prefix, now time.Time, w Window) rules.Tally
	// Failures lists those of the prefix that are not before since, newest first: of
	// one address, or of all its addresses when client is the zero Addr.
	Failures(prefix netip.Prefix, client netip.Addr, since time.Time) []rules.Failure
	// FindFailures looks through all that are kept, newest first. Unlike Failures it
	// may take a while.
	FindFailures(ctx context.Context, q FailureQuery) ([]rules.Failure, error)
	// BeginBlock gives the prefix's present block its id and begin. A block that has
	// one already keeps it; the id in force is returned.
	BeginBlock(ctx context.Context, prefix netip.Prefix, id string, now time.Time, w Window) (string, error)
	// Blocks lists the blocks in force, the latest first.
	Blocks(now time.Time, w Window) []Block
	// Blocked is how many there are.
	Blocked(now time.Time, w Window) int
	// Unblock forgets the failures of every prefix that contains the address and
	// returns the blocks that this lifted.
	Unblock(ctx context.Context, client netip.Addr, now time.Time, w Window) ([]Block, error)

	// LoginTally counts the failures of the login, from all clients together.
	LoginTally(login string, now time.Time, w Window) rules.Tally
	// LoginFailures lists those that are not before since, newest first.
	LoginFailures(login string, since time.Time) []rules.Failure
	// BeginGuessed is BeginBlock for a login.
	BeginGuessed(ctx context.Context, login, id string, now time.Time, w Window) (string, error)
	// Guessed lists the logins above the limit, the latest first.
	Guessed(now time.Time, w Window) []Guessed
	// AddLogin remembers that the client has logged in with the login.
	AddLogin(ctx context.Context, login string, client netip.Prefix, now time.Time) error
	// HasLoggedIn tells whether it has, within rules.KnownFor (to the hour).
	HasLoggedIn(login string, client netip.Prefix, now time.Time) bool

	// AddGrant remembers a POP login of the account from the address.
	AddGrant(ctx context.Context, client netip.Addr, g rules.Grant) error
	// Grants lists the logins from the address that are younger than validity,
	// the latest first.
	Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant

	// Look tells whether a message of one recipient would find a place.
	Look(login string, l rules.Limits, now time.Time) rules.Room
	// Reserve takes a place for one more recipient of the transaction, and with its
	// first for the message. What is reserved counts against others at once. With
	// always a place is taken even where there is none.
	Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room
	// Finish charges what the transaction reserved, or gives it back.
	Finish(ctx context.Context, transaction string, accepted bool, now time.Time) error
	// Charge takes the places of a whole message, once per instance, and not again
	// when its transaction finishes.
	Charge(ctx context.Context, c Charge, l rules.Limits, now time.Time) (rules.Room, error)
	// Usage is what an account has used within the hour before now.
	Usage(login string, now time.Time) Usage
	// Reset forgets what it has used.
	Reset(ctx context.Context, login string) error

	// Prune drops what is too old to matter to anyone.
	Prune(ctx context.Context, now time.Time, c Counting, validity time.Duration) error
	// Healthy returns nil, or why the memory cannot be written.
	Healthy() error
}
