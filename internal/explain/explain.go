// Package explain turns a journal entry into what a help desk needs: what was
// refused, why, and what the customer or the administrator can do.
package explain

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/rules"
)

// Explanation is one entry with its cause and remedies in words.
type Explanation struct {
	journal.Entry
	LastFailedLogin string   `json:"last_failed_login,omitempty"`
	Cause           string   `json:"cause"`
	Customer        []string `json:"customer"`      // what the customer can do
	Administrator   []string `json:"administrator"` // what the administrator can do
}

// Of explains an entry. now tells whether a block is still in force.
func Of(e journal.Entry, now time.Time) (Explanation, error) {
	var known gate.Facts
	if err := json.Unmarshal(e.Facts, &known); err != nil {
		return Explanation{}, fmt.Errorf("reading the facts of %s: %w", e.ID, err)
	}
	x := Explanation{Entry: e}
	if len(known.Failures) > 0 {
		x.LastFailedLogin = known.Failures[0].Login
	}
	c := cause{e: e, f: known, now: now, account: firstOf(known.As, e.Login, x.LastFailedLogin)}
	text, ok := texts[rules.Reason(e.Reason)]
	if !ok {
		text = words{cause: func(c cause) string { return "The rule " + c.e.Rule + " refused it (" + c.e.Reason + ")." }}
	}
	x.Cause = text.cause(c)
	x.Customer = nonEmpty(text.customer, c)
	x.Administrator = nonEmpty(text.administrator, c)
	if e.Observed {
		x.Administrator = append([]string{"Nothing: the rule only observes; Portreeve let the client go on."}, x.Administrator...)
	}
	return x, nil
}

// cause is what the texts speak of.
type cause struct {
	e       journal.Entry
	f       gate.Facts
	now     time.Time
	account string // the login that matters most
}

// words are the texts of one reason.
type words struct {
	cause         func(cause) string
	customer      []func(cause) string
	administrator []func(cause) string
}

func nonEmpty(list []func(cause) string, c cause) []string {
	out := []string{}
	for _, f := range list {
		if s := f(c); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// domainsOf lists what the account could have used instead.
func (c cause) domainsOf() []string {
	own := rules.DomainOf(c.account)
	group := slices.Clone(c.f.Domains[own])
	if !slices.Contains(group, own) && strings.Contains(c.account, "@") {
		group = append([]string{own}, group...)
	}
	return group
}

// senderDomain is the domain of the address that was refused, as written.
func (c cause) senderDomain() string { return rules.DomainOf(c.lookedAt()) }

func (c cause) lookedAt() string { return firstOf(c.f.LookedAt, c.e.Sender) }

// over tells whether the block has ended by itself.
func (c cause) over() bool { return c.f.BlockedUntil != nil && !c.now.Before(*c.f.BlockedUntil) }

// tried lists the failed logins by name with their number, most first.
func (c cause) tried() string {
	counts := map[string]int{}
	for _, f := range c.f.Failures {
		counts[f.Login]++
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		shown := "a name with forbidden characters"
		if name != "" {
			shown = strconv.Quote(name)
		}
		names[i] = fmt.Sprintf("%s %d×", shown, counts[name])
	}
	return strings.Join(names, ", ")
}

// plainClient is the client's address if it is one, for a command to copy.
func (c cause) plainClient() string {
	if _, err := netip.ParseAddr(c.e.Client); err != nil {
		return ""
	}
	return c.e.Client
}
