package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// Decisions implements admin.Backend.
func (b backend) Decisions(ctx context.Context, r admin.DecisionsRequest) ([]journal.Entry, error) {
	q := journal.Query{
		Login: r.Login, Sender: r.Sender, Rule: r.Rule, Observed: r.Observed, Since: r.Since, Until: r.Until, Limit: r.Limit,
	}
	if r.Client != "" {
		var err error
		if q.Client, err = parseNetwork(r.Client); err != nil {
			return nil, err
		}
	}
	if r.Rule != "" && !slices.Contains(append(rules.Rules, rules.RuleLoginFailures), rules.Rule(r.Rule)) {
		return nil, fmt.Errorf("there is no rule %q: give one of %v, %s%w", r.Rule, rules.Rules, rules.RuleLoginFailures, admin.ErrRequest)
	}
	b.settle(ctx)
	entries, err := b.journal.Find(ctx, q)
	if entries == nil {
		entries = []journal.Entry{}
	}
	return entries, err
}

// settle writes the counts of the last second, so that they can be read.
func (b backend) settle(ctx context.Context) {
	b.gate.Flush()
	if err := b.db.Write(ctx, func(store.Tx) error { return nil }); err != nil {
		b.Log.Warn("counts may lag behind", "error", err)
	}
}

// parseNetwork reads an address or a network; both as clients' addresses are kept.
func parseNetwork(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := parseClient(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// maxFailures bounds an answer that has no limit of its own.
const maxFailures = 1000

// Failures implements admin.Backend. What looks like an address is one.
func (b backend) Failures(ctx context.Context, r admin.FailuresRequest) (admin.FailuresAnswer, error) {
	if r.Of == "" {
		return admin.FailuresAnswer{}, fmt.Errorf("nobody is named: give an IP address or a login%w", admin.ErrRequest)
	}
	if r.Limit <= 0 {
		r.Limit = maxFailures
	}
	p, err := parseNetwork(r.Of)
	if err == nil {
		return b.failuresOfClient(ctx, p, r)
	}
	return b.failuresOfLogin(ctx, r)
}

func (b backend) failuresOfClient(ctx context.Context, p netip.Prefix, r admin.FailuresRequest) (admin.FailuresAnswer, error) {
	policy := b.gate.State().Policy
	client, single := p.Addr(), p.IsSingleIP()
	counted := b.countedBy(p)
	switch {
	case p.Bits() < counted.Bits():
		return admin.FailuresAnswer{}, fmt.Errorf("%q is wider than what failed logins are counted by (/%d): name one of its addresses, or look for the blocks in it%w", r.Of, counted.Bits(), admin.ErrRequest)
	case policy.ManyPeople(client) && !single:
		return admin.FailuresAnswer{}, fmt.Errorf("%q stands for many people, whose failed logins are kept by their addresses: name one of them%w", r.Of, admin.ErrRequest)
	}
	p = counted
	a := admin.FailuresAnswer{Of: gate.PrefixText(p), Client: true, Limit: policy.Throttle.Limit}
	if policy.ManyPeople(client) {
		a.Shared, a.Limit = true, 0
		found, err := b.ledger.FindFailures(ctx, ledger.FailureQuery{Client: client, Since: r.Since, Limit: r.Limit})
		a.Failures = facts(found)
		return a, err
	}
	a.Failures = facts(cut(b.ledger.Failures(p, netip.Addr{}, r.Since), r.Limit)) // first: a shared store is asked
	enter(&a, b.ledger.Tally(p, b.Now(), b.window()))
	return a, nil
}

// failuresOfLogin reads memory where rule 11 keeps it, and the file otherwise.
func (b backend) failuresOfLogin(ctx context.Context, r admin.FailuresRequest) (admin.FailuresAnswer, error) {
	policy := b.gate.State().Policy
	a := admin.FailuresAnswer{Of: r.Of, Limit: policy.Guessing.Limit}
	login, whole := policy.Logins.Canonical(r.Of)
	if whole && policy.Guessing.Limit > 0 {
		b.ledger.LoginFailures(login, b.Now()) // a shared store is asked
		enter(&a, b.ledger.LoginTally(login, b.Now(), gate.Counting(policy).Login))
	}
	found, err := b.ledger.FindFailures(ctx, ledger.FailureQuery{Login: rules.ShownLogin(r.Of), Since: r.Since, Limit: r.Limit})
	a.Failures = facts(found)
	if policy.Guessing.Limit == 0 {
		a.Count = len(a.Failures)
	}
	return a, err
}

// enter says how it counts.
func enter(a *admin.FailuresAnswer, t rules.Tally) {
	a.Count, a.ID = t.Count, t.Block
	if t.Count > a.Limit && a.Limit > 0 {
		until := t.Until.UTC()
		a.Until = &until
	}
}

func cut(list []rules.Failure, most int) []rules.Failure { return list[:min(len(list), most)] }

// facts are failures as they may be shown, never null.
func facts(list []rules.Failure) []gate.FailureFact {
	return append([]gate.FailureFact{}, gate.FailureFacts(list)...)
}

// Blocks implements admin.Backend.
func (b backend) Blocks(_ context.Context, r admin.BlocksRequest) ([]admin.Block, error) {
	var of netip.Prefix
	if r.Client != "" {
		var err error
		if of, err = parseNetwork(r.Client); err != nil {
			return nil, err
		}
	}
	list := []admin.Block{}
	for _, block := range b.ledger.Blocks(b.Now(), b.window()) {
		switch {
		case of.IsValid() && !of.Overlaps(block.Prefix):
		case !r.Since.IsZero() && block.Since.Before(r.Since):
		case r.Login != "" && !slices.ContainsFunc(block.Failures, func(f rules.Failure) bool { return strings.EqualFold(f.Shown, r.Login) }):
		default:
			list = append(list, shownBlock(block))
		}
	}
	return list, nil
}
