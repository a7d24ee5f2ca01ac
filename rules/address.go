package rules

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// domains follows UTS 46 without transitional mapping. Hyphens are not
// checked: r3---sn.example exists, and no rule depends on their place.
var domains = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.Transitional(false),
	idna.StrictDomainName(true),
	idna.CheckHyphens(false),
	idna.VerifyDNSLength(true),
)

// CanonicalDomain is the form in which domains are compared: A-labels in lower
// case, without a trailing dot (RFC 5890, UTS 46).
func CanonicalDomain(domain string) (string, error) {
	d := strings.TrimSuffix(domain, ".")
	if d == "" {
		return "", fmt.Errorf("%q is not a domain: it is empty", domain)
	}
	a, err := domains.ToASCII(d)
	if err != nil {
		return "", fmt.Errorf("%q is not a domain: %w", domain, err)
	}
	return a, nil
}

// Logins is [login]: how SASL logins are read.
type Logins struct {
	DefaultDomain string // A-labels; empty: a login without @ is no whole address
}

// Canonical is the form in which logins are compared: NFC, case-folded, the
// domain as A-labels. ok is false for a login that is no whole address; it
// then comes back folded only.
func (l Logins) Canonical(login string) (canonical string, ok bool) {
	folded := fold(login)
	at := strings.LastIndexByte(folded, '@')
	if at < 0 && l.DefaultDomain != "" && folded != "" {
		return folded + "@" + l.DefaultDomain, true
	}
	if at <= 0 || !utf8.ValidString(folded) {
		return folded, false
	}
	domain := folded[at+1:]
	if plainASCIIDomain(domain) {
		return folded, true
	}
	domain, err := CanonicalDomain(domain)
	if err != nil {
		return folded, false
	}
	return folded[:at+1] + domain, true
}

// ShownLogin is a failed login as it may be kept and shown. People type their
// password into the name field, so what has no @ is kept as its first letter
// and its length only (SPEC.md section 8).
func ShownLogin(login string) string {
	if login == "" || strings.Contains(login, "@") {
		return login
	}
	first, _ := utf8.DecodeRuneInString(login)
	return fmt.Sprintf("%c… (%d characters)", first, utf8.RuneCountInString(login))
}

// DomainOf is the part of a canonical login or address after the last @.
func DomainOf(address string) string {
	return address[strings.LastIndexByte(address, '@')+1:]
}

// address is one plain local@domain.
type address struct {
	local  string // as written
	domain string // canonical
}

// key is the form in which whole addresses are compared.
func (a address) key() string { return fold(a.local) + "@" + a.domain }

// parseAddress reads one plain local@domain and refuses everything else.
//
// Postfix rewrites what it finds in a sender: user%evil.test and
// evil.test!user are queued at evil.test, routes and quoted forms end up in
// other domains than they seem to (FACTS.md 1.5). A local part that could be
// read in two ways is therefore no address here, whatever its domain says.
func parseAddress(s string) (address, bool) {
	at := strings.IndexByte(s, '@')
	if at <= 0 || at != strings.LastIndexByte(s, '@') || !plainLocal(s[:at]) {
		return address{}, false
	}
	domain, ok := senderDomain(s[at+1:])
	return address{local: s[:at], domain: domain}, ok
}

// CanonicalAddress is the form in which whole addresses are compared, of an
// address that an administrator wrote: the domain may stand in any spelling of
// its name. ok is false for what could never be a sender (see parseAddress).
func CanonicalAddress(s string) (canonical string, ok bool) {
	local, domain, found := strings.Cut(s, "@")
	domain, err := CanonicalDomain(domain)
	if !found || local == "" || err != nil || !plainLocal(local) {
		return "", false
	}
	return address{local: local, domain: domain}.key(), true
}

// plainLocal tells whether the local part needs no quoting and is rewritten by
// nobody: RFC 5321 atext and dots and non-ASCII letters, without % and !.
func plainLocal(local string) bool {
	for i := 0; i < len(local); {
		c := local[i]
		if c < utf8.RuneSelf {
			if !plainASCII(c) {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(local[i:])
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
		i += size
	}
	return true
}

func plainASCII(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("#$&'*+-/=?^_`{|}~.", c) >= 0
}

// senderDomain is the canonical form of a sender's domain. Only ASCII case, one
// trailing dot and the canonical U-label of an A-label are taken as equal: any
// other spelling is queued by Postfix as something that is not that domain.
func senderDomain(s string) (string, bool) {
	lower := asciiLower(strings.TrimSuffix(s, "."))
	if plainASCIIDomain(lower) {
		return lower, true
	}
	ascii, err := CanonicalDomain(lower)
	if err != nil {
		return "", false
	}
	label, err := domains.ToUnicode(ascii)
	if err != nil || (lower != label && lower != ascii) {
		return "", false
	}
	return ascii, true
}

// plainASCIIDomain tells whether the domain is canonical as it stands: lower
// case letters, digits, hyphens and single dots, with no A-label in it.
func plainASCIIDomain(d string) bool {
	if d == "" || len(d) > 253 || strings.Contains(d, "xn--") {
		return false
	}
	label := 0
	for i := 0; i < len(d); i++ {
		switch c := d[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
			label++
		case c == '.' && label > 0:
			label = 0
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return label > 0
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

// fold is NFC with full case folding; what is ASCII already costs no copy
// unless it has upper case.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
		}
	}
	return asciiLower(s)
}
