package admin

import (
	"time"

	"portreeve/internal/gate"
)

// DecisionsRequest selects refusals; a zero field selects everything.
type DecisionsRequest struct {
	Login    string    `json:"login,omitempty"`
	Client   string    `json:"client,omitempty"` // an address, or a network
	Sender   string    `json:"sender,omitempty"`
	Rule     string    `json:"rule,omitempty"`
	Observed *bool     `json:"observed,omitempty"` // only those that were, or were not
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Limit    int       `json:"limit,omitempty"` // 0: 1,000
}

// FailuresRequest names an address, a network as `blocks` shows it, or a login.
type FailuresRequest struct {
	Of    string    `json:"of"`
	Since time.Time `json:"since"`           // zero: all that are remembered
	Limit int       `json:"limit,omitempty"` // 0: 1,000
}

// FailuresAnswer is what is remembered of one client, or of one login.
type FailuresAnswer struct {
	Of       string             `json:"of"`       // the client's prefix, or the login
	Client   bool               `json:"client"`   // which of the two
	Failures []gate.FailureFact `json:"failures"` // newest first
	Count    int                `json:"count"`    // those that count now
	Limit    int                `json:"limit"`    // above it, the client is blocked, the login slowed down; 0: nothing happens
	Until    *time.Time         `json:"until"`    // the end of that, if it is above
	ID       string             `json:"id"`       // its journal entry
	Shared   bool               `json:"shared"`   // the address stands for many people, and is never counted
}

// BlocksRequest selects blocks; a zero field selects everything.
type BlocksRequest struct {
	Client string    `json:"client,omitempty"` // an address in it
	Login  string    `json:"login,omitempty"`  // one of its failed logins
	Since  time.Time `json:"since"`            // that began then or later
}
