package journal

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"portreeve/rules"
)

// Shown asks for refusals by the sender rule whose reply showed an address. That
// reply has no id by default.
type Shown struct {
	// Sender is the address as somebody read it. Upper and lower case are one, as
	// they are to people; one that ends with … or ... is the beginning of it.
	Sender string
	// Observed asks for what was let through, and was shown to nobody.
	Observed bool
	Since    time.Time
	Until    time.Time // zero: to the newest
	Limit    int
}

// FindShownSender lists them, newest first. It is the reply that is searched: what
// it shows may be cut, made printable, or a header's address instead of the
// envelope's.
func (j *Journal) FindShownSender(ctx context.Context, s Shown) ([]Entry, error) {
	address, begins := s.beginning()
	return j.find(ctx, Query{
		Rule: string(rules.RuleSender), Observed: &s.Observed, Since: s.Since, Until: s.Until, Limit: s.Limit,
		contains: inJSON(address),
	}, func(e Entry) bool { return shows(e.Reply, address, begins) })
}

// beginning is the address, or what is left of one that a program has cut.
func (s Shown) beginning() (address string, begins bool) {
	for _, dots := range []string{"…", "..."} {
		if cut, ok := strings.CutSuffix(s.Sender, dots); ok && cut != "" {
			return cut, true
		}
	}
	return s.Sender, false
}

// shows tells whether the address stands in the reply: in angle brackets, as in
// the documented text, or as a word.
func shows(reply, address string, begins bool) bool {
	reply, address = strings.ToLower(reply), strings.ToLower(address)
	if begins {
		return strings.Contains(reply, "<"+address) || strings.Contains(reply, " "+address)
	}
	return strings.Contains(reply, "<"+address+">") || address != "" && strings.Contains(reply+" ", " "+address+" ")
}

// inJSON is how text stands within an entry: reading an entry costs more than
// looking whether it is there.
func inJSON(text string) string {
	body, err := json.Marshal(text)
	if err != nil {
		return "" // no narrowing
	}
	return string(body[1 : len(body)-1])
}
