package hostcheck

import (
	"fmt"
	"slices"
	"strings"

	"portreeve/internal/hostcheck/postfix"
)

// policyLists are the lists that should ask the policy service, and whether
// with policy_context=relay (docs/flow.md).
func (h *Host) policyLists(mixed bool) map[string]string {
	lists := map[string]string{"smtpd_relay_restrictions": "relay"}
	switch {
	case !h.milterRecipe():
		lists["smtpd_sender_restrictions"] = ""
		lists["smtpd_end_of_data_restrictions"] = ""
	case mixed:
		lists["smtpd_data_restrictions"] = ""
	}
	return lists
}

var whatFor = map[string]string{
	"smtpd_relay_restrictions":       "relaying without a login, and POP grants, are not decided there",
	"smtpd_sender_restrictions":      "logins and senders are not checked there",
	"smtpd_end_of_data_restrictions": "sending limits are not charged there",
	"smtpd_data_restrictions":        "a session whose milter was lost is not checked again",
}

func checkPolicy(h *Host, r *Report) {
	if h.Config.Listen.Policy.Addr == "" || !h.Connected() {
		return
	}
	for _, s := range h.guarded() {
		mixed, _ := Kind(h.Config, s)
		lists := h.policyLists(mixed)
		for _, name := range restrictionLists {
			context, wanted := lists[name]
			if wanted && h.policyIndex(s, h.list(s, name), context) < 0 {
				if context != "" {
					context = " with policy_context=" + context
				}
				r.problem(h.masterCF(), fmt.Sprintf("%s of %s does not ask the policy service%s: %s", name, s.ID(), context, whatFor[name]), remedySetup)
			}
		}
	}
}

// RelayFault tells what is wrong with the place of the policy service, at i, in
// a list of smtpd_relay_restrictions; empty if nothing is.
func RelayFault(list []postfix.Restriction, i int, mixed bool) string {
	local := false
	for _, r := range list[:i] {
		switch {
		case r.Is("permit_auth_destination"):
			local = true
		case r.Is("permit_sasl_authenticated"):
			return "permit_sasl_authenticated stands ahead of the policy service, which is never asked about those who are logged in"
		case r.Is("permit", "reject", "defer", "reject_unauth_destination", "defer_unauth_destination"):
			return r.Name + " stands ahead of the policy service, which is asked too late, or never"
		}
	}
	if mixed && !local {
		return "permit_auth_destination does not stand ahead of the policy service, so mail for this server's own domains is deferred while Portreeve is away"
	}
	return ""
}

// senderFault is RelayFault for the lists without a context: nobody may be let
// through before them, since rules 4 and 5 hold for clients in trusted networks, too.
func senderFault(list []postfix.Restriction, i int) string {
	for _, r := range list[:i] {
		if r.Is("permit_mynetworks", "permit_sasl_authenticated", "permit", "permit_auth_destination", "permit_inet_interfaces") {
			return r.Name + " stands ahead of the policy service, which is never asked about those whom it lets through"
		}
	}
	return ""
}

func checkPolicyOrder(h *Host, r *Report) {
	for _, s := range h.guarded() {
		mixed, _ := Kind(h.Config, s)
		if _, err := s.List("smtpd_relay_restrictions"); err == nil && !h.refuses(s) {
			end := "reject"
			if mixed {
				end = "reject_unauth_destination"
			}
			r.problem(h.masterCF(), fmt.Sprintf("neither smtpd_relay_restrictions nor smtpd_recipient_restrictions of %s refuses relaying, and Postfix does not start it so", s.ID()),
				"end smtpd_relay_restrictions with "+end)
		}
		for _, name := range restrictionLists {
			list := h.list(s, name)
			fault := ""
			if i := h.policyIndex(s, list, "relay"); i >= 0 && name == "smtpd_relay_restrictions" {
				fault = RelayFault(list, i, mixed)
			} else if i := h.policyIndex(s, list, ""); i >= 0 {
				fault = senderFault(list, i)
			}
			if fault != "" {
				r.problem(h.masterCF(), fmt.Sprintf("in %s of %s %s", name, s.ID(), fault), remedySetup)
			}
		}
	}
}

