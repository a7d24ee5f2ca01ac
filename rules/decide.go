package rules

// step looks at one rule. refused is true when the rule refuses, or delays; the
// finding then says why.
type step func(*inquiry) (f Finding, refused bool)

// order is SPEC.md section 3's order of the rules at each stage. The first that
// refuses gives the reply.
var order = [stageCount][]step{
	StageAuth:       {throttleAuth, loginHint, slowGuessing},
	StageAuthBegin:  {throttleAuth},
	StageAuthFailed: {loginFailed},
	StageHelo:       {throttleHelo},
	StageMail:       {throttleMail, login, authNeeded, sender},
	StageRcpt:       {throttleRelaying, relaying, quota},
	StageEnvelope:   {throttleMail, throttleRelaying, login, authNeeded, sender, relaying, quota},
	StageRelay:      {throttleMail, throttleRelaying, authNeeded, relaying, popPermit},
	StageHeaders:    {headerFrom, forwarded},
	StageEnd:        {quota},
}

// inquiry is the state of one decision.
type inquiry struct {
	*Policy
	r       *Request
	f       Facts
	who     identity
	whoDone bool
	barred  string // a mixed port's account by POP grant that fits the sender and may not send
	d       *Decision
}

// Decide answers one request. It has no side effect but the look-ups that f
// makes for it.
func (p *Policy) Decide(r *Request, f Facts) Decision {
	var d Decision
	if r.Stage >= stageCount {
		return d
	}
	q := inquiry{Policy: p, r: r, f: f, d: &d}
	for _, s := range order[r.Stage] {
		finding, refused := s(&q)
		if !refused {
			continue
		}
		if finding.Observed || p.Observes(finding.Rule) {
			finding.Observed = true
			finding.Counts = false // Dovecot will check the password, and tell
			d.Observed = append(d.Observed, finding)
			continue
		}
		if finding.Delay > 0 {
			d.Slowed = finding
			continue
		}
		d.Action, d.Finding = Refuse, finding
		break
	}
	if d.Action != Refuse && q.whoDone {
		d.As, d.ByGrant = q.who.login, q.who.grant
	}
	return d
}

// submission tells whether rules 2 and 3 hold at MAIL already.
func (q *inquiry) submission() bool { return !q.IsMixed(q.r.Port) }

// authenticated tells whether SASL accepted a login.
func (q *inquiry) authenticated() bool { return q.r.Login != "" }

// exempt tells whether rules 2 to 7 are skipped: an unauthenticated client in
// networks.trusted (rule 1).
func (q *inquiry) exempt() bool { return !q.authenticated() && q.IsTrusted(q.r.Client) }

// unanswered is what a rule says when the directory failed: it refuses for now,
// or lets the rule pass where the setting says so. account is whom it was about.
func (q *inquiry) unanswered(rule Rule, account string) (Finding, bool) {
	if q.OnFailure == FailAccept {
		q.d.Accepted = append(q.d.Accepted, rule)
		return Finding{}, false
	}
	return Finding{Rule: RuleDefer, Reason: ReasonDirectory, Login: account}, true
}

func pass() (Finding, bool) { return Finding{}, false }
