package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"portreeve/rules"
)

func relayCause(v *view) string {
	to := "a recipient that is not of this server"
	if len(v.Recipients) > 0 {
		to = fmt.Sprintf("%q, whose domain is not this server's own", rules.PrintableSender(v.Recipients[0]))
	}
	return fmt.Sprintf("The client wanted to send to %s, and was not logged in: %s.", to, v.because())
}

func relayCompared(v *view) Compared {
	c := noAuthCompared(v)
	if d := v.recipientDomain(); d != "" {
		c.Fact, c.Found = "recipient domain without a login", unicodeDomain(d)
		c.Allowed = append([]string{"the domains of the directory and of relay.local_domains"}, c.Allowed...)
		c.Text = fmt.Sprintf("%s is neither in the directory nor in relay.local_domains, and there was no login", bothDomains(d))
	}
	return c
}

// recipientDomain is the canonical domain of the recipient; "" if it has none.
func (v *view) recipientDomain() string {
	if len(v.Recipients) == 0 || !strings.Contains(v.Recipients[0], "@") {
		return ""
	}
	d, err := rules.CanonicalDomain(rules.DomainOf(v.Recipients[0]))
	if err != nil {
		return ""
	}
	return d
}

// takenByNow tells whether the domain has become one of this server's.
func (v *view) takenByNow(domain string) bool {
	if v.h.Policy != nil && v.h.Policy.Relay.LocalDomains[domain] {
		return true
	}
	if v.h.Directory == nil {
		return false
	}
	ours, err := v.h.Directory.Local(v.ctx, domain)
	return ours && err == nil
}

func relaySaid(v *view) []phrase {
	if said := noAuthSaid(v); said[0] != saidNoAuth {
		return said
	}
	return []phrase{saidRelay, doAuth, doAuthPort}
}

func relayRemedies(v *view) []Remedy {
	if d := v.recipientDomain(); d != "" && v.takenByNow(d) {
		return nothingAnyMore("this server takes the mail of %s by now", bothDomains(d))
	}
	list := append(v.failedLoginRemedies(), v.popRemedies()...)
	if d := v.recipientDomain(); d != "" && v.h.Policy != nil && !strings.ContainsAny(v.Recipients[0], "%!") {
		local := slices.Sorted(maps.Keys(v.h.Policy.Relay.LocalDomains))
		if !slices.Contains(local, d) {
			local = append(local, d)
		}
		list = append(list, v.h.setting(fmt.Sprintf("If this server takes the mail of %s: say so here; Postfix must take it, too (relay_domains, virtual_mailbox_domains).", bothDomains(d)),
			"relay", "local_domains", tomlStrings(local)))
	}
	if v.why() == whyNone {
		list = append(list, v.trusted()...)
	}
	if len(list) == 0 {
		list = append(list, Remedy{Text: "Nothing: whoever relays has to log in."})
	}
	return list
}
