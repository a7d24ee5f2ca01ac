package replay

import (
	"slices"

	"portreeve/rules"
)

// outcome is what the rules said of one message or login: the first that refuses,
// and those that only observe.
type outcome struct {
	refused   *rules.Finding
	observed  []rules.Finding
	recipient string // of the request that was refused, or observed first
	said      remembered
}

// add joins what a later stage said.
func (o *outcome) add(later outcome) {
	if later.refused != nil || len(o.observed) == 0 {
		o.recipient, o.said = later.recipient, later.said
	}
	o.refused = later.refused
	for _, f := range later.observed {
		if !slices.ContainsFunc(o.observed, func(was rules.Finding) bool { return was.Rule == f.Rule }) {
			o.observed = append(o.observed, f)
		}
	}
}

// findings are those of an outcome.
func (o *outcome) findings() []rules.Finding {
	if o.refused == nil {
		return o.observed
	}
	return append(slices.Clip(o.observed), *o.refused)
}
