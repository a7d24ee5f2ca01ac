package replay

import (
	"net/netip"

	"portreeve/rules"
)

const (
	// manyClients is how many addresses send to a domain that is this server's own,
	// and manyLogins how many accounts a shared address has.
	manyClients = 3
	manyLogins  = 3
	// maxListed bounds the names in one suggestion's lines.
	maxListed = 20
	// maxDefaults bounds the domains that are tried as login.default_domain.
	maxDefaults = 20
)

// candidates are all changes that could remove some of one rule's refusals.
func (s *suggester) candidates(cases []*refusal) []*candidate {
	var list []*candidate
	for _, more := range [][]*candidate{
		s.aliases(cases), s.forwards(cases), s.webmails(cases), s.furtherAddresses(cases), s.freemails(cases),
		s.trusted(cases), s.localDomains(cases),
		s.defaultDomains(cases), s.missingAccounts(cases),
		s.shared(cases),
	} {
		list = append(list, more...)
	}
	return list
}

// group sorts refusals by what a change would be about, in the order in which
// they came; an empty key is nothing.
func group[K comparable](cases []*refusal, by func(*refusal) K) (keys []K, groups map[K][]*refusal) {
	groups = map[K][]*refusal{}
	var none K
	for _, c := range cases {
		k := by(c)
		if k == none {
			continue
		}
		if _, ok := groups[k]; !ok {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], c)
	}
	return keys, groups
}

// distinct counts what the refusals differ in.
func distinct[K comparable](cases []*refusal, by func(*refusal) K) int {
	keys, _ := group(cases, by)
	return len(keys)
}

func login(c *refusal) string            { return c.account }
func loginDomain(c *refusal) string      { return rules.DomainOf(c.account) }
func client(c *refusal) netip.Addr       { return c.key.client }
func withReason(r rules.Reason) reasonIs { return func(c *refusal) bool { return c.key.reason == r } }

func only(c []*refusal, is reasonIs) (l []*refusal) {
	for _, one := range c {
		if is(one) {
			l = append(l, one)
		}
	}
	return l
}

type reasonIs func(*refusal) bool
