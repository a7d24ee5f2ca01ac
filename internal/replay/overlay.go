package replay

import (
	"context"
	"slices"

	"portreeve/directory"
	"portreeve/rules"
)

// overlay is a directory with one change to it, as a suggestion would make it.
type overlay struct {
	directory.Directory
	alias     map[string]string // further domain → a domain of the group that it joins
	hosted    map[string]bool   // domains whose every login is an account
	forward   string            // an account that may pass on other servers' mail
	senders   map[string][]string
	addresses map[string][]string
}

// Account implements directory.Directory.
func (o *overlay) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	a, found, err := o.Directory.Account(ctx, login)
	switch {
	case err != nil:
		return a, found, err
	case !found && o.hosted[rules.DomainOf(login)]:
		return &rules.Account{Login: login, SMTP: true}, true, nil
	case found && login == o.forward:
		changed := *a
		changed.Forward = true
		return &changed, true, nil
	}
	return a, found, nil
}

// Domains implements directory.Directory.
func (o *overlay) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if other, ok := o.alias[domain]; ok {
		domain = other
	}
	group, found, err := o.Directory.Domains(ctx, domain)
	if err != nil || !found {
		return []string{domain}, o.hosted[domain], err
	}
	group = slices.Clone(group)
	for further, other := range o.alias {
		if slices.Contains(group, other) {
			group = append(group, further)
		}
	}
	return group, true, nil
}

// Addresses implements directory.Directory.
func (o *overlay) Addresses(ctx context.Context, login string) ([]string, error) {
	list, err := o.Directory.Addresses(ctx, login)
	return append(slices.Clip(list), o.addresses[login]...), err
}

// Senders implements directory.Directory.
func (o *overlay) Senders(ctx context.Context, login string) ([]string, error) {
	list, err := o.Directory.Senders(ctx, login)
	return append(slices.Clip(list), o.senders[login]...), err
}

// Local implements directory.Directory.
func (o *overlay) Local(ctx context.Context, domain string) (bool, error) {
	ours, err := o.Directory.Local(ctx, domain)
	_, alias := o.alias[domain]
	return ours || alias || o.hosted[domain], err
}
