package admin

import (
	"testing"

	"portreeve/internal/gate"
	"portreeve/rules"
)

// One session's outcome is its refusal; without one, the first that was only
// observed, with the facts of that stage.
func TestTestedAdd(t *testing.T) {
	reply := rules.Reply{Code: 550, Enhanced: "5.1.0", Text: "no"}
	finding := func(r rules.Rule, observed bool) rules.Finding {
		return rules.Finding{Rule: r, Reason: rules.ReasonSenderDomain, Observed: observed}
	}
	pass := rules.Decision{As: "jan@domena.cz"}
	observed := func(list ...rules.Rule) rules.Decision {
		d := rules.Decision{Reply: reply}
		for _, r := range list {
			d.Observed = append(d.Observed, finding(r, true))
		}
		return d
	}
	refused := rules.Decision{Action: rules.Refuse, Finding: finding(rules.RuleRelay, false), Reply: reply}
	both := refused
	both.Observed = []rules.Finding{finding(rules.RuleSender, true)}
	permit := rules.Decision{Action: rules.Permit}

	for name, tt := range map[string]struct {
		decisions []rules.Decision
		action    string
		rule      string
		observed  bool
		limit     int // of the facts: the number of the stage that decided
	}{
		"passes":                    {[]rules.Decision{pass, permit}, "pass", "", false, 0},
		"refuses":                   {[]rules.Decision{pass, refused}, "refuse", "relay", false, 2},
		"observes":                  {[]rules.Decision{observed("sender", "throttled"), pass}, "pass", "sender", true, 1},
		"observes twice":            {[]rules.Decision{pass, observed("auth_failed"), observed("sender")}, "pass", "auth_failed", true, 2},
		"observes, then refuses":    {[]rules.Decision{observed("sender"), refused}, "refuse", "relay", false, 2},
		"observes and refuses":      {[]rules.Decision{both}, "refuse", "relay", false, 1},
		"a refusal is not replaced": {[]rules.Decision{refused, observed("sender")}, "refuse", "relay", false, 1},
	} {
		tested := Tested{Action: rules.Pass.String()}
		for i, d := range tt.decisions {
			tested.Add(rules.Request{Stage: rules.StageRcpt, Recipient: "a@b.cz"}, d, gate.Facts{Limit: i + 1}, []gate.Tried{{Rule: "5 sender", Result: "passes"}})
		}
		if tested.Action != tt.action || tested.Rule != tt.rule || tested.Observed != tt.observed || tested.Facts.Limit != tt.limit {
			t.Errorf("%s: %s %q observed=%v by stage %d", name, tested.Action, tested.Rule, tested.Observed, tested.Facts.Limit)
		}
		if shown := tested.Reply != "" && tested.Reason != ""; shown != (tt.rule != "") {
			t.Errorf("%s: reply %q, reason %q", name, tested.Reply, tested.Reason)
		}
		for i, s := range tested.Steps {
			d := tt.decisions[i]
			if s.Stage != "rcpt" || s.Recipient != "a@b.cz" || s.Action != d.Action.String() || s.As != d.As ||
				len(s.Observed) != len(d.Observed) || len(s.Rules) != 1 || (s.Reply != "") != (d.Action == rules.Refuse) {
				t.Errorf("%s: step %d is %+v", name, i, s)
			}
		}
	}
}
