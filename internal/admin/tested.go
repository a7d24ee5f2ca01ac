package admin

import (
	"portreeve/internal/gate"
	"portreeve/rules"
)

// Add enters one stage's decision. The outcome is the refusal if there is one,
// else the first that was only observed.
func (t *Tested) Add(r rules.Request, d rules.Decision, facts gate.Facts, tried []gate.Tried) {
	step := TestStep{
		Stage: r.Stage.String(), Recipient: r.Recipient, Action: d.Action.String(),
		Rule: string(d.Rule), Reason: string(d.Reason), As: d.As, Facts: facts, Rules: tried,
	}
	for _, o := range d.Observed {
		step.Observed = append(step.Observed, string(o.Rule))
	}
	if d.Action == rules.Refuse {
		step.Reply = d.Reply.String()
		t.Action, t.Rule, t.Reason, t.Observed, t.Reply = step.Action, step.Rule, step.Reason, false, step.Reply
		t.Facts = facts
	} else if len(d.Observed) > 0 && t.Rule == "" {
		t.Rule, t.Reason, t.Observed = string(d.Observed[0].Rule), string(d.Observed[0].Reason), true
		t.Reply, t.Facts = d.Reply.String(), facts
	}
	t.Delay += d.Slowed.Delay.Seconds()
	t.Steps = append(t.Steps, step)
}
