package replay

import (
	"time"

	"portreeve/rules"
)

// Report is what a replay found. Its JSON is what `portreeve replay --json` prints.
type Report struct {
	Files []File     `json:"files"` // in the order of their first lines
	From  *time.Time `json:"from"`  // the first line's time; null without any
	To    *time.Time `json:"to"`

	Lines      int `json:"lines"`
	Unreadable int `json:"unreadable"` // without a prefix that could be read
	TooLong    int `json:"too_long"`

	Messages    Messages     `json:"messages"`
	Logins      Logins       `json:"logins"`
	Blocks      int          `json:"blocks"`   // that would have begun
	Services    []Service    `json:"services"` // of Postfix, by syslog_name
	Rules       []Rule       `json:"rules"`
	Suggestions []Suggestion `json:"suggestions"`
	NotReplayed []string     `json:"not_replayed"`
}

// File is one log.
type File struct {
	Name    string     `json:"name"`
	Lines   int        `json:"lines"`
	From    *time.Time `json:"from"`
	To      *time.Time `json:"to"`
	Problem string     `json:"problem,omitempty"` // why it was not read to its end
}

// Messages counts what came by SMTP.
type Messages struct {
	Judged   int `json:"judged"`
	Passed   int `json:"passed"`
	Refused  int `json:"refused"`  // that would have been
	Observed int `json:"observed"` // of those that pass: with a rule that only observes against them
	LoggedIn int `json:"logged_in"`

	// Not judged.
	Copies        int `json:"copies"`         // passed on by a content filter
	OtherServices int `json:"other_services"` // of services that nobody sends to
	RefusedBefore int `json:"refused_before"` // by the log's own server, in the end
	Unjoined      int `json:"unjoined"`       // whose sender was not logged
	NotBySMTP     int `json:"not_by_smtp"`    // local mail, bounces, or from before the log
}

// Logins counts logins.
type Logins struct {
	Failed          int `json:"failed"`
	Refused         int `json:"refused"` // of the failed: that would have been, before the password was looked at
	POP             int `json:"pop"`     // POP3 and IMAP
	CommandsRefused int `json:"commands_refused"`
}

// Service is one smtpd of master.cf.
type Service struct {
	Name   string `json:"name"`
	Port   uint16 `json:"port"` // 0: unknown, and not judged
	Guess  string `json:"guess,omitempty"`
	Judged int    `json:"messages"`
	Other  int    `json:"not_judged"`
}

// Rule is what one rule would have refused.
type Rule struct {
	Rule     rules.Rule           `json:"rule"`
	Observed bool                 `json:"observed"` // the configuration has it only observe
	Reasons  map[rules.Reason]int `json:"reasons"`  // of the messages
	Messages Affected             `json:"messages"` // that the log's server took
	Logins   Affected             `json:"logins"`   // that had failed in the log, too
}

// Affected counts what one rule refuses, and whom.
type Affected struct {
	Count     int `json:"count"`
	Accounts  Top `json:"accounts"`
	Addresses Top `json:"addresses"`
}

// Top are the most affected.
type Top struct {
	Distinct int     `json:"distinct"` // how many there are, as far as they were told apart
	Others   int     `json:"others"`   // counted for nobody: there were more than are told apart
	List     []Named `json:"list"`     // the most first
}

// Named is one account or address.
type Named struct {
	Name    string  `json:"name"`
	Count   int     `json:"count"`
	Example Example `json:"example"` // the first
}

// Example is one message or login.
type Example struct {
	Time      time.Time    `json:"time"`
	Reason    rules.Reason `json:"reason"`
	Client    string       `json:"client"`
	Port      uint16       `json:"port"`
	Login     string       `json:"login"`
	Sender    string       `json:"sender"`
	Recipient string       `json:"recipient"`
	QueueID   string       `json:"queue_id"`
}
