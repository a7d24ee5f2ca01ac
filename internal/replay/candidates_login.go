package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve/rules"
)

// defaultDomains: logins without a domain.
func (s *suggester) defaultDomains(cases []*refusal) (list []*candidate) {
	about := only(cases, withReason(rules.ReasonLoginNotAddress))
	if s.judge.policy.Logins.DefaultDomain != "" || len(about) == 0 {
		return nil
	}
	// The domain that they send as, or that others log in with.
	tried, _ := group(about, func(c *refusal) string { return s.hosted(c.request.Sender) })
	for _, one := range s.builder.domains.top(maxDefaults).List {
		if !slices.Contains(tried, one.Name) {
			tried = append(tried, one.Name)
		}
	}
	for _, domain := range tried[:min(len(tried), maxDefaults)] {
		list = append(list, &candidate{
			kind: "default_domain", single: true, about: slices.Clone(about),
			apply: func(p *rules.Policy, _ *overlay) { p.Logins.DefaultDomain = domain },
			text: func(*candidate) (string, string, string) {
				return fmt.Sprintf("set login.default_domain to %s", domain),
					fmt.Sprintf("a login without a domain is one of %s, for Dovecot as well", domain),
					fmt.Sprintf("[login]\ndefault_domain = %q", domain)
			},
		})
	}
	return list
}

// hosted is the domain of an address, if it is one of this server's.
func (s *suggester) hosted(address string) string {
	domain, err := rules.CanonicalDomain(rules.DomainOf(address))
	if err != nil {
		return ""
	}
	if _, found, err := s.dir.Domains(s.ctx, domain); !found || err != nil {
		return ""
	}
	return domain
}

// missingAccounts: logins that SASL accepts and the directory does not know.
func (s *suggester) missingAccounts(cases []*refusal) (list []*candidate) {
	domains, groups := group(only(cases, withReason(rules.ReasonLoginUnknown)), loginDomain)
	for _, domain := range domains {
		list = append(list, &candidate{
			kind: "accounts", about: groups[domain],
			apply: func(_ *rules.Policy, d *overlay) { d.hosted = map[string]bool{domain: true} },
			text: func(c *candidate) (change, onlyIf, setting string) {
				missing, _ := group(c.removed, login)
				known := s.hosted("@"+domain) != ""
				change = fmt.Sprintf("add %s of %s to the directory", count(len(missing), "account", "accounts"), domain)
				lines := []string{"[accounts]"}
				if !known {
					change = fmt.Sprintf("add the domain %s and its %s to the directory", domain, count(len(missing), "account", "accounts"))
					lines = []string{"[domains]", fmt.Sprintf("%q = {}", domain), "[accounts]"}
				}
				for _, login := range missing[:min(len(missing), maxListed)] {
					lines = append(lines, fmt.Sprintf("%q = {}", login))
				}
				if more := len(missing) - maxListed; more > 0 {
					lines = append(lines, fmt.Sprintf("# and %d more", more))
				}
				return change, "they are customers of yours: Dovecot accepted their passwords", s.accounts(strings.Join(lines, "\n"))
			},
		})
	}
	return list
}

// shared: an address behind which several accounts send, and one of them, or
// somebody else there, guesses.
func (s *suggester) shared(cases []*refusal) (list []*candidate) {
	blocked := only(cases, withReason(rules.ReasonBlocked))
	nets, groups := group(blocked, func(c *refusal) netip.Prefix {
		p, _ := s.judge.policy.Throttle.Prefix(c.key.client)
		return p
	})
	sentWith := func(c *refusal) string { return c.request.Login }
	for _, net := range nets {
		if distinct(groups[net], sentWith) < manyLogins {
			continue
		}
		list = append(list, &candidate{
			kind: "shared", about: groups[net],
			apply: func(p *rules.Policy, _ *overlay) { p.Shared = append(slices.Clip(p.Shared), net) },
			text: func(c *candidate) (string, string, string) {
				return fmt.Sprintf("add %s to networks.shared", prefixText(net)),
					fmt.Sprintf("many people stand behind it, as an office or a provider does: %s while it was blocked", count(distinct(c.removed, sentWith), "account sent mail from it", "accounts sent mail from it")),
					s.networksLine("shared", s.judge.policy.Shared, net)
			},
		})
	}
	return list
}
