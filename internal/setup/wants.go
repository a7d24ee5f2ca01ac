package setup

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
)

// want is a list that a service should have.
type want struct {
	service *postfix.Service
	option  string // smtpd_…_restrictions
	name    string // the parameter of main.cf that holds it
	list    list
	have    list
}

const (
	retryRelay  = "{ default_action=451 4.3.5 relaying cannot be checked now, try again later }"
	retrySender = "{ default_action=451 4.3.5 the sender cannot be checked now, try again later }"
)

// The calls of contrib/postfix.
func (p *planner) relayCall(s *postfix.Service) postfix.Restriction {
	return call("{ " + p.policySocket(s) + ", policy_context=relay,\n        " + retryRelay + " }")
}

func (p *planner) senderCall(s *postfix.Service, mixed bool) postfix.Restriction {
	if mixed {
		return call("{ " + p.policySocket(s) + ", default_action=DUNNO }")
	}
	return call("{ " + p.policySocket(s) + ",\n        " + retrySender + " }")
}

func call(arg string) postfix.Restriction {
	return postfix.Restriction{Name: "check_policy_service", Arg: arg}
}

func (p *planner) policySocket(s *postfix.Service) string {
	return p.socket(p.Portreeve.Listen.Policy, s.Chrooted(), "listen.policy")
}

// lists are the restriction lists that one service should have. Gates, the
// lists that only ask for a login, are emptied: the relay list asks for it, and
// knows POP grants as well.
func (p *planner) lists(s *postfix.Service, mixed bool) []want {
	base, gates, err := p.relayBase(s, mixed)
	if err != nil {
		p.block("%v", err)
		return nil
	}
	prefix := "portreeve_submission_"
	if mixed {
		prefix = "portreeve_mx_"
	}
	relay, sender := p.relayCall(s), p.senderCall(s, mixed)
	first := func(l list) (list, error) { return mergeSender(l, sender), nil }
	wants := p.want(s, "smtpd_relay_restrictions", prefix+"relay", relay, base,
		func(l list) (list, error) { return mergeRelay(l, relay, mixed) })
	switch {
	case p.Recipe == RecipePolicy:
		wants = append(wants, p.want(s, "smtpd_sender_restrictions", prefix+"sender", sender, gateless("smtpd_sender_restrictions", gates), first)...)
		end := p.want(s, "smtpd_end_of_data_restrictions", prefix+"sender", sender, nil, first)
		if len(end) > 0 && len(end[0].list) > 1 { // not the same as for the sender
			end[0].name = prefix + "end_of_data"
		}
		wants = append(wants, end...)
	case mixed:
		wants = append(wants, p.want(s, "smtpd_data_restrictions", prefix+"data", sender, nil,
			func(l list) (list, error) { return mergeData(l, sender), nil })...)
	}
	for _, option := range gates {
		if p.Recipe != RecipePolicy || option != "smtpd_sender_restrictions" {
			p.set(s, option, "")
		}
	}
	return wants
}

// want merges a call into one list of a service, or into another one that is to
// take its place. It is empty if that cannot be done.
func (p *planner) want(s *postfix.Service, option, name string, call postfix.Restriction, from list, merge func(list) (list, error)) []want {
	have, err := s.List(option)
	if err != nil {
		p.block("%v", err)
		return nil
	}
	rest, kept := p.without(s, have, call)
	if from != nil {
		rest, _ = p.without(s, from, call)
	}
	merged, err := merge(rest)
	if err != nil {
		p.block("%s of %s: %v", option, s.ID(), err)
		return nil
	}
	if i := slices.Index(merged, call); i >= 0 && kept != nil {
		merged[i] = *kept
	}
	return []want{{s, option, name, merged, have}}
}

// gateless is an empty list for a gate that is to go, else nil: as it is.
func gateless(option string, gates []string) list {
	if slices.Contains(gates, option) {
		return list{}
	}
	return nil
}

