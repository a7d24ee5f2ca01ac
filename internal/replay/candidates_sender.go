package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve/rules"
)

const (
	// unrelated is how many customers use a domain that can be nobody's alias.
	unrelated = 3
	// A webmail server sends for this many logins, of so many customers.
	webmailLogins, webmailGroups = 5, 3
	// A customer's mail server sends with one login for this many domains, and
	// nearly all from one address: an account that was stolen sends from many.
	relayedDomains = 3
	fromOneAddress = 90 // percent
)

// senderDomain is the domain of a refused sender; empty if it is none.
func senderDomain(c *refusal) string {
	domain, err := rules.CanonicalDomain(rules.DomainOf(c.request.Sender))
	if err != nil {
		return ""
	}
	return domain
}

// customer is the alias group of a login, by its first domain.
func (s *suggester) customer(c *refusal) string {
	domain := loginDomain(c)
	group, found, err := s.dir.Domains(s.ctx, domain)
	if err != nil || !found || len(group) == 0 {
		return domain
	}
	return group[0]
}

// public are the sender domains that belong to no customer: of the well-known
// mail services, or used by customers that have nothing to do with each other.
func (s *suggester) public(foreign []*refusal) map[string]bool {
	found := map[string]bool{}
	domains, groups := group(foreign, senderDomain)
	for _, domain := range domains {
		found[domain] = freemail(domain) || distinct(groups[domain], s.customer) >= unrelated
	}
	return found
}

// aliases: a domain that one customer's accounts use.
func (s *suggester) aliases(cases []*refusal) (list []*candidate) {
	foreign := only(cases, withReason(rules.ReasonSenderDomain))
	public := s.public(foreign)
	type pair struct{ customer, domain string }
	pairs, groups := group(foreign, func(c *refusal) pair {
		domain := senderDomain(c)
		if domain == "" || public[domain] || s.below(domain) {
			return pair{}
		}
		return pair{s.customer(c), domain}
	})
	for _, p := range pairs {
		list = append(list, &candidate{
			kind: "alias", about: groups[p],
			apply: func(_ *rules.Policy, d *overlay) { d.alias = map[string]string{p.domain: p.customer} },
			text: func(c *candidate) (string, string, string) {
				group, _, _ := s.dir.Domains(s.ctx, p.customer) // an error is the next one's, too: see try
				all := s.with("aliases of "+p.customer, group[min(1, len(group)):], p.domain)
				return fmt.Sprintf("add %s to the aliases of %s", p.domain, p.customer),
					fmt.Sprintf("both belong to the same customer: %s it", count(distinct(c.removed, login), "account sends as", "accounts send as")),
					s.accounts(fmt.Sprintf("[domains]\n%q = { aliases = %s }", p.customer, quoted(all)))
			},
		})
	}
	return list
}

