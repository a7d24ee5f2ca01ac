package gate

import (
	"context"

	"portreeve/rules"
)

// guessed gives a login that is above the limit of [login_failures] its one id,
// as block does for a client.
func (g *Gate) guessed(ctx context.Context, s *State, login string, c blockCause) string {
	id, _, _ := g.begin.Do("login "+login, func() (any, error) {
		w := Counting(s.Policy).Login
		tally := g.Ledger.LoginTally(login, c.time, w)
		if tally.Block != "" {
			return tally.Block, nil
		}
		id := g.IDs.Next(c.time).String()
		g.writeGuessed(ctx, s, login, c, id, tally)
		within, cancel := recordContext(ctx)
		defer cancel()
		inForce, err := g.Ledger.BeginGuessed(within, login, id, c.time, w)
		if err != nil {
			g.Meter.Unrecorded()
			g.Log.Error("guessed login not stored, slowed down until the daemon stops", "id", id, "error", err)
		}
		return inForce, nil
	})
	return id.(string)
}

func (g *Gate) writeGuessed(ctx context.Context, s *State, login string, c blockCause, id string, tally rules.Tally) {
	r := &rules.Request{Stage: c.stage, Protocol: c.protocol, Time: c.time, Client: c.client}
	finding := rules.Finding{
		Rule: rules.RuleLoginFailures, Reason: rules.ReasonGuessed, Observed: s.Policy.Observes(rules.RuleLoginFailures),
	}
	var known Facts
	known.guesses(tally, s.Policy)
	failures := g.Ledger.LoginFailures(login, c.time.Add(-s.Policy.Guessing.Window))
	known.Failures = FailureFacts(failures)
	if len(failures) > 0 { // as it may be shown
		r.Login, known.As = failures[0].Shown, failures[0].Shown
	}
	e := g.entry(s, r, finding, id, known)
	e.Count = 0 // the failures that led to it were not delayed
	g.write(ctx, e)
	g.Log.Warn("login is being guessed, attempts from new addresses are delayed", "id", id, "login", e.Login,
		"failures", tally.Count, "until", tally.Until.UTC(), "delay", s.Policy.Guessing.Delay, "observed", finding.Observed)
}

// recordGuessed uses the login's one id. The delayed attempt is only counted.
func (g *Gate) recordGuessed(ctx context.Context, s *State, r *rules.Request, f rules.Finding, t rules.Tally) recorded {
	id := t.Block
	if id == "" { // the limit was lowered since, or the daemon was killed between failure and id
		id = g.guessed(ctx, s, f.Login, blockCause{client: r.Client, time: r.Time, protocol: r.Protocol, stage: r.Stage})
	}
	return recorded{id, g.again(id, r, f.Observed)}
}
