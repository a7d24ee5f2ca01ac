package rules

// Rule 6: what the recipient sees as the sender obeys rule 5 too.

// headerFrom is rule 6 after the headers, where the message has an account: by
// SASL, or by a POP grant that it needs. A null envelope sender says nothing
// about who sends, so null_sender = "header" enforces the rule for it whatever
// header_from says.
func headerFrom(q *inquiry) (Finding, bool) {
	null := q.r.Sender == "" && q.Sender.Null == NullHeader
	if q.r.Message == nil || q.exempt() || (q.Sender.HeaderFrom == HeaderOff && !null) {
		return pass()
	}
	who := q.identity()
	if who.login == "" || (who.grant && !q.relays()) {
		return pass() // mail for this server from another one
	}
	observed := q.Sender.HeaderFrom != HeaderEnforce && !null
	reason, text, failed := q.authors(who.login)
	switch {
	case failed:
		f, found := q.unanswered(who.login, RuleSender)
		f.Observed = f.Observed || observed
		return f, found
	case reason == "":
		return pass()
	}
	return Finding{Rule: RuleSender, Reason: reason, Login: who.login, Text: text, Observed: observed}, true
}

// authors looks for the first thing that is wrong with From and Sender, and the
// address that it is about.
func (q *inquiry) authors(login string) (reason Reason, text string, failed bool) {
	from := 0
	for _, field := range q.r.Message.Authors {
		if !field.Sender {
			from++
		}
		if len(field.Addresses) == 0 {
			return ReasonHeaderUnreadable, field.Text, false
		}
		for _, a := range field.Addresses {
			u := use{reason: ReasonSenderNull} // <> is nobody's header address
			if a != "" {
				u = q.mayUse(login, a)
			}
			if u.failed {
				return "", "", true
			}
			if !u.ok {
				return ReasonHeaderDomain, a, false
			}
		}
		if from > 1 {
			return ReasonHeaderSeveral, field.Addresses[0], false
		}
	}
	switch {
	case from == 0:
		return ReasonHeaderMissing, "", false
	case q.r.Message.Crowded:
		return ReasonHeaderSeveral, "", false
	}
	return "", "", false
}
