package directory

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"portreeve/rules"
)

// maxName is longer than any login or domain (RFC 5321 section 4.5.3.1), in bytes.
const maxName = 320

// askable tells whether a login can be an account at all. Only what is
// canonical and plain is asked for: a source may take "a@b " for "a@b".
func askable(login string) bool {
	if len(login) > maxName {
		return false
	}
	c, ok := rules.CanonicalAddress(login)
	return ok && c == login
}

// distinct tells whether a login can be asked for where names are compared without
// regard to width and form, as in LDAP (RFC 4518 section 2.3): ｊan is jan there, and
// whoever logs in so would be another account each time, with limits of its own.
func distinct(login string) bool {
	return askable(login) && norm.NFKC.IsNormalString(login)
}

// askableDomain tells of a domain whether it can be one at all, and is canonical.
func askableDomain(domain string) bool {
	if len(domain) > maxName {
		return false
	}
	c, err := rules.CanonicalDomain(domain)
	return err == nil && c == domain
}

// spellings are the forms in which a source may keep a canonical login or
// domain: with A-labels, and with U-labels where that differs.
func spellings(name string) []string {
	at := strings.LastIndexByte(name, '@') + 1
	domain := name[at:]
	if !strings.Contains(domain, "xn--") {
		return []string{name}
	}
	u, err := idna.ToUnicode(domain)
	if err != nil || u == domain {
		return []string{name}
	}
	return []string{name, name[:at] + u}
}

// sameLogin tells whether a source's login is the one that was asked for:
// databases compare more loosely than we do, without accents, for instance. Spaces
// around it are no part of a name: PostgreSQL pads its char(n) with them, and
// MariaDB takes "a@b " for "a@b" itself.
func sameLogin(written, login string) bool {
	c, ok := rules.CanonicalAddress(strings.TrimSpace(written))
	return ok && c == login
}

// canonicalDomains are the domains of a group, each once; nil if the domain that
// was asked for is not among them.
func canonicalDomains(written []string, asked string) []string {
	var group []string
	seen := map[string]bool{}
	for _, w := range written {
		d, err := rules.CanonicalDomain(strings.TrimSpace(w))
		if err != nil || seen[d] {
			continue
		}
		seen[d] = true
		group = append(group, d)
	}
	if !seen[asked] {
		return nil
	}
	return group
}

// canonicalList are the addresses that can ever be a sender, each once. A
// catch-all among an account's addresses is none of them.
func canonicalList(written []string, canonical func(string) (string, bool)) []string {
	var list []string
	seen := map[string]bool{}
	for _, w := range written {
		a, ok := canonical(strings.TrimSpace(w))
		if !ok || seen[a] {
			continue
		}
		seen[a] = true
		list = append(list, a)
	}
	return list
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}
