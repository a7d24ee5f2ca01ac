package rules

// Rule 2: a client with more failed logins than the limit is refused. The count
// and the block belong to the ledger; whether they refuse is decided here.

// blocked tells whether the client's failures are above the limit. Addresses
// that stand for many people are never blocked.
func (q *inquiry) blocked() bool {
	if q.exempt() || q.ManyPeople(q.r.Client) {
		return false
	}
	return q.f.Tally().Count > q.Throttle.Limit
}

func throttled(q *inquiry) (Finding, bool) {
	return Finding{Rule: RuleThrottled, Reason: ReasonBlocked, Login: q.r.Login}, true
}

// throttleAuth refuses AUTH, on every port: Dovecot does not say which it was.
// POP3 and IMAP logins are nobody's business here.
func throttleAuth(q *inquiry) (Finding, bool) {
	if !q.Witnesses(q.r.Protocol, q.r.Service) || !q.blocked() {
		return pass()
	}
	return throttled(q)
}

// throttleLate answers a failure that was under way when the block began, and is
// counted already. Its own words would tell a blocked client that the password was
// wrong, when the right one is answered with the block. The one that began the
// block has its own answer.
func throttleLate(q *inquiry) (Finding, bool) {
	if !q.Witnesses(q.r.Protocol, q.r.Service) || !q.blocked() || q.f.Tally().Count == q.Throttle.Limit+1 {
		return pass()
	}
	return throttled(q)
}

func throttleHelo(q *inquiry) (Finding, bool) {
	if !q.Throttle.AtHelo || !q.submission() || !q.blocked() {
		return pass()
	}
	return throttled(q)
}

// throttleMail refuses the session on a submission port, whether it was open or
// authenticated before the block began.
func throttleMail(q *inquiry) (Finding, bool) {
	if !q.submission() || !q.blocked() {
		return pass()
	}
	return throttled(q)
}

// throttleRelaying refuses what a mixed port does only for customers. Mail for
// this server's own domains is never refused: the address may be a mail server.
func throttleRelaying(q *inquiry) (Finding, bool) {
	if q.submission() || q.r.Taken || !q.blocked() {
		return pass()
	}
	foreign, state := q.foreign(q.r.Recipient)
	if state == Failed {
		// directory.on_failure = "accept" speaks of logins and senders, not of who is blocked.
		return Finding{Rule: RuleDefer, Reason: ReasonDirectory, Login: q.r.Login}, true
	}
	if !foreign {
		return pass()
	}
	return throttled(q)
}
