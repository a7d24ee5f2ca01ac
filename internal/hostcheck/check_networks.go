package hostcheck

import (
	"fmt"
	"net/netip"
	"strings"
)

// Networks reads Postfix's notation (mynetworks): IPv6 in brackets. What is no
// plain network, such as a table, a file or an exclusion, is returned apart.
func Networks(words []string) (list []netip.Prefix, others []string) {
	for _, w := range words {
		text := strings.NewReplacer("[", "", "]", "").Replace(w)
		p, err := netip.ParsePrefix(text)
		if a, err2 := netip.ParseAddr(text); err != nil && err2 == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			others = append(others, w)
			continue
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		list = append(list, p.Masked())
	}
	return list, others
}

// missing lists the networks of a that no network of b contains.
func missing(a, b []netip.Prefix) []string {
	var list []string
	for _, p := range a {
		covered := false
		for _, q := range b {
			covered = covered || q.Bits() <= p.Bits() && q.Contains(p.Addr())
		}
		if !covered {
			list = append(list, p.String())
		}
	}
	return list
}

func checkNetworks(h *Host, r *Report) {
	if !h.Connected() {
		return
	}
	mine, others := Networks(h.words(h.Postfix.Main["mynetworks"]))
	if len(others) > 0 {
		r.skipped(fmt.Sprintf("%s in mynetworks: keep networks.trusted equal to it by hand", strings.Join(others, ", ")))
	}
	trusted := h.Config.Networks.Trusted
	if list := missing(mine, trusted); len(list) > 0 {
		r.problem(h.Config.Path, fmt.Sprintf("mynetworks has %s, but networks.trusted has not: these hosts are refused on submission without a login", strings.Join(list, ", ")),
			"add it to networks.trusted, or take it out of mynetworks")
	}
	if list := missing(trusted, mine); len(list) > 0 && len(others) == 0 {
		r.advice(h.Config.Path, fmt.Sprintf("networks.trusted has %s, but mynetworks has not: no rule holds for these hosts, but Postfix lets them relay nothing", strings.Join(list, ", ")),
			"keep both equal")
	}
}
