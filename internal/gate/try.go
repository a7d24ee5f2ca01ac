package gate

import (
	"context"
	"slices"
	"strconv"
	"time"

	"portreeve/rules"
)

// Tried is one rule that was looked at.
type Tried struct {
	Rule   string   `json:"rule"`   // its number and name in docs/flow.md
	Result string   `json:"result"` // passes, refuses, would refuse, delays, would delay, not reached
	Reason string   `json:"reason,omitempty"`
	Facts  []string `json:"facts"` // in words, those that nobody had asked for before
}

// Try decides without recording anything: what a client would be told now, with
// the facts, and with every rule in order. The reply keeps {id} in the place of an id.
func (g *Gate) Try(ctx context.Context, r *rules.Request) (rules.Decision, Facts, []Tried) {
	s := g.state.Load()
	f := newFacts(ctx, g, s, r)
	defer f.release()
	f.dry = true
	var (
		tried []Tried
		lines []string // of the facts so far
	)
	d := s.Policy.Trace(r, f, func(name string, found rules.Finding, is bool) {
		t := Tried{Rule: name, Result: "passes", Facts: []string{}}
		if is {
			t.Result, t.Reason = result(found), string(found.Reason)
		}
		for _, line := range f.record(rules.Finding{}).Lines() {
			if !slices.Contains(lines, line) {
				lines, t.Facts = append(lines, line), append(t.Facts, line)
			}
		}
		tried = append(tried, t)
	})
	for _, name := range rules.Steps(r.Stage)[len(tried):] {
		tried = append(tried, Tried{Rule: name, Result: "not reached", Facts: []string{}})
	}
	finding := d.Finding
	switch {
	case d.Action == rules.Refuse:
	case d.Slowed.Delay > 0:
		finding = d.Slowed
	case len(d.Observed) > 0:
		finding = d.Observed[0]
	}
	if finding.Rule != "" {
		d.Reply = s.Policy.Replies.Render(finding.Rule, "{id}", shownSender(r, finding), r.Client)
	}
	return d, f.record(finding), tried
}

func result(f rules.Finding) string {
	switch {
	case f.Delay > 0 && f.Observed:
		return "would delay " + seconds(f.Delay)
	case f.Delay > 0:
		return "delays " + seconds(f.Delay)
	case f.Observed:
		return "would refuse"
	}
	return "refuses"
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}
