package rules

import "strings"

// Rule 3: on a submission port everybody, on a mixed port whoever relays, must
// be authenticated.

// authNeeded is rule 3 at MAIL: submission ports only.
func authNeeded(q *inquiry) (Finding, bool) {
	if !q.submission() || q.exempt() || q.authenticated() || q.identity().login != "" {
		return pass()
	}
	return q.unauthenticated(ReasonNoAuth), true
}

// relaying is rule 3 at RCPT: on a mixed port an unauthenticated client may
// send to this server's own domains only.
func relaying(q *inquiry) (Finding, bool) {
	if q.submission() || q.exempt() || q.authenticated() || q.r.Taken {
		return pass()
	}
	foreign, state := q.foreign(q.r.Recipient)
	if state == Failed {
		return q.unanswered("", RuleAuthFailed)
	}
	if !foreign || q.identity().login != "" {
		return pass()
	}
	if q.barred != "" {
		if f, refused := q.loginFinding(q.barred, true); refused {
			return f, true
		}
	}
	return q.unauthenticated(ReasonRelayNoAuth), true
}

// popPermit lets a client with a POP grant relay: the only thing that the
// policy service ever permits (rule 8, policy_context=relay).
func popPermit(q *inquiry) (Finding, bool) {
	if who := q.identity(); who.grant && q.usable(who) {
		q.d.Action = Permit
	}
	return pass()
}

// usable tells whether nothing that is enforced speaks against the account or
// its sender: what only observes must not refuse by withholding the OK.
func (q *inquiry) usable(who identity) bool {
	account, state := q.f.Account(who.login)
	switch {
	case state == Failed:
		return q.OnFailure == FailAccept
	case state == Absent && !q.Observes(RuleAuthRejected), state == Known && !account.SMTP && !q.Observes(RuleAccessDisabled):
		return false
	}
	return q.Observes(RuleSender) || q.mayUse(who.login, q.r.Sender).ok
}

// unauthenticated picks the text of rule 3 from the failed logins of the last
// minutes: when all were for one login that cannot work, the client is told.
func (q *inquiry) unauthenticated(reason Reason) Finding {
	f := Finding{Rule: RuleAuthFailed, Reason: reason}
	if !q.Hints || !q.r.Client.IsValid() || q.ManyPeople(q.r.Client) {
		return f
	}
	failures := q.f.Failures()
	if len(failures) == 0 {
		return f
	}
	tried := failures[0]
	for _, other := range failures[1:] {
		if other.Login != tried.Login || other.Vague || tried.Vague {
			return f
		}
	}
	if tried.Vague && q.Logins.DefaultDomain != "" {
		return f
	}
	if _, whole := q.Logins.Canonical(tried.Login); !whole {
		f.Rule, f.Reason = RuleAuthRejected, ReasonNoAuthNotAddress
		return f
	}
	f.Login = tried.Login
	account, state := q.f.Account(tried.Login)
	switch {
	case state == Absent:
		f.Rule, f.Reason = RuleAuthRejected, ReasonNoAuthUnknownLogin
	case state == Known && !account.SMTP:
		f.Rule, f.Reason = RuleAccessDisabled, ReasonNoAuthDisabled
	}
	return f
}

// foreign tells whether mail for the recipient would leave this server.
func (q *inquiry) foreign(recipient string) (foreign bool, state State) {
	at := strings.LastIndexByte(recipient, '@')
	local := recipient
	if at >= 0 {
		local = recipient[:at]
	}
	// Sender-specified routing: a relay attempt behind a local-looking domain
	// (Postfix's reject_unauth_destination refuses it too).
	if strings.ContainsAny(local, "%!@") {
		return true, Known
	}
	if at < 0 {
		return false, Known // RCPT TO:<postmaster> (RFC 5321 section 4.5.1)
	}
	domain, err := CanonicalDomain(recipient[at+1:])
	if err != nil {
		return true, Known
	}
	if q.Relay.LocalDomains[domain] {
		return false, Known
	}
	switch q.f.Local(domain) {
	case Known:
		return false, Known
	case Failed:
		return true, Failed
	default:
		return true, Known
	}
}
