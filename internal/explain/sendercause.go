package explain

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/rules"
)

func senderCause(v *view) string {
	subject := fmt.Sprintf("The sender %q", rules.PrintableSender(v.address))
	switch {
	case v.address == "":
		subject = "The sender <>"
	case v.Reason == string(rules.ReasonHeaderDomain):
		subject = fmt.Sprintf("%q, which the message's header names as From or Sender,", rules.PrintableSender(v.address))
	}
	cause := fmt.Sprintf("%s %s.", subject, v.senderIs())
	if pop, ok := v.byPOP(); ok {
		cause += fmt.Sprintf(" Nobody logged in: the client is authorised by the POP login of %s from its address at %s.", named(pop.Login), v.h.stamp(pop.Last))
	}
	return cause
}

// senderIs says what is wrong with the sender.
func (v *view) senderIs() string {
	account, domain := named(v.account), bothDomains(v.sender.domain)
	switch v.sender.kind {
	case senderSpelling:
		return fmt.Sprintf("is not one plain local@domain address, so it could be delivered as another one (%s)", v.spelling())
	case senderNone:
		return "is no address"
	case senderAddress:
		s := fmt.Sprintf("has a domain of the account %s, but with sender.match = \"address\" it must be the account's own address or one of those listed for it", account)
		if v.sender.holder != "" {
			s += "; it is the address of another account"
		}
		return s
	case senderWebmail:
		return fmt.Sprintf("is stored as an external sender of %s; that holds in the webmail only, and %s is not in networks.webmail", account, v.Client)
	case senderOther:
		s := fmt.Sprintf("is not of the account %s: %s is hosted here for somebody else (%s)", account, domain, strings.Join(firstFew(v.sender.others), ", "))
		if v.sender.holder != "" {
			s += "; it is the address of another account"
		}
		return s
	case senderBelow:
		return fmt.Sprintf("is not of the account %s: %s is a third-level domain of %s, and such may not send unless they are listed themselves", account, domain, v.sender.above)
	case senderProvider:
		return fmt.Sprintf("is not of the account %s: %s is a public mail provider", account, domain)
	case senderTypo:
		return fmt.Sprintf("is not of the account %s: %s is one letter from %s, and may be mistyped", account, domain, bothDomains(rules.DomainOf(v.sender.suggestion)))
	case senderFits:
		return fmt.Sprintf("was not of the account %s; %s is one of its domains by now", account, domain)
	}
	return fmt.Sprintf("is not of the account %s: %s is neither its domain nor an alias of it", account, domain)
}

// spelling names the thing that makes an address ambiguous (FACTS.md 1.5).
func (v *view) spelling() string {
	a := v.address
	local, domain, found := strings.Cut(a, "@")
	switch {
	case strings.ContainsAny(a, `"'`) && strings.Contains(a, `"`):
		return "it has quotation marks"
	case strings.Count(a, "@") > 1:
		return "it has more than one @"
	case strings.ContainsAny(local, "%!"):
		return "Postfix would read the % or ! in it as routing"
	case !found:
		return "it has no @"
	case local == "" || domain == "":
		return "a part of it is empty"
	}
	if canonical, err := rules.CanonicalDomain(domain); err == nil && !strings.EqualFold(strings.TrimSuffix(domain, "."), canonical) {
		return fmt.Sprintf("its domain is another spelling of %s", bothDomains(canonical))
	}
	return "it has characters that no plain address has"
}

func firstFew(list []string) []string {
	if len(list) > listAtMost {
		return append(slices.Clone(list[:listAtMost]), "…")
	}
	return list
}

// senderCompared sets the sender's domain beside those of the account.
func senderCompared(v *view) Compared {
	c := Compared{Fact: "sender domain", Found: unicodeDomain(v.sender.domain)}
	for _, d := range v.group() {
		c.Allowed = append(c.Allowed, unicodeDomain(d))
	}
	switch {
	case v.sender.kind == senderAddress:
		c.Fact, c.Found = "sender address", v.sender.address
		addresses, _, _ := v.h.lists(v.ctx, v.account)
		c.Allowed = append([]string{v.account}, addresses...)
		c.Text = fmt.Sprintf("%s may use %s; %s is none of these", v.account, strings.Join(firstFew(c.Allowed), ", "), c.Found)
	case v.sender.domain == "":
		c.Fact, c.Found = "sender address", rules.PrintableSender(v.address)
		c.Text = fmt.Sprintf("%q is no plain address; local@%s would be", c.Found, strings.Join(firstFew(c.Allowed), " or local@"))
	case v.sender.kind == senderFits:
		c.Text = fmt.Sprintf("%s was not of the account then; it is now", c.Found)
	default:
		c.Text = v.aliases(c.Found)
	}
	return c
}

// aliases sets a domain beside those of the account: "domena.eu is an alias of
// domena.cz, seznam.cz is not".
func (v *view) aliases(other string) string {
	group := v.group()
	if len(group) == 0 {
		return "the account has no domain that is known"
	}
	first, rest := unicodeDomain(group[0]), []string{}
	for _, d := range group[1:] {
		rest = append(rest, unicodeDomain(d))
	}
	switch len(rest) {
	case 0:
		return fmt.Sprintf("%s has no alias, and %s is another domain", first, other)
	case 1:
		return fmt.Sprintf("%s is an alias of %s, %s is not", rest[0], first, other)
	}
	return fmt.Sprintf("%s are aliases of %s, %s is not", strings.Join(firstFew(rest), " and "), first, other)
}

func senderSaid(v *view) []phrase {
	if _, ok := v.byPOP(); ok && v.sender.kind != senderFits {
		return v.senderSaidToNobody()
	}
	own := []phrase{doOwnSender, doOwnSenderAny}
	with := func(cause phrase, more ...phrase) []phrase { return slices.Concat([]phrase{cause}, own, more) }
	switch v.sender.kind {
	case senderSpelling:
		return []phrase{saidSenderSpelling, doSpelling, doOwnSender, doOwnSenderAny}
	case senderNone:
		return with(saidSenderNone)
	case senderAddress:
		return with(saidSenderAddress)
	case senderWebmail:
		return []phrase{saidSenderWebmail, doWebmail, doOwnSender}
	case senderOther:
		return with(saidSenderOther, doOtherLogin)
	case senderBelow:
		return with(saidSenderBelow)
	case senderProvider:
		if v.h.Policy != nil && len(v.h.Policy.Webmail) > 0 {
			return with(saidSenderProvider, doProvider, doStoreWebmail)
		}
		return with(saidSenderProvider, doProvider)
	case senderTypo:
		return []phrase{saidSenderTypo, doCorrectSender, doOwnSender}
	case senderFits:
		return []phrase{saidOther, doSendAgain}
	}
	return with(saidSender, doOurs)
}

// senderSaidToNobody is for a client that has not logged in: its customer may be
// another than the one who has collected mail, and is told nothing of that one.
func (v *view) senderSaidToNobody() []phrase {
	switch v.sender.kind {
	case senderSpelling:
		return []phrase{saidSenderSpelling, doFrom, doAuth}
	case senderNone:
		return []phrase{saidSenderNone, doFrom, doAuth}
	}
	return []phrase{saidSenderPOP, doCollect, doAuth}
}
