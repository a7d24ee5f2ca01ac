package rules

// Rule 7: mail that another mail server passes on is refused even after AUTH.

// forwarded is rule 7 after the headers.
func forwarded(q *inquiry) (Finding, bool) {
	if !q.Relay.RefuseForwarded || q.r.Message == nil || q.exempt() ||
		q.IsWebmail(q.r.Client) || q.IsTrusted(q.r.Client) {
		return pass()
	}
	hop := q.r.Message.firstHop()
	if hop < 0 {
		return pass()
	}
	who := q.identity()
	if who.login == "" || (who.grant && !q.relays()) {
		return pass() // mail for this server from another one
	}
	account, state := q.f.Account(who.login)
	switch {
	case state == Failed:
		return q.unanswered(who.login, RuleRelay)
	case state == Known && account.Forward, q.resent(who.login, hop):
		return pass()
	}
	return Finding{
		Rule: RuleRelay, Reason: ReasonForwarded, Login: who.login,
		Text: q.r.Message.Trail[hop].Text,
	}, true
}

// firstHop is the place of the newest SMTP hop, or -1.
func (m *Message) firstHop() int {
	for i, field := range m.Trail {
		if field.Kind == TrailHop {
			return i
		}
	}
	return -1
}

// resent tells whether a Resent-From above the hop obeys rule 5: the user sent
// somebody's message on, and whatever happened to it before is below.
func (q *inquiry) resent(login string, hop int) bool {
	for _, field := range q.r.Message.Trail[:hop] {
		if field.Kind == TrailResent && len(field.Addresses) > 0 && q.mayUseAll(login, field.Addresses) {
			return true
		}
	}
	return false
}

func (q *inquiry) mayUseAll(login string, addresses []string) bool {
	for _, a := range addresses {
		if a == "" || !q.mayUse(login, a).ok {
			return false
		}
	}
	return true
}

// relays tells whether any recipient is not this server's own. On a mixed port
// a POP grant counts only for mail that needs it.
func (q *inquiry) relays() bool {
	if q.submission() {
		return true
	}
	for _, rcpt := range q.r.Recipients {
		if foreign, _ := q.foreign(rcpt); foreign {
			return true
		}
	}
	return false
}
