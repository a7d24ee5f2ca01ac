package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// accounts are lines for the file of accounts; nothing where the directory is
// another.
func (s *suggester) accounts(lines string) string {
	if !s.InFiles {
		return ""
	}
	return lines
}

// networksLine is a list of networks with one more.
func (s *suggester) networksLine(key string, have []netip.Prefix, more netip.Prefix) string {
	var list []string
	for _, p := range have {
		list = append(list, prefixText(p))
	}
	return "[networks]\n" + key + " = " + quoted(s.with("networks."+key, list, prefixText(more)))
}

// with is a list of the configuration with one more, and with what earlier
// suggestions have added to it: whoever follows them all writes one line.
func (s *suggester) with(key string, have []string, more string) []string {
	if !slices.Contains(s.added[key], more) {
		s.added[key] = append(s.added[key], more)
	}
	return append(slices.Clip(have), s.added[key]...)
}

func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// quoted is a list as TOML has it.
func quoted(list []string) string {
	var b strings.Builder
	for i, one := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", one)
	}
	return "[" + b.String() + "]"
}

// count says a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
