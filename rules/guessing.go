package rules

// Rule 11: a login that is guessed at, slowly and from many addresses, so that
// none of them is ever above rule 2's limit.

// slowGuessing delays the attempt and refuses nobody. The owner's own addresses
// go on as ever, and a right password gets in from everywhere. It does not ask
// whether the account exists: who measures the delay must not learn that.
func slowGuessing(q *inquiry) (Finding, bool) {
	if q.Guessing.Limit == 0 || !q.Witnesses(q.r.Protocol, q.r.Service) {
		return pass()
	}
	login, whole := q.Logins.Canonical(q.r.Login)
	if !whole || q.f.Guesses(login).Count <= q.Guessing.Limit || q.f.HasLoggedIn(login) {
		return pass()
	}
	return Finding{Rule: RuleLoginFailures, Reason: ReasonGuessed, Login: login, Delay: q.Guessing.Delay}, true
}