// refuses follows smtpd's own look for an open relay (smtpd_check.c).
func (h *Host) refuses(s *postfix.Service) bool {
	return slices.ContainsFunc(slices.Concat(h.list(s, "smtpd_relay_restrictions"), h.list(s, "smtpd_recipient_restrictions")), func(r postfix.Restriction) bool {
		return r.Is("reject", "defer", "defer_if_permit", "reject_unauth_destination", "defer_unauth_destination", "check_relay_domains")
	})
}

// Permissive tells whether a default_action lets the request go on.
func Permissive(action string) bool {
	word := strings.ToLower(firstWord(action))
	return word == "dunno" || word == "ok" || word == "permit"
}

func firstWord(text string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return word
}

// checkPolicyAction: a DUNNO in the relay list refuses POP clients for good
// (FACTS.md 1.8); elsewhere, on a mixed port, inbound mail must go on.
func checkPolicyAction(h *Host, r *Report) {
	for _, s := range h.guarded() {
		mixed, _ := Kind(h.Config, s)
		for _, name := range restrictionLists {
			for _, e := range h.list(s, name) {
				p, ok := e.Policy()
				if !ok || !Ours(s, p.Endpoint, h.Config.Listen.Policy) {
					continue
				}
				if what, remedy := h.actionFault(s, p, mixed); what != "" {
					r.problem(h.masterCF(), fmt.Sprintf("while Portreeve is away, %s of %s %s", name, s.ID(), what), remedy)
				}
			}
		}
	}
}

func (h *Host) actionFault(s *postfix.Service, p postfix.Policy, mixed bool) (what, remedy string) {
	action := p.Default
	if action == "" {
		action = s.Get("smtpd_policy_service_default_action")
	}
	temporary := strings.HasPrefix(action, "4") || strings.HasPrefix(strings.ToLower(action), "defer")
	const retry = "{ default_action=451 4.3.5 … }"
	switch {
	case p.Context == "relay" && Permissive(action) && !strings.EqualFold(firstWord(action), "dunno"):
		return "lets everybody relay (default_action=" + action + ")", "give the call " + retry
	case p.Context == "relay" && Permissive(action):
		if h.Config.SMTPAfterPOP.Enabled {
			return "refuses customers with a POP grant for good (default_action=" + action + ")", "give the call " + retry
		}
	case p.Context == "relay" && !temporary:
		return "answers " + action, "give the call " + retry
	case p.Context == "" && mixed && !Permissive(action):
		return "stops mail from other servers (" + action + ")", "give the call default_action=DUNNO"
	case p.Context == "" && !mixed && Permissive(action):
		return "lets every sender through", "give the call " + retry
	}
	return "", ""
}

// checkLoginGates: a grant's OK holds in smtpd_relay_restrictions only, so any
// other list that asks for a login refuses the client.
func checkLoginGates(h *Host, r *Report) {
	if !h.Config.SMTPAfterPOP.Enabled || !h.Connected() {
		return
	}
	for _, s := range h.guarded() {
		mixed, _ := Kind(h.Config, s)
		for _, name := range restrictionLists {
			if name == "smtpd_relay_restrictions" {
				continue
			}
			for _, e := range h.list(s, name) {
				if e.Is("reject_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch", "reject_known_sender_login_mismatch") && s.Get("smtpd_sender_login_maps") != "" {
					r.problem(h.masterCF(), fmt.Sprintf("%s in %s of %s refuses clients that only have a POP grant", e.Name, name, s.ID()),
						"write reject_authenticated_sender_login_mismatch instead, or leave the sender to Portreeve")
				}
				if e.Is("reject_unauth_destination", "defer_unauth_destination") || !mixed && e.Is("reject", "defer") {
					r.problem(h.masterCF(), fmt.Sprintf("%s in %s of %s refuses clients that only have a POP grant", e.Name, name, s.ID()),
						"leave that to smtpd_relay_restrictions, and take it out of this list")
				}
			}
		}
	}
}