// below tells whether a domain is a hosted one, which is another customer's, or
// stands below one: those must be listed by somebody who means it.
func (s *suggester) below(domain string) bool {
	for rest := domain; rest != ""; {
		if s.hosted("@"+rest) != "" {
			return true
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
	return false
}

// forwards: a login that a mail server uses for other people's mail.
func (s *suggester) forwards(cases []*refusal) (list []*candidate) {
	foreign := only(cases, withReason(rules.ReasonSenderDomain))
	logins, groups := group(foreign, login)
	for _, name := range logins {
		var about []*refusal
		for _, c := range groups[name] {
			if domain := senderDomain(c); domain != "" && !freemail(domain) && !s.below(domain) {
				about = append(about, c)
			}
		}
		domains, _ := group(about, senderDomain)
		if len(domains) < relayedDomains || len(domains) > maxListed || !oneAddress(groups[name]) {
			continue
		}
		senders := make([]string, len(domains))
		for i, domain := range domains {
			senders[i] = "@" + domain
		}
		slices.Sort(senders)
		list = append(list, &candidate{
			kind: "forward", about: about,
			apply: func(_ *rules.Policy, d *overlay) { d.forward, d.senders = name, map[string][]string{name: senders} },
			text: func(*candidate) (string, string, string) {
				return fmt.Sprintf("let %s pass on other servers' mail (forward), for %s", name, count(len(senders), "domain", "domains")),
					"it is the login of a customer's mail server, and these are its domains; if not, somebody has stolen its password",
					s.accounts(fmt.Sprintf("[accounts]\n%q = { forward = true, senders = %s }    # beside what its line has", name, quoted(senders)))
			},
		})
	}
	return list
}

// oneAddress tells whether nearly all of the messages came from one address.
func oneAddress(cases []*refusal) bool {
	addresses, groups := group(cases, client)
	most := 0
	for _, a := range addresses {
		most = max(most, sum(groups[a]))
	}
	return most*100 >= sum(cases)*fromOneAddress
}

// webmails: an address that sends for accounts of many customers.
func (s *suggester) webmails(cases []*refusal) (list []*candidate) {
	external := only(cases, func(c *refusal) bool {
		return c.key.reason == rules.ReasonSenderDomain || c.key.reason == rules.ReasonSenderNotWebmail
	})
	addresses, groups := group(external, client)
	for _, a := range addresses {
		about := groups[a]
		stored := only(about, withReason(rules.ReasonSenderNotWebmail))
		if distinct(stored, login) >= manyLogins {
			list = append(list, s.webmail(a, stored, nil))
		}
		if distinct(about, login) >= webmailLogins && distinct(about, s.customer) >= webmailGroups {
			list = append(list, s.webmail(a, about, identities(about)))
		}
	}
	return list
}

// identities are the senders that each account would have to have.
func identities(about []*refusal) map[string][]string {
	found := map[string][]string{}
	for _, c := range about {
		if sender, ok := rules.CanonicalAddress(c.request.Sender); ok && c.key.reason == rules.ReasonSenderDomain {
			found[c.account] = append(found[c.account], sender)
		}
	}
	return found
}

// webmail is the network, and, if they are not in the directory, the identities.
func (s *suggester) webmail(a netip.Addr, about []*refusal, senders map[string][]string) *candidate {
	p := netip.PrefixFrom(a, a.BitLen())
	return &candidate{
		kind: "webmail", about: about,
		apply: func(q *rules.Policy, d *overlay) {
			q.Webmail = append(slices.Clip(q.Webmail), p)
			d.senders = senders
		},
		text: func(c *candidate) (change, onlyIf, setting string) {
			if !s.judge.policy.IsWebmail(a) {
				change = fmt.Sprintf("add %s to networks.webmail", a)
				setting = s.networksLine("webmail", s.judge.policy.Webmail, p)
			}
			if len(senders) > 0 {
				change = strings.TrimPrefix(change+", and give ", ", and ") + "its users' identities to their accounts as `senders`"
			}
			return change, fmt.Sprintf("it is your webmail server: it sends for %s of %s; if not, somebody has stolen their passwords",
				count(distinct(c.about, login), "account", "accounts"), count(distinct(c.about, s.customer), "customer", "customers")), setting
		},
	}
}

// furtherAddresses: sender.match = "address", and an account with further ones.
func (s *suggester) furtherAddresses(cases []*refusal) (list []*candidate) {
	logins, groups := group(only(cases, withReason(rules.ReasonSenderAddress)), login)
	for _, name := range logins {
		var addresses []string
		for _, c := range groups[name] {
			if a, ok := rules.CanonicalAddress(c.request.Sender); ok && !slices.Contains(addresses, a) {
				addresses = append(addresses, a)
			}
		}
		slices.Sort(addresses)
		if len(addresses) > maxListed {
			continue
		}
		list = append(list, &candidate{
			kind: "addresses", about: groups[name],
			apply: func(_ *rules.Policy, d *overlay) { d.addresses = map[string][]string{name: addresses} },
			text: func(*candidate) (string, string, string) {
				return fmt.Sprintf("give %s %s", name, count(len(addresses), "further address", "further addresses")),
					"the account may send as " + strings.Join(addresses, ", "),
					s.accounts(fmt.Sprintf("[accounts]\n%q = { addresses = %s }    # beside what its line has", name, quoted(addresses)))
			},
		})
	}
	return list
}

// freemails: senders that nobody can be given. No change of the rules is right
// there, and the customers have to be told.
func (s *suggester) freemails(cases []*refusal) (list []*candidate) {
	foreign := only(cases, withReason(rules.ReasonSenderDomain))
	public := s.public(foreign)
	domains, groups := group(foreign, func(c *refusal) string {
		if domain := senderDomain(c); public[domain] {
			return domain
		}
		return ""
	})
	for _, domain := range domains {
		list = append(list, &candidate{
			kind: "inform", about: groups[domain],
			text: func(c *candidate) (string, string, string) {
				return fmt.Sprintf("tell %s to send as their own addresses, or to keep theirs of %s as a sender in the webmail (`senders`)", count(distinct(c.about, login), "account", "accounts"), domain),
					fmt.Sprintf("%s is nobody's own here: it must not become an alias", domain), ""
			},
		})
	}
	return list
}