// relayBase is what a service decides relaying by now, and its gates.
func (p *planner) relayBase(s *postfix.Service, mixed bool) (base list, gates []string, err error) {
	if base, err = s.List("smtpd_relay_restrictions"); err != nil {
		return nil, nil, err
	}
	recipients, err := s.List("smtpd_recipient_restrictions")
	if err != nil {
		return nil, nil, err
	}
	if mixed {
		if len(base) == 0 {
			base = mxRelay
			if part, ok := untilRelay(recipients); ok {
				base = part
			}
		}
		return base, nil, nil
	}
	everybody := true // whether each gate lets mynetworks through
	for _, option := range []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_recipient_restrictions"} {
		l, err := s.List(option)
		if err != nil {
			return nil, nil, err
		}
		if s.Own(option) && gate(l) {
			gates = append(gates, option)
			everybody = everybody && has(l, "permit_mynetworks")
		}
	}
	switch plain := len(base) == 0 || isDefault(base); {
	case plain && len(gates) > 0:
		base = names("permit_sasl_authenticated", "reject")
		if everybody {
			base = submissionRelay
		}
	case len(gates) > 0 && has(base, "permit_mynetworks") && !everybody:
		p.note("%s of %s stay: smtpd_relay_restrictions lets mynetworks relay without a login, and they do not", strings.Join(gates, ", "), s.ID())
		gates = nil
	case len(base) == 0:
		if part, ok := untilRelay(recipients); ok {
			base = part
		} else {
			base = submissionRelay
		}
	}
	return base, gates, nil
}

// without takes our call out of a list. What the administrator made of it is
// kept, if it says what ours does.
func (p *planner) without(s *postfix.Service, l list, ours postfix.Restriction) (rest list, kept *postfix.Restriction) {
	wanted, _ := ours.Policy()
	for _, r := range l {
		have, ok := r.Policy()
		if !ok || !hostcheck.Ours(s, have.Endpoint, p.Portreeve.Listen.Policy) && !hostcheck.Meant(have.Endpoint) {
			rest = append(rest, r)
			continue
		}
		right := hostcheck.Ours(s, have.Endpoint, p.Portreeve.Listen.Policy) && have.Context == wanted.Context &&
			(hostcheck.Permissive(wanted.Default) == hostcheck.Permissive(have.Default)) &&
			(hostcheck.Permissive(have.Default) || have.Default == "" || strings.HasPrefix(have.Default, "4"))
		if right && kept == nil {
			kept = &r
		}
	}
	return rest, kept
}

// assign writes the lists into parameters of main.cf. Services with the same
// list share one; another list of that name gets a number.
func (p *planner) assign(wants []want) {
	var open []want
	for _, w := range wants {
		if !same(w.list, w.have) {
			open = append(open, w)
		} else if name, ok := reference(w.service, w.option); ok {
			p.assigned[name] = canonical(w.list)
		}
	}
	for _, w := range open {
		p.set(w.service, w.option, "$"+p.define(w.name, w.list))
	}
}

// reference is the one parameter that an option consists of.
func reference(s *postfix.Service, option string) (string, bool) {
	raw, own := s.Option(option)
	name, ok := strings.CutPrefix(raw, "$")
	return strings.Trim(name, "{}()"), own && ok
}

// define finds a parameter of the name for the list, and writes it.
func (p *planner) define(name string, l list) string {
	wanted := canonical(l)
	for i := 1; ; i++ {
		candidate := name
		if i > 1 {
			candidate = fmt.Sprintf("%s_%d", name, i)
		}
		if used, ok := p.assigned[candidate]; ok && used != wanted {
			continue
		}
		p.assigned[candidate] = wanted
		if have, err := postfix.Restrictions(p.main.Value(candidate)); err != nil || canonical(have) != wanted {
			p.parameter(candidate, postfix.Lines(texts(l)), comments[name])
		}
		return candidate
	}
}

// parameter sets one of main.cf.
func (p *planner) parameter(name, value, comment string) {
	if !p.titled && !p.main.Has(name) {
		comment = "\n# For Portreeve, by `portreeve setup postfix`; see its docs/setup.md.\n" + comment
		p.titled = true
	}
	p.main.Set(name, value, comment)
}

var comments = map[string]string{
	"portreeve_mx_relay":          "# Port 25, relaying.\n",
	"portreeve_mx_data":           "# Port 25, at DATA: login and sender once more, for sessions that lost the milter.\n",
	"portreeve_mx_sender":         "# Port 25: login and sender.\n",
	"portreeve_submission_relay":  "# Submission, relaying: a login or a POP grant is needed.\n",
	"portreeve_submission_sender": "# Submission: login and sender.\n",
}

func texts(l list) []string {
	var all []string
	for _, r := range l {
		all = append(all, r.String())
	}
	return all
}

// canonical is a list without its layout.
func canonical(l list) string {
	return strings.Join(strings.Fields(postfix.FormatRestrictions(l)), " ")
}

func same(a, b list) bool { return canonical(a) == canonical(b) }
