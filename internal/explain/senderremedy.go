package explain

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/rules"
)

func senderRemedies(v *view) []Remedy {
	list := v.accountRemedies()
	if pop, ok := v.byPOP(); ok {
		ask := Remedy{Text: fmt.Sprintf("Ask which mailbox the customer uses: nobody logged in, and %s may be somebody else behind the same address. A login settles it.", pop.Login)}
		list = slices.Insert(list, 0, ask)
	}
	return list
}

// accountRemedies are those for the account that it was decided for.
func (v *view) accountRemedies() []Remedy {
	domain := bothDomains(v.sender.domain)
	switch v.sender.kind {
	case senderSpelling, senderNone:
		return []Remedy{{Text: "Nothing here: Postfix rewrites such addresses, so they are refused whatever their domain."}}
	case senderFits:
		return []Remedy{{Text: fmt.Sprintf("Nothing any more: %s has become one of the account's domains since. The customer can send again.", domain)}}
	case senderAddress:
		return v.addressRemedies()
	case senderWebmail:
		return v.webmailRemedies()
	case senderOther:
		return v.otherRemedies()
	case senderBelow:
		return []Remedy{v.alias(fmt.Sprintf("If %s should send all the same: list it as an alias of its own.", domain), v.sender.domain)}
	case senderProvider:
		return v.externalRemedies()
	}
	list := []Remedy{v.alias(fmt.Sprintf("If %s belongs to the same customer: make it an alias.", domain), v.sender.domain)}
	if v.sender.kind == senderTypo {
		list = slices.Insert(list, 0, Remedy{Text: fmt.Sprintf("Ask whether the customer means %s.", v.sender.suggestion)})
	}
	return append(list, v.externalRemedies()...)
}

// addressRemedies are for sender.match = "address".
func (v *view) addressRemedies() []Remedy {
	var list []Remedy
	if v.h.Policy != nil && !v.h.Policy.Sender.ByAddress {
		return nothingAnyMore("accounts may use every address of their domains by now (sender.match)")
	}
	if addresses, _, _ := v.h.lists(v.ctx, v.account); slices.Contains(addresses, v.sender.address) {
		return nothingAnyMore("%s is listed for the account by now", v.sender.address)
	}
	text := fmt.Sprintf("If %s belongs to this account: list it.", v.sender.address)
	if v.sender.holder != "" {
		list = append(list, Remedy{Text: fmt.Sprintf("There is an account %s: let the customer log in with that one.", v.sender.holder)})
		text = fmt.Sprintf("If %s may write as %s, too: list it.", v.account, v.sender.holder)
	}
	if login, ok := canonical(v.account); ok {
		list = append(list, v.changeAccount(text, login, func(f *accountForm) { f.addresses = with(f.addresses, v.sender.address) },
			fact{key: factAddresses, value: v.sender.address}))
	}
	return append(list, v.h.setting("If accounts may use every address of their domains: compare the domain only.", "sender", "match", `"domain"`))
}

// webmailRemedies are for an external sender from elsewhere than the webmail.
func (v *view) webmailRemedies() []Remedy {
	var list []Remedy
	switch {
	case v.mayForward():
		return nothingAnyMore("%s may use its external senders from everywhere by now", v.account)
	case v.h.Policy != nil && v.within(v.h.Policy.Webmail):
		return nothingAnyMore("%s counts as webmail by now, and %s is stored for the account", v.Client, v.sender.address)
	}
	if login, ok := canonical(v.account); ok {
		list = append(list, v.changeAccount("If the account may use its external senders from everywhere: let it (it may then also pass on other servers' mail).",
			login, func(f *accountForm) {
				f.forward = true
				if !slices.Contains(f.senders, v.sender.address) && !slices.Contains(f.senders, "@"+v.sender.domain) {
					f.senders = append(f.senders, v.sender.address)
				}
			}, fact{key: factForward, value: "1"}))
	}
	if v.h.Policy != nil {
		if r, ok := v.network(fmt.Sprintf("If %s is your webmail server: say so.", v.Client), v.Client, "webmail", v.h.Policy.Webmail); ok {
			list = append(list, r)
		}
	}
	return list
}

// externalRemedies let an account use an address of another provider.
func (v *view) externalRemedies() []Remedy {
	login, ok := canonical(v.account)
	if !ok || v.sender.domain == "" {
		return nil
	}
	stored := func(f *accountForm) { f.senders = with(f.senders, v.sender.address) }
	return []Remedy{
		v.changeAccount(fmt.Sprintf("If %s is the customer's own address elsewhere: store it; it can then be used in the webmail, and only there.", v.sender.address), login, stored, fact{key: factSenders, value: v.sender.address}),
		v.changeAccount("If it should work from everywhere: let the account use its external senders there, too (it may then also pass on other servers' mail).",
			login, func(f *accountForm) { stored(f); f.forward = true }, fact{key: factSenders, value: v.sender.address}, fact{key: factForward, value: "1"}),
	}
}

