package directory

import (
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"portreeve/internal/tomlfile"
)

// Filters are written as in Postfix's ldap_table(5): %s is the login or the
// domain, %u the part before the @, %d the domain, %% a percent sign.

// CheckFilter tells what is wrong with a filter for logins, or for domains.
func CheckFilter(filter string, forLogin bool) *tomlfile.Mistake {
	const remedy = "write one such as (&(objectClass=inetOrgPerson)(mail=%s)); the form is that of RFC 4515"
	sample, asked := "example.com", false
	if forLogin {
		sample = "jan@example.com"
	}
	for i := 0; i < len(filter); i++ {
		if filter[i] != '%' {
			continue
		}
		i++
		switch {
		case i < len(filter) && filter[i] == '%':
		case i < len(filter) && (filter[i] == 's' || filter[i] == 'd' || filter[i] == 'u' && forLogin):
			asked = true
		default:
			return &tomlfile.Mistake{What: fmt.Sprintf("has a %% that means nothing (%q)", filter[i-1:min(i+1, len(filter))]), Remedy: "write %s, %u (of a login) or %d, and %% for a percent sign"}
		}
	}
	if !asked {
		return &tomlfile.Mistake{What: "has no %s, so it would answer the same for everybody", Remedy: "write %s where the login or the domain is compared"}
	}
	if _, err := ldap.CompileFilter(fillFilter(filter, sample)); err != nil {
		return &tomlfile.Mistake{What: "is no LDAP filter", Remedy: remedy}
	}
	return nil
}

// fillFilter puts a login or a domain in its places. What has a meaning in
// filters is escaped (RFC 4515 section 3): it comes from clients.
func fillFilter(filter, name string) string {
	at := strings.LastIndexByte(name, '@')
	return strings.NewReplacer(
		"%%", "%",
		"%s", ldap.EscapeFilter(name),
		"%u", ldap.EscapeFilter(name[:max(at, 0)]),
		"%d", ldap.EscapeFilter(name[at+1:]),
	).Replace(filter)
}
