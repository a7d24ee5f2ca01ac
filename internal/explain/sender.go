package explain

import (
	"slices"
	"strings"
	"unicode/utf8"

	"portreeve/internal/gate"
	"portreeve/rules"
)

// senderKind is what is wrong with a sender.
type senderKind int

const (
	senderFits      senderKind = iota // nothing that is known of it
	senderNone                        // the null sender, or no address
	senderSpelling                    // no plain local@domain with a canonical domain
	senderAddress                     // the domain fits, the address is not the account's
	senderWebmail                     // stored for the webmail
	senderOther                       // a domain of another customer here
	senderBelow                       // a third-level domain of the account's own
	senderProvider                    // of a public mail provider
	senderTypo                        // one letter from a domain of the account
	senderElsewhere                   // a domain that nobody knows here: a missing alias, perhaps
)

// judged is a sender beside the account that wanted to use it.
type judged struct {
	kind       senderKind
	address    string   // canonical; as written if it cannot be
	domain     string   // A-labels; "" if it has none
	above      string   // the account's domain that it lies below
	others     []string // the alias group of another customer that it belongs to
	holder     string   // the account that has this address
	suggestion string   // what may have been meant
}

// judge looks at the sender with the directory of today.
func (v *view) judge() judged {
	j := judged{address: v.address}
	switch rules.Reason(v.Reason) {
	case rules.ReasonSenderNull:
		j.kind = senderNone
		return j
	case rules.ReasonHeaderMissing, rules.ReasonHeaderSeveral, rules.ReasonHeaderUnreadable, rules.ReasonForwarded:
		return judged{} // there it is no one address
	}
	canonical, ok := rules.CanonicalAddress(v.address)
	if v.address == "" || !ok || v.Reason == string(rules.ReasonSenderNotPlain) {
		j.kind, j.suggestion = senderSpelling, v.respelt()
		if v.address == "" {
			j.kind = senderNone
		}
		return j
	}
	j.address, j.domain = canonical, rules.DomainOf(canonical)
	j.kind = v.kindOf(&j)
	return j
}

func (v *view) kindOf(j *judged) senderKind {
	group := v.group()
	if slices.Contains(group, j.domain) {
		return v.kindOfOwn(j)
	}
	if slices.Contains(v.h.group(v.ctx, v.own()), j.domain) {
		return senderFits // the directory has been changed since
	}
	if v.Reason == string(rules.ReasonSenderNotWebmail) || v.stored(j.address) {
		return senderWebmail
	}
	if j.others = v.h.group(v.ctx, j.domain); len(j.others) > 0 {
		if v.h.exists(v.ctx, j.address) {
			j.holder = j.address
		}
		return senderOther
	}
	for _, own := range group {
		if strings.HasSuffix(j.domain, "."+own) {
			j.above = own
			return senderBelow
		}
	}
	if providers[j.domain] {
		return senderProvider
	}
	for _, own := range group {
		if mistyped(j.domain, own) {
			j.suggestion = j.address[:len(j.address)-len(j.domain)] + own
			return senderTypo
		}
	}
	return senderElsewhere
}

// kindOfOwn is the kind of a sender in a domain of the account's.
func (v *view) kindOfOwn(j *judged) senderKind {
	switch {
	case v.Reason == string(rules.ReasonSenderDomain):
		return senderFits
	case v.Reason == string(rules.ReasonSenderAddress), v.h.Policy != nil && v.h.Policy.Sender.ByAddress:
		if j.address != v.account && v.h.exists(v.ctx, j.address) {
			j.holder = j.address
		}
		return senderAddress
	}
	// A header's address with the right domain can only be misspelt.
	j.suggestion = v.respelt()
	return senderSpelling
}

// byPOP is the POP login that authorised the client, which did not log in: the
// account may then be another customer's behind the same address.
func (v *view) byPOP() (gate.GrantFact, bool) {
	i := slices.IndexFunc(v.f.Grants, func(g gate.GrantFact) bool { return g.Login == v.f.As })
	if i < 0 {
		return gate.GrantFact{}, false
	}
	return v.f.Grants[i], true
}

// stored tells whether it is one of the account's external senders.
func (v *view) stored(address string) bool {
	stored := v.f.Senders
	if _, senders, ok := v.h.lists(v.ctx, v.account); ok {
		stored = slices.Concat(stored, senders)
	}
	return slices.Contains(stored, address) || slices.Contains(stored, "@"+rules.DomainOf(address))
}

// respelt is the address as the rules would take it, if that can be told.
func (v *view) respelt() string {
	at := strings.LastIndexByte(v.address, '@')
	if at > 0 {
		local := strings.Trim(v.address[:at], `"' `)
		plainly, ok := rules.CanonicalAddress(local + "@" + strings.Trim(v.address[at+1:], ` ">'`))
		if ok && slices.Contains(v.group(), rules.DomainOf(plainly)) {
			return plainly
		}
	}
	if v.whole() {
		return v.account
	}
	return ""
}

// mistyped tells whether a is b with one letter too many, too few, another, or
// two swapped. Names that differ behind their last dot only are two domains.
// Both are A-labels; it is what people type that is compared.
func mistyped(a, b string) bool {
	nameA, topA := cutTop(unicodeDomain(a))
	nameB, topB := cutTop(unicodeDomain(b))
	return topA == topB && utf8.RuneCountInString(nameB) >= 4 && oneEdit(nameA, nameB)
}

func cutTop(domain string) (name, top string) {
	dot := strings.LastIndexByte(domain, '.')
	if dot < 0 {
		return domain, ""
	}
	return domain[:dot], domain[dot+1:]
}

// oneEdit tells whether one insertion, deletion, replacement or swap of
// neighbours makes a of b.
func oneEdit(x, y string) bool {
	if x == y {
		return false
	}
	a, b := []rune(x), []rune(y)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) == 2 && len(b) == 2 {
		return a[0] == b[1] && a[1] == b[0]
	}
	return len(a) <= 1 && len(b) <= 1
}