// otherRemedies are for a domain that is hosted here for somebody else.
func (v *view) otherRemedies() []Remedy {
	var list []Remedy
	domain := bothDomains(v.sender.domain)
	text := fmt.Sprintf("Let the customer log in with an account of %s to send as that domain.", domain)
	if v.sender.holder != "" {
		text = fmt.Sprintf("There is an account %s: let the customer log in with that one.", v.sender.holder)
	}
	list = append(list, Remedy{Text: text})
	where := "remove its own entry from [domains]"
	if owner := v.sender.others[0]; owner != v.sender.domain {
		where = fmt.Sprintf("remove it from the aliases of %s", bothDomains(owner))
	}
	move := v.alias(fmt.Sprintf("If %s belongs to this customer: %s, and make it an alias.", domain, where), v.sender.domain)
	if rest := v.sender.others; rest[0] == v.sender.domain && len(rest) > 1 {
		move.Text = fmt.Sprintf("If %s and its aliases (%s) belong to this customer: remove their entry from [domains], and make all of them aliases.", domain, strings.Join(rest[1:], ", "))
		group := v.h.group(v.ctx, v.own())
		if len(group) > 0 {
			move = v.h.entry(move.Text, "domains", group[0], "{ aliases = "+tomlStrings(slices.Concat(group[1:], rest))+" }",
				fact{group[0], factDomains, strings.Join(rest, " and ")})
		}
	}
	return append(list, move)
}

func with(list []string, one string) []string {
	if slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// headerSenderRemedies are those of the sender, and what can be done about the
// header rule.
func headerSenderRemedies(v *view) []Remedy {
	return append(senderRemedies(v), headerRemedies(v)...)
}

// headerRemedies relax the rules that look at the header (rule 6).
func headerRemedies(v *view) []Remedy {
	var list []Remedy
	p := v.h.Policy
	if p == nil {
		return []Remedy{{Text: "To see such messages without refusing them: sender.header_from = \"observe\"; for a null envelope sender, sender.null_sender = \"allow\"."}}
	}
	null, enforced := v.Sender == "" && p.Sender.Null == rules.NullHeader, p.Sender.HeaderFrom == rules.HeaderEnforce
	if null {
		list = append(list, v.h.setting("If messages with the null sender <> should pass whatever their From says: allow them.", "sender", "null_sender", `"allow"`))
	}
	if enforced {
		list = append(list, v.h.setting("To see such messages without refusing them: only observe the header.", "sender", "header_from", `"observe"`))
	}
	if null && enforced { // either line alone leaves the other rule
		list[0].Text = "If messages with the null sender <> should pass whatever their From says: that takes two lines. First allow them."
		list[0].Command, list[1].Text = "", "Then only observe the header, whoever the envelope's sender is."
	}
	if len(list) == 0 && !v.Observed {
		list = append(list, Remedy{Text: "Nothing any more: the header rule is not enforced by now."})
	}
	return list
}

func headerCause(v *view) string {
	shown := firstOf(rules.PrintableSender(v.f.LookedAt), "it is empty")
	because := ""
	if v.Sender == "" {
		because = " The envelope sender is <>, so the header must say who sends (sender.null_sender)."
	}
	switch rules.Reason(v.Reason) {
	case rules.ReasonHeaderMissing:
		return "The message has no From field in its header, or it stood where no mail program puts one." + because
	case rules.ReasonHeaderSeveral:
		return "The message has more than one From field in its header; recipients would see one or the other." + because
	}
	return fmt.Sprintf("The From or Sender field of the message's header is no list of addresses (%s).%s", shown, because)
}

func headerCompared(v *view) Compared {
	c := Compared{Fact: "From fields", Found: "none", Allowed: []string{"exactly one"}, Text: "there was no From field; there must be one"}
	switch rules.Reason(v.Reason) {
	case rules.ReasonHeaderSeveral:
		c.Found, c.Text = "several", "there was more than one From field; there must be one"
	case rules.ReasonHeaderUnreadable:
		c.Fact, c.Found = "From or Sender field", firstOf(rules.PrintableSender(v.f.LookedAt), "empty")
		c.Allowed, c.Text = []string{"a list of addresses"}, "the field is no list of addresses"
	}
	return c
}

func nullCause(*view) string { return "The null sender <> is refused by sender.null_sender." }

func nullCompared(v *view) Compared {
	c := Compared{Fact: "sender", Found: "<>", Text: "<> is refused; an address of the account would pass"}
	for _, d := range v.group() {
		c.Allowed = append(c.Allowed, unicodeDomain(d))
	}
	return c
}

func nullRemedies(v *view) []Remedy {
	return []Remedy{v.h.setting("If mail programs here send receipts and notices: let <> pass when the header's From obeys.", "sender", "null_sender", `"header"`)}
}
