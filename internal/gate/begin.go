package gate

import (
	"context"
	"time"

	"portreeve/rules"
)

// Rest is a decision that somebody must wait for.
type Rest struct {
	g       *Gate
	f       *facts // what memory has answered already
	d       rules.Decision
	decided bool // and not recorded
	began   time.Duration
}

// Begin is Decide for a caller that must not wait: neither for the directory, nor for
// the journal, nor for the log. It makes the decision that memory alone can; otherwise d
// means nothing, and it returns the rest of the work, for a goroutine that may wait. The
// request is the rest's until that is done.
func (g *Gate) Begin(ctx context.Context, r *rules.Request, d *rules.Decision) *Rest {
	began := stopwatch()
	s := g.state.Load()
	f := newFacts(ctx, g, s, r)
	f.prompt = true
	*d = s.Policy.Decide(r, f)
	if f.waits || unsettled(d) && !g.settlePromptly(f, d) {
		return &Rest{g: g, f: f, d: *d, decided: !f.waits, began: began}
	}
	g.decided(f, d, began)
	return nil
}

// Decide makes the decision. It is called once.
func (r *Rest) Decide() rules.Decision {
	f := r.f
	f.prompt, f.waits = false, false
	if !r.decided {
		r.d = f.s.Policy.Decide(f.r, f)
	}
	r.g.settle(f, &r.d)
	r.g.decided(f, &r.d, r.began)
	return r.d
}

// settlePromptly settles what has nothing to be written: one more refusal of a blocked
// client whose line in the log need not wait, or is left out as one of too many.
func (g *Gate) settlePromptly(f *facts, d *rules.Decision) bool {
	if d.Action != rules.Refuse || d.Finding.Rule != rules.RuleThrottled || len(d.Observed) > 0 || d.Slowed.Delay > 0 || len(d.Accepted) > 0 {
		return false
	}
	id := f.Tally().Block
	if id == "" {
		return false
	}
	if !g.oneMore(id, f.r) {
		if g.LogWaits == nil || g.LogWaits() {
			return false
		}
		if g.again(id, f.r, false) <= loggedPerFlush {
			g.logFinding(f.r, f, d.Finding, id)
		}
	}
	d.ID, d.Reply = id, render(f.s, f.r, d.Finding, id)
	return true
}
