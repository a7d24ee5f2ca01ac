package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Lines says the facts in words, one per line.
func (k Facts) Lines() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if k.LookedAt != "" {
		add("looked at %q", k.LookedAt)
	}
	if k.Limit > 0 {
		add("%d failed logins within the window, limit %d", k.Count, k.Limit)
	}
	if k.BlockedUntil != nil {
		add("blocked until %s", k.BlockedUntil.Format(time.RFC3339))
	}
	if g := k.Guessing; g != nil {
		add("%d failed logins of the login within its window, limit %d; the client has logged in with it before: %v", g.Count, g.Limit, g.Known)
	}
	for _, f := range k.Failures {
		add("failed login %q at %s", f.Login, f.Time.Format(time.RFC3339))
	}
	for _, g := range k.Grants {
		add("POP login of %s at %s", g.Login, g.Last.Format(time.RFC3339))
	}
	for _, a := range k.Accounts {
		add("%s", a.line())
	}
	for _, d := range slices.Sorted(maps.Keys(k.Domains)) {
		add("the domains of %s are %s", d, strings.Join(k.Domains[d], ", "))
	}
	if k.Limits != nil {
		add("%d messages and %d recipients used within the hour, limits %d and %d (0: none)", k.UsedMessages, k.UsedRecipients, k.Limits.Messages, k.Limits.Recipients)
	}
	if len(k.Addresses) > 0 {
		add("further addresses: %s", strings.Join(k.Addresses, ", "))
	}
	if len(k.Senders) > 0 {
		add("external senders: %s", strings.Join(k.Senders, ", "))
	}
	for _, d := range slices.Sorted(maps.Keys(k.Local)) {
		add("%s is this server's own domain: %v", d, k.Local[d])
	}
	if k.DirectoryFailed {
		add("the directory could not answer")
	}
	return out
}

func (a AccountFact) line() string {
	switch {
	case !a.Found:
		return fmt.Sprintf("account %q: not in the directory", a.Login)
	case !a.SMTP:
		return fmt.Sprintf("account %q: SMTP access disabled", a.Login)
	case a.Forward:
		return fmt.Sprintf("account %q: may pass on other servers' mail", a.Login)
	}
	return fmt.Sprintf("account %q: enabled", a.Login)
}
