package replay

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// Suggestion is one change that many refusals of a rule would not survive.
type Suggestion struct {
	Rule     rules.Rule `json:"rule"`
	Kind     string     `json:"kind"`
	Change   string     `json:"change"`            // what to do
	OnlyIf   string     `json:"only_if"`           // what no log can tell
	Setting  string     `json:"setting,omitempty"` // lines for portreeve.toml or the accounts file
	Removes  int        `json:"removes"`           // refused messages that would then pass: each kind was tried again
	Of       int        `json:"of"`                // that the rule refuses
	Concerns int        `json:"concerns"`          // that it is about; more than Removes if no change of the rules is right
}

const (
	// considerable is the least share of a rule's refusals, in percent, that a
	// suggestion removes.
	considerable = 20
	// atLeast is how many messages it removes at least.
	atLeast = 2
	// maxSuggestions bounds those for one rule.
	maxSuggestions = 3
)

// candidate is a change that may be suggested.
type candidate struct {
	kind  string
	about []*refusal // which it could remove
	// apply makes the change. nil: there is none, people have to be told.
	apply func(p *rules.Policy, d *overlay)
	text  func(c *candidate) (change, onlyIf, setting string)

	single  bool // there can be but one of its kind
	removed []*refusal
}

// suggest looks for the changes that remove most.
func (r *replay) suggest(ctx context.Context) ([]Suggestion, error) {
	s, err := newSuggester(ctx, r)
	if err != nil {
		return nil, err
	}
	list := []Suggestion{}
	for _, observed := range []bool{false, true} {
		for _, rule := range rules.Rules {
			found, err := s.forRule(ruleKey{rule, observed})
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
	}
	return list, s.failed()
}

// failed is why the directory could not answer, if it could not.
func (s *suggester) failed() error {
	if s.dir.err != nil {
		return fmt.Errorf("asking the directory: %w: try again when it answers", s.dir.err)
	}
	return nil
}

// suggester tries changes on the refusals that were kept.
type suggester struct {
	*replay
	ctx    context.Context //nolint:containedctx // one call's
	gate   *gate.Gate
	memory *frozen
	dir    *honest
	added  map[string][]string // what suggestions have added to lists of the configuration
}

func newSuggester(ctx context.Context, r *replay) (*suggester, error) {
	memory, err := ledger.NewVolatile(1)
	if err != nil {
		return nil, err
	}
	s := &suggester{replay: r, ctx: ctx, memory: &frozen{Volatile: memory}, dir: r.judge.dir, added: map[string][]string{}}
	s.gate, err = gate.New(gate.Options{
		Ledger: s.memory, Journal: &noJournal{counts: r.judge.counts}, IDs: journal.NewIDs("replay"),
		Log: slog.New(slog.DiscardHandler), Meter: noMeter{},
	})
	return s, err
}

// forRule finds the suggestions for one rule: the best, then the best for what is
// left, while it is worth it.
func (s *suggester) forRule(k ruleKey) ([]Suggestion, error) {
	counts, ok := s.builder.rules[k]
	if !ok || counts.messages.count == 0 {
		return nil, nil
	}
	total := counts.messages.count
	var cases []*refusal
	for _, c := range s.builder.cases.list {
		if c.key.ruleKey == k {
			cases = append(cases, c)
		}
	}
	var worth []*candidate
	for _, c := range s.candidates(cases) {
		if !enough(sum(c.about), total) {
			continue
		}
		if err := s.try(c); err != nil {
			return nil, err
		}
		c.about = slices.Clone(c.about) // shortened below
		worth = append(worth, c)
	}
	var list []Suggestion
	taken := map[*refusal]bool{}
	for len(list) < maxSuggestions && len(worth) > 0 {
		for _, c := range worth {
			left := func(one *refusal) bool { return taken[one] }
			c.removed, c.about = slices.DeleteFunc(c.removed, left), slices.DeleteFunc(c.about, left)
		}
		best := slices.MaxFunc(worth, func(a, b *candidate) int { return cmp.Compare(a.weight(), b.weight()) })
		if !enough(best.weight(), total) {
			break
		}
		list = append(list, best.suggestion(k.rule, total))
		for _, one := range best.claims() {
			taken[one] = true
		}
		if best.single {
			worth = slices.DeleteFunc(worth, func(c *candidate) bool { return c.kind == best.kind })
		}
	}
	return list, nil
}

func (c *candidate) suggestion(rule rules.Rule, total int) Suggestion {
	change, onlyIf, setting := c.text(c)
	return Suggestion{
		Rule: rule, Kind: c.kind, Change: change, OnlyIf: onlyIf, Setting: setting,
		Removes: sum(c.removed), Of: total, Concerns: sum(c.about),
	}
}

// claims are the refusals that need no other suggestion.
func (c *candidate) claims() []*refusal {
	if c.apply == nil {
		return c.about
	}
	return c.removed
}

func (c *candidate) weight() int { return sum(c.claims()) }

func enough(n, total int) bool { return n >= atLeast && n*100 >= total*considerable }

func sum(list []*refusal) (n int) {
	for _, c := range list {
		n += c.count
	}
	return n
}

// try decides each refusal once more, with the change made.
func (s *suggester) try(c *candidate) error {
	if c.apply == nil {
		return nil
	}
	policy, dir := *s.judge.policy, &overlay{Directory: s.dir}
	c.apply(&policy, dir)
	s.gate.Use(gate.State{Policy: &policy, Directory: dir})
	defer s.gate.Flush()
	for _, one := range c.about {
		if s.passes(one) {
			c.removed = append(c.removed, one)
		}
	}
	return s.failed()
}

// passes tells whether the message would now be let through, and the rule have
// nothing against it.
func (s *suggester) passes(one *refusal) bool {
	s.memory.said = one.said
	begin, mail, rcpt := one.request, one.request, one.request
	begin.Sender, begin.Recipient, mail.Recipient = "", "", ""
	mail.Stage, rcpt.Stage = rules.StageMail, rules.StageRcpt
	for _, r := range append(s.judge.before(begin, begin.Login != ""), mail, rcpt) {
		d := s.gate.Decide(s.ctx, &r)
		speaks := func(f rules.Finding) bool { return f.Rule == one.key.rule }
		if d.Action == rules.Refuse || slices.ContainsFunc(d.Observed, speaks) {
			return false
		}
	}
	return true
}
