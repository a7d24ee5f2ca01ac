package gate

import (
	"context"
	"time"

	"portreeve/rules"
)

// Rest is a decision that somebody must wait for.
type Rest struct {
	g     *Gate
	s     *State
	ctx   context.Context //nolint:containedctx // that of Begin, which has returned
	r     *rules.Request
	f     *facts // nil: nothing is decided
	d     rules.Decision
	began time.Duration
}

// Begin is Decide for a caller that must not wait: neither for the directory, nor for
// the journal, nor for the log. It decides what memory alone can; otherwise it returns
// the rest of the work, for a goroutine that may wait. The request is the rest's until
// that is done.
func (g *Gate) Begin(ctx context.Context, r *rules.Request) (rules.Decision, *Rest) {
	began := stopwatch()
	s := g.state.Load()
	f := newFacts(ctx, g, s, r)
	f.prompt = true
	d := s.Policy.Decide(r, f)
	if f.waits {
		f.release()
		return rules.Decision{}, &Rest{g: g, s: s, ctx: ctx, r: r, began: began}
	}
	if unsettled(&d) && !g.settlePromptly(s, r, f, &d) {
		f.prompt = false
		return rules.Decision{}, &Rest{g: g, s: s, ctx: ctx, r: r, f: f, d: d, began: began}
	}
	g.decided(r, f, &d, began)
	return d, nil
}

// Decide makes the decision. It is called once.
func (r *Rest) Decide() rules.Decision {
	if r.f == nil {
		r.f = newFacts(r.ctx, r.g, r.s, r.r)
		r.d = r.s.Policy.Decide(r.r, r.f)
	}
	if unsettled(&r.d) {
		r.g.settle(r.ctx, r.s, r.r, r.f, &r.d)
	}
	r.g.decided(r.r, r.f, &r.d, r.began)
	return r.d
}

// settlePromptly settles what has nothing to be written: one more refusal of a blocked
// client, whose line in the log is one of too many.
func (g *Gate) settlePromptly(s *State, r *rules.Request, f *facts, d *rules.Decision) bool {
	if d.Action != rules.Refuse || d.Finding.Rule != rules.RuleThrottled || len(d.Observed) > 0 || d.Slowed.Delay > 0 || len(d.Accepted) > 0 {
		return false
	}
	id := f.Tally().Block
	if id == "" || !g.oneMore(id, r) {
		return false
	}
	d.ID, d.Reply = id, render(s, r, d.Finding, id)
	return true
}
