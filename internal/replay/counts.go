package replay

import (
	"cmp"
	"net/netip"
	"slices"

	"portreeve/rules"
)

// maxNames bounds the accounts, and the addresses, that are told apart for one
// rule.
const maxNames = 20_000

// names counts by name.
type names struct {
	count  map[string]*Named
	others int
}

func (n *names) add(name string, example Example) {
	if name == "" {
		return
	}
	if n.count == nil {
		n.count = map[string]*Named{}
	}
	one, ok := n.count[name]
	switch {
	case ok:
		one.Count++
	case len(n.count) < maxNames:
		n.count[name] = &Named{Name: name, Count: 1, Example: example}
	default:
		n.others++
	}
}

func (n *names) top(most int) Top {
	t := Top{Distinct: len(n.count), Others: n.others, List: []Named{}}
	for _, one := range n.count {
		t.List = append(t.List, *one)
	}
	slices.SortFunc(t.List, func(a, b Named) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	t.List = t.List[:min(most, len(t.List))]
	return t
}

// affected is Affected while it is counted.
type affected struct {
	count               int
	accounts, addresses names
}

func (a *affected) add(account string, client netip.Addr, example Example) {
	a.count++
	a.accounts.add(account, example)
	a.addresses.add(clientText(client), example)
}

func (a *affected) report(most int) Affected {
	return Affected{Count: a.count, Accounts: a.accounts.top(most), Addresses: a.addresses.top(most)}
}

// ruleKey tells a rule that refuses from the same one where it only observes.
type ruleKey struct {
	rule     rules.Rule
	observed bool
}

// ruleCounts is Rule while it is counted.
type ruleCounts struct {
	reasons          map[rules.Reason]int
	messages, logins affected
}

// builder counts what the judge finds.
type builder struct {
	logins   Logins
	messages Messages
	rules    map[ruleKey]*ruleCounts
	cases    caseTable
	domains  names // of the logins that worked: where default_domain may point
	policy   *rules.Policy
}

func newBuilder(p *rules.Policy) *builder {
	return &builder{rules: map[ruleKey]*ruleCounts{}, policy: p}
}

func (b *builder) of(f rules.Finding) *ruleCounts {
	k := ruleKey{f.Rule, f.Observed}
	c, ok := b.rules[k]
	if !ok {
		c = &ruleCounts{reasons: map[rules.Reason]int{}}
		b.rules[k] = c
	}
	return c
}

// message counts one message.
func (b *builder) message(m *message, r rules.Request, o *outcome) {
	b.messages.Judged++
	login := ""
	if m.login != "" {
		b.messages.LoggedIn++
		whole := false
		if login, whole = b.policy.Logins.Canonical(m.login); whole {
			b.domains.add(rules.DomainOf(login), Example{})
		}
	}
	switch {
	case o.refused != nil:
		b.messages.Refused++
	case len(o.observed) > 0:
		b.messages.Passed++
		b.messages.Observed++
	default:
		b.messages.Passed++
	}
	for _, f := range o.findings() {
		account := login
		if account == "" && byAccount(f.Reason) {
			account = f.Login
		}
		example := exampleOf(r, f.Reason)
		example.Recipient = o.recipient
		if example.Recipient == "" && len(m.recipients) > 0 {
			example.Recipient = m.recipients[0]
		}
		c := b.of(f)
		c.reasons[f.Reason]++
		c.messages.add(account, r.Client, example)
		b.cases.add(f, r, o)
	}
}

// byAccount tells whether a finding about a client that did not log in names the
// account of its POP login. Elsewhere it names what was tried, which may be a
// password (rules.ShownLogin).
func byAccount(r rules.Reason) bool {
	switch r {
	case rules.ReasonNoAuth, rules.ReasonNoAuthUnknownLogin, rules.ReasonNoAuthNotAddress, rules.ReasonNoAuthDisabled, rules.ReasonRelayNoAuth:
		return false
	}
	return true
}

// login counts one failed login.
func (b *builder) login(r rules.Request, o *outcome) {
	b.logins.Failed++
	if o.refused != nil {
		b.logins.Refused++
	}
	r.Login = rules.ShownLogin(r.Login)
	for _, f := range o.findings() {
		b.of(f).logins.add(r.Login, r.Client, exampleOf(r, f.Reason))
	}
}

func exampleOf(r rules.Request, reason rules.Reason) Example {
	return Example{
		Time: r.Time.UTC(), Reason: reason, Client: clientText(r.Client), Port: r.Port,
		Login: r.Login, Sender: r.Sender, QueueID: r.QueueID,
	}
}

func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

// report lists the rules in their own order, refusing before observing.
func (b *builder) report(most int) []Rule {
	list := []Rule{}
	for _, observed := range []bool{false, true} {
		for _, rule := range rules.Rules {
			c, ok := b.rules[ruleKey{rule, observed}]
			if !ok {
				continue
			}
			list = append(list, Rule{
				Rule: rule, Observed: observed, Reasons: c.reasons,
				Messages: c.messages.report(most), Logins: c.logins.report(most),
			})
		}
	}
	return list
}
