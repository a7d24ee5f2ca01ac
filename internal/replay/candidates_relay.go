package replay

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"portreeve/rules"
)

// trusted: clients that the log's server let relay without AUTH.
func (s *suggester) trusted(cases []*refusal) (list []*candidate) {
	anonymous := only(cases, func(c *refusal) bool { return c.request.Login == "" && !byAccount(c.key.reason) })
	nets, groups := group(anonymous, func(c *refusal) netip.Prefix { return network(c.key.client) })
	for _, net := range nets {
		about := groups[net]
		if !s.relays(about) {
			continue
		}
		addresses, byAddress := group(about, client)
		list = append(list, s.trust(cover(addresses), about))
		if len(addresses) > 1 {
			busiest := slices.MaxFunc(addresses, func(a, b netip.Addr) int { return cmp.Compare(sum(byAddress[a]), sum(byAddress[b])) })
			list = append(list, s.trust(netip.PrefixFrom(busiest, busiest.BitLen()), byAddress[busiest]))
		}
	}
	return list
}

// relays tells whether clients send other people's mail on. One that only sends to
// a domain which the directory does not know is some other server.
func (s *suggester) relays(about []*refusal) bool {
	to := func(c *refusal) string { return c.key.recipient }
	return distinct(about, to) > 1 || slices.ContainsFunc(about, func(c *refusal) bool {
		return c.key.reason != rules.ReasonRelayNoAuth || freemail(c.key.recipient) || s.hosted(c.request.Sender) != ""
	})
}

func (s *suggester) trust(p netip.Prefix, about []*refusal) *candidate {
	return &candidate{
		kind: "trusted", about: about,
		apply: func(q *rules.Policy, _ *overlay) { q.Trusted = append(slices.Clip(q.Trusted), p) },
		text: func(c *candidate) (string, string, string) {
			return fmt.Sprintf("add %s to networks.trusted", prefixText(p)),
				fmt.Sprintf("these are your own servers, as in Postfix's mynetworks (%s)", count(distinct(c.removed, client), "address sent", "addresses sent")),
				s.networksLine("trusted", s.judge.policy.Trusted, p)
		},
	}
}

// network is what addresses of one site have in common: /24, or /64.
func network(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // the unknown address
	}
	return p
}

// cover is the smallest network that has all the addresses, which are of one
// kind. Nobody else should be trusted.
func cover(addresses []netip.Addr) netip.Prefix {
	for bits := addresses[0].BitLen(); bits > 0; bits-- {
		p := netip.PrefixFrom(addresses[0], bits).Masked()
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !p.Contains(a) }) {
			return p
		}
	}
	return netip.PrefixFrom(addresses[0], 0).Masked()
}

// localDomains: a domain that Postfix takes mail for and the directory does not
// know. Many servers send to it; a client that relays sends to many domains.
func (s *suggester) localDomains(cases []*refusal) (list []*candidate) {
	domains, groups := group(only(cases, withReason(rules.ReasonRelayNoAuth)), func(c *refusal) string {
		domain, err := rules.CanonicalDomain(c.key.recipient)
		if err != nil || freemail(domain) {
			return ""
		}
		return domain
	})
	for _, domain := range domains {
		about := groups[domain]
		if distinct(about, client) < manyClients {
			continue
		}
		list = append(list, &candidate{
			kind: "local_domain", about: about,
			apply: func(p *rules.Policy, _ *overlay) {
				p.Relay.LocalDomains = maps.Clone(p.Relay.LocalDomains)
				p.Relay.LocalDomains[domain] = true
			},
			text: func(c *candidate) (string, string, string) {
				all := s.with("relay.local_domains", slices.Sorted(maps.Keys(s.judge.policy.Relay.LocalDomains)), domain)
				return fmt.Sprintf("add %s to relay.local_domains", domain),
					fmt.Sprintf("this server takes mail for %s: %s to it without a login", domain, count(distinct(c.removed, client), "address sent", "addresses sent")),
					"[relay]\nlocal_domains = " + quoted(all)
			},
		})
	}
	return list
}
