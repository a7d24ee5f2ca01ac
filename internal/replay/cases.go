package replay

import (
	"net/netip"
	"strings"

	"portreeve/rules"
)

// maxCases bounds the different refusals that suggestions are tried on. What
// comes beyond them is in the counts, but no suggestion claims it.
const maxCases = 50_000

// caseKey is what makes refused messages equal for a suggestion: the rules would
// say the same of each.
type caseKey struct {
	ruleKey
	reason        rules.Reason
	client        netip.Addr
	port          uint16
	login, sender string
	recipient     string // its domain
}

// refusal is a message that was refused, for all that are equal to it.
type refusal struct {
	key     caseKey
	request rules.Request
	account string // whom it was decided for, canonical; empty: nobody
	said    remembered
	count   int
}

// caseTable keeps refusals to decide them once more.
type caseTable struct {
	byKey map[caseKey]*refusal
	list  []*refusal // in the order of their first
}

// add counts a refused message.
func (t *caseTable) add(f rules.Finding, r rules.Request, o *outcome) {
	k := caseKey{
		ruleKey: ruleKey{f.Rule, f.Observed}, reason: f.Reason,
		client: r.Client, port: r.Port, login: r.Login, sender: r.Sender,
	}
	if f.Reason == rules.ReasonSenderDomain {
		// Who the sender is in a domain that is not the account's makes no difference.
		_, k.sender, _ = strings.Cut(r.Sender, "@")
	}
	if f.Reason == rules.ReasonRelayNoAuth {
		k.recipient = rules.DomainOf(o.recipient)
		k.sender = ""
	}
	if t.byKey == nil {
		t.byKey = map[caseKey]*refusal{}
	}
	one, ok := t.byKey[k]
	if !ok {
		if len(t.list) >= maxCases {
			return
		}
		r.Recipient = o.recipient
		one = &refusal{key: k, request: r, account: f.Login}
		t.byKey[k] = one
		t.list = append(t.list, one)
	}
	one.said = o.said
	one.count++
}
