package rules

import (
	"slices"
	"sync"
)

// step looks at one rule. refused is true when the rule refuses, or delays; the
// finding then says why.
type step struct {
	name string // as docs/flow.md has it
	look func(*inquiry) (f Finding, refused bool)
}

var (
	throttleAuthStep     = step{"2 throttle", throttleAuth}
	throttleLateStep     = step{"2 throttle, late", throttleLate}
	throttleHeloStep     = step{"2 throttle", throttleHelo}
	throttleMailStep     = step{"2 throttle", throttleMail}
	throttleRelayingStep = step{"2 throttle, relaying", throttleRelaying}
	authNeededStep       = step{"3 authentication needed", authNeeded}
	relayingStep         = step{"3 relaying without AUTH", relaying}
	loginStep            = step{"4 login", login}
	loginHintStep        = step{"4 login, as a hint", loginHint}
	loginFailedStep      = step{"4 login, failed", loginFailed}
	senderStep           = step{"5 sender", sender}
	headerFromStep       = step{"6 header From", headerFrom}
	forwardedStep        = step{"7 relay after AUTH", forwarded}
	popPermitStep        = step{"8 SMTP after POP", popPermit}
	quotaStep            = step{"9 quota", quota}
	slowGuessingStep     = step{"11 slow guessing", slowGuessing}
)

// order is SPEC.md section 3's order of the rules at each stage. The first that
// refuses gives the reply.
var order = [stageCount][]step{
	StageAuth:       {throttleAuthStep, loginHintStep, slowGuessingStep},
	StageAuthBegin:  {throttleAuthStep},
	StageAuthFailed: {throttleLateStep, loginFailedStep},
	StageHelo:       {throttleHeloStep},
	StageMail:       {throttleMailStep, loginStep, authNeededStep, senderStep},
	StageRcpt:       {throttleRelayingStep, relayingStep, quotaStep},
	StageEnvelope:   {throttleMailStep, throttleRelayingStep, loginStep, authNeededStep, senderStep, relayingStep, quotaStep},
	StageRelay:      {throttleMailStep, throttleRelayingStep, authNeededStep, relayingStep, popPermitStep},
	StageHeaders:    {headerFromStep, forwardedStep},
	StageEnd:        {quotaStep},
}

// inquiry is the state of one decision.
type inquiry struct {
	*Policy
	r       *Request
	f       Facts
	who     identity
	whoDone bool
	barred  string // a mixed port's account by POP grant that fits the sender and may not send
	d       Decision
}

// inquiries are used again: their memory would be most of what a decision costs.
var inquiries = sync.Pool{New: func() any { return new(inquiry) }}

// Decide answers one request. It has no side effect but the look-ups that f
// makes for it.
func (p *Policy) Decide(r *Request, f Facts) Decision { return p.Trace(r, f, nil) }

// Trace is Decide that shows each rule when it has been looked at: its name, and
// what it found, if anything. What comes after a refusal is not looked at.
func (p *Policy) Trace(r *Request, f Facts, show func(name string, f Finding, found bool)) Decision {
	if r.Stage >= stageCount {
		return Decision{}
	}
	q := inquiries.Get().(*inquiry)
	*q = inquiry{Policy: p, r: r, f: f}
	d := &q.d
	for _, s := range order[r.Stage] {
		finding, found := s.look(q)
		if found {
			q.settle(&finding)
		}
		if show != nil {
			show(s.name, finding, found)
		}
		if d.Action == Refuse {
			break
		}
	}
	if d.Action != Refuse && q.whoDone {
		d.As, d.ByGrant = q.who.login, q.who.grant
	}
	decided := *d
	*q = inquiry{}
	inquiries.Put(q)
	return decided
}

// Steps names the rules of a stage, in their order.
func Steps(stage Stage) []string {
	if stage >= stageCount {
		return nil
	}
	var names []string
	for _, s := range order[stage] {
		names = append(names, s.name)
	}
	return names
}

// settle enters a finding: as observed, as a delay, or as the refusal.
func (q *inquiry) settle(f *Finding) {
	switch {
	case f.Observed || q.Observes(f.Rule):
		f.Observed = true
		f.Counts = false // Dovecot will check the password, and tell
		q.d.Observed = append(q.d.Observed, *f)
	case f.Delay > 0:
		q.d.Slowed = *f
	default:
		q.d.Action, q.d.Finding = Refuse, *f
	}
}

// submission tells whether rules 2 and 3 hold at MAIL already.
func (q *inquiry) submission() bool { return !q.IsMixed(q.r.Port) }

// authenticated tells whether SASL accepted a login.
func (q *inquiry) authenticated() bool { return q.r.Login != "" }

// exempt tells whether rules 2 to 7 are skipped: an unauthenticated client in
// networks.trusted (rule 1).
func (q *inquiry) exempt() bool { return !q.authenticated() && q.IsTrusted(q.r.Client) }

// unanswered is what a step says when the directory failed: it refuses for now,
// or lets the rule pass where the setting says so. Where every rule that it looks at
// only observes, it would have refused nobody, so it defers nobody. account is whom it
// was about.
func (q *inquiry) unanswered(account string, looked ...Rule) (Finding, bool) {
	if q.OnFailure == FailAccept {
		q.d.Accepted = append(q.d.Accepted, looked[0])
		return Finding{}, false
	}
	enforced := func(r Rule) bool { return !q.Observes(r) }
	return Finding{Rule: RuleDefer, Reason: ReasonDirectory, Login: account, Observed: !slices.ContainsFunc(looked, enforced)}, true
}

func pass() (Finding, bool) { return Finding{}, false }
