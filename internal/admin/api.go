// Package admin is the daemon's admin socket: JSON over HTTP on a unix socket
// that only its owner and group can reach. The verbs are its clients.
package admin

import (
	"time"

	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/ledger"
	"portreeve/rules"
)

// Status is the answer to `portreeve status`.
type Status struct {
	Version   string            `json:"version"`
	Host      string            `json:"host"`
	Since     time.Time         `json:"since"`
	Now       time.Time         `json:"now"`
	Mode      string            `json:"mode"`
	Observe   []string          `json:"observe"`
	Config    string            `json:"config"`
	Loaded    time.Time         `json:"loaded"` // when the configuration in force was read
	Listeners map[string]string `json:"listeners"`
	Passed    []string          `json:"passed"` // of them: opened by the service manager, who keeps them across a restart
	Directory []SourceStatus    `json:"directory"`
	Store     StoreStatus       `json:"store"`
	Blocked   int               `json:"blocked_clients"`
	Guessed   int               `json:"guessed_logins"` // above the limit of [login_failures]
	Guesses   []Guess           `json:"guesses"`        // the latest of them
	Counts    metrics.Counts    `json:"counts"`
	Talkers   Talkers           `json:"talkers"`
	Warnings  []string          `json:"warnings"` // rules without a witness, and the like
}

// SourceStatus is the health of what the directory is asked from.
type SourceStatus struct {
	Name  string     `json:"name"`
	Up    bool       `json:"up"`
	Since *time.Time `json:"since,omitempty"` // while it is down
	Error string     `json:"error,omitempty"`
}

// StoreStatus is the store's health.
type StoreStatus struct {
	Kind  string `json:"kind"`
	Path  string `json:"path"`
	Up    bool   `json:"up"`
	Error string `json:"error,omitempty"`
	// SetAside are damaged files that lie beside it, until somebody removes them.
	SetAside []string `json:"set_aside,omitempty"`
	// Waiting is how many events the shared store has not heard of yet.
	Waiting int `json:"waiting,omitempty"`
}

// Guess is a login that is being guessed (rule 11).
type Guess struct {
	Login    string    `json:"login"`
	ID       string    `json:"id"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Failures int       `json:"failures"`
}

// ExplainRequest asks for ids, or for a sender that was rejected without one.
type ExplainRequest struct {
	IDs     []string     `json:"ids"`
	Senders []string     `json:"senders"`
	Since   time.Time    `json:"since"`           // for senders
	Times   []time.Time  `json:"times,omitempty"` // that stand near the senders: what is nearest to one of them comes first
	Lang    explain.Lang `json:"lang,omitempty"`  // of what is read to the customer; empty: English
}

// ExplainAnswer has what was found.
type ExplainAnswer struct {
	Found   []explain.Explanation `json:"found"`
	Unknown []string              `json:"unknown"` // ids, and senders in angle brackets
	Missing []explain.Missing     `json:"missing"` // of each unknown one: what can be said of it
}

// Block is one line of `portreeve blocks`.
type Block struct {
	Prefix   string             `json:"prefix"`
	ID       string             `json:"id"`
	Since    time.Time          `json:"since"`
	Until    time.Time          `json:"until"`
	Failures int                `json:"failures"`
	Logins   []LoginCount       `json:"logins"`
	Attempts []gate.FailureFact `json:"attempts"` // oldest first
}

// LoginCount is how many of a block's failures were for one login.
type LoginCount struct {
	Login string `json:"login"`
	Count int    `json:"count"`
}

// UnblockRequest names addresses.
type UnblockRequest struct {
	Addresses []string `json:"addresses"`
}

// Unblocked is the result for one address.
type Unblocked struct {
	Address string   `json:"address"`
	Lifted  []string `json:"lifted"` // prefixes of the blocks that ended
}

// Reloaded is the result of a reload. Problems is empty when the new
// configuration is in force.
type Reloaded struct {
	Problems     []string `json:"problems"`
	NeedsRestart []string `json:"needs_restart"` // keys that changed but stay as they were
}

// TestRequest is what `portreeve test` asks.
type TestRequest struct {
	ClientIP   string         `json:"client_ip"`
	Port       uint16         `json:"port"`
	Login      string         `json:"login"`
	TLS        bool           `json:"tls"`
	Sender     string         `json:"sender"`
	Recipients []string       `json:"recipients"`
	Message    *rules.Message `json:"message,omitempty"`
}

// Tested is the answer to it: the outcome with the keys of a journal entry, and
// how it came about.
type Tested struct {
	ID         string     `json:"id"` // always empty: nothing was recorded
	Time       time.Time  `json:"time"`
	Action     string     `json:"action"` // pass, refuse
	Rule       string     `json:"rule"`
	Reason     string     `json:"reason"`
	Observed   bool       `json:"observed"`
	Reply      string     `json:"reply"` // {id} stands where an id would be
	Client     string     `json:"client"`
	Port       uint16     `json:"port"`
	Login      string     `json:"login"`
	Sender     string     `json:"sender"`
	Recipients []string   `json:"recipients"`
	Facts      gate.Facts `json:"facts"`
	Delay      float64    `json:"delay,omitempty"` // seconds that AUTH would wait (rule 11)
	Offline    bool       `json:"offline"`         // nobody's failures, grants and quotas are known
	Steps      []TestStep `json:"steps"`
}

// TestStep is one stage of the session.
type TestStep struct {
	Stage     string     `json:"stage"`
	Recipient string     `json:"recipient,omitempty"`
	Action    string     `json:"action"` // pass, permit, refuse
	Rule      string     `json:"rule,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Reply     string     `json:"reply,omitempty"`
	As        string     `json:"as,omitempty"`       // the account that the client is treated as
	Observed  []string   `json:"observed,omitempty"` // rules that would have refused
	Facts     gate.Facts `json:"facts"`

	Rules []gate.Tried `json:"rules"` // every rule of the stage, in order
}

// UsageRequest names an account.
type UsageRequest struct {
	Login string `json:"login"`
}

// UsageAnswer is what an account has used of its hour, and its limits (0: none).
type UsageAnswer struct {
	Login  string       `json:"login"`
	Limits rules.Limits `json:"limits"`
	ledger.Usage
}

// Problem is the body of every answer that is not 200.
type Problem struct {
	Error string `json:"error"`
}
