package postfix

import (
	"fmt"
	"strings"
)

// Restriction is one entry of a smtpd_…_restrictions list.
type Restriction struct {
	Name string // as written; Postfix does not mind its case
	Arg  string // of those that take one, as written; else empty
}

// Is compares the name with names in lower case.
func (r Restriction) Is(names ...string) bool {
	for _, name := range names {
		if strings.EqualFold(r.Name, name) {
			return true
		}
	}
	return false
}

func (r Restriction) String() string {
	if r.Arg == "" {
		return r.Name
	}
	return r.Name + " " + r.Arg
}

// Restrictions reads a list whose $names are expanded.
func Restrictions(value string) ([]Restriction, error) {
	words, err := Words(value)
	if err != nil {
		return nil, err
	}
	if err := comment(words); err != nil {
		return nil, err
	}
	var list []Restriction
	for i := 0; i < len(words); i++ {
		r := Restriction{Name: words[i]}
		if takesArgument(r.Name) {
			if i+1 == len(words) {
				return nil, fmt.Errorf("%s has no argument: add it", r.Name)
			}
			i++
			r.Arg = words[i]
		}
		list = append(list, r)
	}
	return list, nil
}

// comment looks for one where Postfix knows none: it takes "#" for a name, and
// defers all mail because of it.
func comment(words []string) error {
	for _, w := range words {
		if strings.HasPrefix(w, "#") {
			return fmt.Errorf("%q begins no comment behind a value: put it on a line of its own", w)
		}
	}
	return nil
}

// takesArgument follows smtpd_check.c: every check_… but one, the lists, sleep.
func takesArgument(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "check_relay_domains":
		return false
	case "sleep", "permit_dnswl_client", "permit_rhswl_client", "reject_rbl_client", "reject_rhsbl_client",
		"reject_rhsbl_reverse_client", "reject_rhsbl_helo", "reject_rhsbl_sender", "reject_rhsbl_recipient":
		return true
	}
	return strings.HasPrefix(name, "check_")
}

// FormatRestrictions writes a list that Restrictions reads.
func FormatRestrictions(list []Restriction) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// Policy is a check_policy_service call.
type Policy struct {
	Endpoint string // unix:path or inet:host:port
	Context  string // policy_context (3.1)
	Default  string // default_action (3.0); empty: smtpd_policy_service_default_action
}

// Policy reads the call; false if the restriction is none.
func (r Restriction) Policy() (Policy, bool) {
	if !r.Is("check_policy_service") {
		return Policy{}, false
	}
	endpoint, attributes := endpointOf(r.Arg)
	return Policy{Endpoint: endpoint, Context: attributes["policy_context"], Default: attributes["default_action"]}, true
}

// endpointOf reads an endpoint, alone or in braces with its attributes:
// { endpoint, name=value, { name = a value with spaces } }.
func endpointOf(word string) (string, map[string]string) {
	if !strings.HasPrefix(word, "{") {
		return word, nil
	}
	words, err := Words(Unbrace(word))
	if err != nil || len(words) == 0 {
		return "", nil
	}
	attributes := map[string]string{}
	for _, w := range words[1:] {
		if name, value, ok := Assignment(Unbrace(w)); ok {
			attributes[name] = value
		}
	}
	return words[0], attributes
}

// Milter is one entry of smtpd_milters.
type Milter struct {
	Text     string // as written
	Endpoint string
	Default  string // default_action (3.0); empty: milter_default_action
	Protocol string // protocol; empty: milter_protocol
}

// Milters reads smtpd_milters with its $names expanded.
func Milters(value string) ([]Milter, error) {
	words, err := Words(value)
	if err == nil {
		err = comment(words)
	}
	var list []Milter
	for _, w := range words {
		endpoint, attributes := endpointOf(w)
		list = append(list, Milter{Text: w, Endpoint: endpoint, Default: attributes["default_action"], Protocol: attributes["protocol"]})
	}
	return list, err
}
