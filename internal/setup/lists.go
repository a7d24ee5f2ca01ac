package setup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"portreeve/internal/hostcheck/postfix"
)

type list = []postfix.Restriction

func names(words ...string) list {
	var l list
	for _, w := range words {
		l = append(l, postfix.Restriction{Name: w})
	}
	return l
}

// What contrib/postfix has around the policy service.
var (
	mxRelay         = names("permit_mynetworks", "permit_auth_destination", "permit_sasl_authenticated", "reject_unauth_destination")
	submissionRelay = names("permit_mynetworks", "permit_sasl_authenticated", "reject")
)

// final ends a relay list for everybody, or for those who are logged in.
func final(r postfix.Restriction) bool {
	return r.Is("permit_sasl_authenticated", "permit", "reject", "defer", "reject_unauth_destination", "defer_unauth_destination", "check_relay_domains")
}

// trusting lets clients through that need no login, so the policy service must
// not be asked about them first.
func trusting(r postfix.Restriction) bool {
	return r.Is("permit_mynetworks", "permit_inet_interfaces", "permit_auth_destination", "permit_mx_backup", "permit_tls_clientcerts", "permit_tls_all_clientcerts")
}

// mayPermit are look-ups that can let a client relay, and names that are not
// known here, such as restriction classes.
func mayPermit(r postfix.Restriction) bool {
	name := strings.ToLower(r.Name)
	return strings.HasPrefix(name, "check_") && !r.Is("check_policy_service") || strings.HasPrefix(name, "permit_") ||
		!strings.HasPrefix(name, "reject_") && !strings.HasPrefix(name, "defer_") && !strings.HasPrefix(name, "check_") && !r.Is("warn_if_reject", "sleep")
}

// isDefault recognises the list that Postfix and Debian come with, in either
// order of its permits.
func isDefault(l list) bool {
	return len(l) == 3 && has(l[:2], "permit_mynetworks") && has(l[:2], "permit_sasl_authenticated") &&
		l[2].Is("defer_unauth_destination", "reject_unauth_destination")
}

// errByHand is a list that cannot be merged without deciding something.
var errByHand = errors.New("run setup again then")

// mergeRelay puts the call into a list without it: behind those who need no
// login, ahead of those who have one. On a mixed port mail for this server's own
// domains must have ended before it.
func mergeRelay(l list, call postfix.Restriction, mixed bool) (list, error) {
	if isDefault(l) {
		l = submissionRelay
		if mixed {
			l = mxRelay
		}
	}
	at := slices.IndexFunc(l, final)
	if at < 0 {
		at = len(l)
	}
	before, after := slices.Clone(l[:at]), slices.Clone(l[at:])
	for i := 0; i < len(after) && (after[i].Is("permit_sasl_authenticated") || trusting(after[i])); {
		if after[i].Is("permit_sasl_authenticated") {
			i++
			continue
		}
		before = append(before, after[i]) // permits may change places with permits
		after = slices.Delete(after, i, i+1)
	}
	if err := behind(after, mixed && !has(before, "permit_auth_destination")); err != nil {
		return nil, err
	}
	if mixed && !has(before, "permit_auth_destination") {
		before = append(before, postfix.Restriction{Name: "permit_auth_destination"})
	}
	return slices.Concat(before, list{call}, after), nil
}

// behind looks for what must not come to stand behind the policy service; ending
// tells whether permit_auth_destination will newly end the list before it.
func behind(after list, ending bool) error {
	relayed := false // what follows sees mail for this server's own domains only
	for _, r := range after {
		switch {
		case r.Is("permit", "reject", "defer"):
			return nil
		case r.Is("reject_unauth_destination", "defer_unauth_destination", "check_relay_domains"):
			relayed = true
		case r.Is("permit_sasl_authenticated"):
		case mayPermit(r) && !relayed:
			return fmt.Errorf("%s stands behind permit_sasl_authenticated and may let clients relay whom Portreeve would refuse: put it ahead of permit_sasl_authenticated, or its clients into networks.trusted; %w", r, errByHand)
		case ending:
			return fmt.Errorf("%s would be skipped by permit_auth_destination, which must come ahead of the policy service: move it to smtpd_recipient_restrictions; %w", r, errByHand)
		}
	}
	return nil
}

// untilRelay is the part of a recipient list that decides relaying; false if
// there is none. Before Postfix 2.10 there was no other place for it.
func untilRelay(l list) (list, bool) {
	i := slices.IndexFunc(l, func(r postfix.Restriction) bool {
		return r.Is("reject_unauth_destination", "defer_unauth_destination", "reject", "defer")
	})
	return l[:i+1], i >= 0
}

// gate is a list that only asks for a login: permit_sasl_authenticated, reject.
func gate(l list) bool {
	login := false
	for _, r := range l {
		if !r.Is("permit_mynetworks", "permit_sasl_authenticated", "reject") {
			return false
		}
		login = login || r.Is("permit_sasl_authenticated")
	}
	return login && l[len(l)-1].Is("reject")
}

func has(l list, name string) bool {
	return slices.ContainsFunc(l, func(r postfix.Restriction) bool { return r.Is(name) })
}

// mergeData puts the call behind the administrator's entries, but ahead of what
// would end the list.
func mergeData(l list, call postfix.Restriction) list {
	at := slices.IndexFunc(l, func(r postfix.Restriction) bool {
		return final(r) || r.Is("permit_mynetworks", "permit_inet_interfaces")
	})
	if at < 0 {
		at = len(l)
	}
	return slices.Concat(l[:at:at], list{call}, l[at:])
}

// mergeSender puts the call first: nobody may be let through before it.
func mergeSender(l list, call postfix.Restriction) list { return append(list{call}, l...) }
