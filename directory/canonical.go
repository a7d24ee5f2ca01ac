package directory

import (
	"strings"

	"portreeve/rules"
)

// canonicalSender is an address in the form in which the rules compare it, or
// "@domain", which stands for all of a domain. What is neither would be a
// promise that is not kept: rule 5 refuses such senders whatever the directory
// says (FACTS.md 1.5).
func canonicalSender(s string) (sender string, ok bool) {
	if domain, whole := strings.CutPrefix(s, "@"); whole {
		a, err := rules.CanonicalDomain(domain)
		return "@" + a, err == nil
	}
	return rules.CanonicalAddress(s)
}
