package rules

// Rule 4: a login that the directory does not know, or knows as disabled, is
// refused even though SASL accepted it; and, as a hint, before SASL is asked.

// login is rule 4 at MAIL.
func login(q *inquiry) (Finding, bool) {
	if q.exempt() {
		return pass()
	}
	who := q.identity()
	if who.login == "" && !q.authenticated() {
		return pass() // rule 3 answers
	}
	return q.loginFinding(who.login, who.whole)
}

// loginFinding looks one login up. whole is false for a login that is no whole
// address: there is nothing to look up then.
func (q *inquiry) loginFinding(login string, whole bool) (Finding, bool) {
	f := Finding{Login: login}
	if !whole {
		f.Rule, f.Reason = RuleAuthRejected, ReasonLoginNotAddress
		return f, true
	}
	account, state := q.f.Account(login)
	switch {
	case state == Failed:
		return q.unanswered(login, RuleAuthRejected, RuleAccessDisabled)
	case state == Absent:
		f.Rule, f.Reason = RuleAuthRejected, ReasonLoginUnknown
	case !account.SMTP:
		f.Rule, f.Reason = RuleAccessDisabled, ReasonLoginDisabled
	default:
		return pass()
	}
	return f, true
}

// loginHint tells at AUTH what Dovecot would only call a failure: it is where
// mail programs stop and show the text. An unknown login counts as a failed
// one; a disabled one does not, for its owner may know the password.
func loginHint(q *inquiry) (Finding, bool) {
	if !q.Hints || !q.Witnesses(q.r.Protocol, q.r.Service) {
		return pass()
	}
	canonical, whole := q.Logins.Canonical(q.r.Login)
	if whole {
		// A directory that cannot answer is no reason to stop AUTH: rule 4 asks
		// again at MAIL, and says "defer" there if it must.
		if _, state := q.f.Account(canonical); state == Failed {
			return pass()
		}
	}
	f, refused := q.loginFinding(canonical, whole)
	f.Counts = refused && f.Rule == RuleAuthRejected
	return f, refused
}

// loginFailed answers a password check that failed: always with a refusal, and
// with the hint where there is one. The failure itself has been told already.
func loginFailed(q *inquiry) (Finding, bool) {
	canonical, whole := q.Logins.Canonical(q.r.Login)
	f := Finding{Rule: RuleAuthFailed, Reason: ReasonLoginFailed, Login: canonical}
	switch {
	case !q.Hints, q.r.Login == "": // a mechanism that does not show its login
	case q.r.Disabled:
		f.Rule, f.Reason = RuleAccessDisabled, ReasonLoginDisabled
	case !whole:
		f.Rule, f.Reason = RuleAuthRejected, ReasonLoginNotAddress
	default:
		account, state := q.f.Account(canonical)
		if state == Absent {
			f.Rule, f.Reason = RuleAuthRejected, ReasonLoginUnknown
		} else if state == Known && !account.SMTP {
			f.Rule, f.Reason = RuleAccessDisabled, ReasonLoginDisabled
		}
	}
	return f, true
}
