package rules

// Rule 9: how many messages and recipients an account may have in an hour.

// Limits are an account's; 0 is no limit.
type Limits struct {
	Messages   int `json:"messages"`
	Recipients int `json:"recipients"`
}

// Room is whether a message, or one more recipient of it, finds a place.
type Room struct {
	Full       bool
	Messages   int // used within the hour before, with what others have reserved
	Recipients int
}

// quota is rule 9 at RCPT, and at the end of a message where the policy service
// sees that. It is the last rule: what the others refuse costs nothing.
func quota(q *inquiry) (Finding, bool) {
	if q.exempt() {
		return pass()
	}
	who := q.identity()
	if who.login == "" || (who.grant && q.ownRecipient()) {
		return pass()
	}
	account, state := q.f.Account(who.login)
	if state != Known {
		return pass() // rule 4 has spoken, or was told to let it pass
	}
	limits := q.LimitsOf(account)
	if limits == (Limits{}) {
		return pass()
	}
	if !q.f.Room(who.login, limits, q.Observes(RuleQuota)).Full {
		return pass()
	}
	return Finding{Rule: RuleQuota, Reason: ReasonQuota, Login: who.login}, true
}

// LimitsOf are the account's own limits, or the default for what it leaves open.
func (p *Policy) LimitsOf(a *Account) Limits {
	l := p.Quota
	if a.MessagesPerHour > 0 {
		l.Messages = a.MessagesPerHour
	}
	if a.RecipientsPerHour > 0 {
		l.Recipients = a.RecipientsPerHour
	}
	return l
}

// ownRecipient tells whether a POP client's mail on a mixed port is for this
// server, as any other server's is.
func (q *inquiry) ownRecipient() bool {
	if q.submission() {
		return false
	}
	if q.r.Recipient == "" {
		return !q.relays()
	}
	foreign, _ := q.foreign(q.r.Recipient)
	return !foreign
}
