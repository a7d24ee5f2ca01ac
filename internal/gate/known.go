package gate

import (
	"net/netip"
	"strings"
	"time"

	"portreeve/rules"
)

// Facts is what a decision was made from, as the journal keeps it and the verbs
// print it: only what the rules asked for.
type Facts struct {
	LookedAt        string              `json:"looked_at,omitempty"` // the address or the header field that decided
	As              string              `json:"as,omitempty"`        // the account that it was decided for
	Limit           int                 `json:"limit,omitempty"`
	Count           int                 `json:"count"` // failures within the window
	BlockedSince    *time.Time          `json:"blocked_since,omitempty"`
	BlockedUntil    *time.Time          `json:"blocked_until,omitempty"`
	Prefix          string              `json:"prefix,omitempty"`
	Guessing        *GuessFact          `json:"guessing,omitempty"`
	Failures        []FailureFact       `json:"failures,omitempty"` // newest first
	Grants          []GrantFact         `json:"grants,omitempty"`
	Lapsed          []GrantFact         `json:"lapsed_grants,omitempty"` // those that have ended since
	Accounts        []AccountFact       `json:"accounts,omitempty"`
	Domains         map[string][]string `json:"domains,omitempty"` // alias groups
	Addresses       []string            `json:"addresses,omitempty"`
	Senders         []string            `json:"senders,omitempty"`
	Local           map[string]bool     `json:"local,omitempty"` // whether this server takes mail for the domain
	Limits          *rules.Limits       `json:"limits,omitempty"`
	UsedMessages    int                 `json:"used_messages,omitempty"` // within the hour, with what is under way
	UsedRecipients  int                 `json:"used_recipients,omitempty"`
	DirectoryFailed bool                `json:"directory_failed,omitempty"`
}

// FailureFact is one failed login.
type FailureFact struct {
	Time    time.Time `json:"time"`
	Client  string    `json:"client"`
	Login   string    `json:"login"`
	Service string    `json:"service"`
	Counted bool      `json:"counted"`
	Same    int       `json:"same,omitempty"` // equal numbers of one list: the same wrong password of the same login
}

// GuessFact is the state of a login that is tried from many addresses (rule 11).
type GuessFact struct {
	Limit int        `json:"limit"`
	Count int        `json:"count"` // failures of the login within the window, from all addresses
	Until *time.Time `json:"until,omitempty"`
	Known bool       `json:"known"` // the client has logged in with it within 30 days
	Delay float64    `json:"delay"` // seconds
}

// GrantFact is one POP login.
type GrantFact struct {
	Login string    `json:"login"`
	Last  time.Time `json:"last"`
}

// AccountFact is what the directory said of one login.
type AccountFact struct {
	Login   string `json:"login"`
	Found   bool   `json:"found"`
	SMTP    bool   `json:"smtp"`
	Forward bool   `json:"forward"`
}

// shown is a login as it may be kept. What failed without an @ may be a
// password: login.default_domain has made it look like an address since.
// The name of an account is no password.
func (f *facts) shown(login string) string {
	for _, a := range f.accounts {
		if a.key == login && a.state == rules.Known {
			return login
		}
	}
	if f.r.Stage.AtAuth() && !strings.Contains(f.r.Login, "@") {
		return rules.ShownLogin(f.r.Login)
	}
	for _, failed := range f.failures.value {
		if failed.Login == login && f.r.Login == "" {
			return failed.Shown
		}
	}
	return login
}

// record turns what was asked into what is kept.
func (f *facts) record(finding rules.Finding) Facts {
	k := Facts{LookedAt: finding.Text}
	if finding.Login != "" {
		k.As = f.shown(finding.Login)
	}
	if f.tally != nil {
		k.tally(f.tallied, f.s.Policy)
	}
	if f.guesses != nil {
		k.guesses(f.guessed, f.s.Policy)
		k.Guessing.Known = f.seen
	}
	if f.limits != (rules.Limits{}) {
		limits := f.limits
		k.Limits, k.UsedMessages, k.UsedRecipients = &limits, f.room.Messages, f.room.Recipients
	}
	k.Failures = FailureFacts(f.failures.value)
	for _, g := range f.grants.value {
		k.Grants = append(k.Grants, GrantFact{Login: g.Login, Last: g.Last.UTC()})
	}
	for _, g := range f.lapsed {
		k.Lapsed = append(k.Lapsed, GrantFact{Login: g.Login, Last: g.Last.UTC()})
	}
	for _, a := range f.accounts {
		fact := AccountFact{Login: f.shown(a.key), Found: a.state == rules.Known}
		if fact.Found {
			fact.SMTP, fact.Forward = a.value.SMTP, a.value.Forward
		}
		k.Accounts = append(k.Accounts, fact)
		k.DirectoryFailed = k.DirectoryFailed || a.state == rules.Failed
	}
	for _, d := range f.domains {
		if k.Domains == nil {
			k.Domains = map[string][]string{}
		}
		k.Domains[d.key] = d.value
		k.DirectoryFailed = k.DirectoryFailed || d.state == rules.Failed
	}
	k.Addresses = values(f.addresses, &k.DirectoryFailed)
	k.Senders = values(f.senders, &k.DirectoryFailed)
	for _, l := range f.local {
		if k.Local == nil {
			k.Local = map[string]bool{}
		}
		k.Local[l.key] = l.state == rules.Known
		k.DirectoryFailed = k.DirectoryFailed || l.state == rules.Failed
	}
	return k
}

func (k *Facts) tally(t rules.Tally, p *rules.Policy) {
	k.Limit, k.Count = p.Throttle.Limit, t.Count
	if !t.Since.IsZero() {
		since := t.Since.UTC()
		k.BlockedSince = &since
	}
	if !t.Until.IsZero() {
		until := t.Until.UTC()
		k.BlockedUntil = &until
	}
}

// guesses enters a login's tally, once it is above the limit.
func (k *Facts) guesses(t rules.Tally, p *rules.Policy) {
	k.Guessing = &GuessFact{Limit: p.Guessing.Limit, Count: t.Count, Delay: p.Guessing.Delay.Seconds()}
	if !t.Until.IsZero() {
		until := t.Until.UTC()
		k.Guessing.Until = &until
	}
}

// FailureFacts are failed logins as they may be shown.
func FailureFacts(list []rules.Failure) []FailureFact {
	var out []FailureFact
	same := repeated(list)
	for i, x := range list {
		out = append(out, FailureFact{
			Time: x.Time.UTC(), Client: addrText(x.Client), Login: x.Shown, Service: x.Protocol, Counted: x.Counted, Same: same[i],
		})
	}
	return out
}

func values(answers []answer[[]string], failed *bool) []string {
	var out []string
	for _, a := range answers {
		out = append(out, a.value...)
		*failed = *failed || a.state == rules.Failed
	}
	return out
}

// PrefixText shows a prefix as people read it: a single address as one.
func PrefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// addrText is a client address as people read it.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}
