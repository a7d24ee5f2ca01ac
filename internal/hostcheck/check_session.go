package hostcheck

import (
	"fmt"
	"strings"
)

// checkPostscreen: after its deep tests postscreen sends every new client away
// with 4xx, and it never offers AUTH itself (POSTSCREEN_README).
func checkPostscreen(h *Host, r *Report) {
	for _, s := range h.guarded() {
		if !s.Screened || !s.Yes("smtpd_sasl_auth_enable") {
			continue
		}
		for _, test := range []string{"postscreen_pipelining_enable", "postscreen_non_smtp_command_enable", "postscreen_bare_newline_enable"} {
			if strings.EqualFold(h.Postfix.Main[test], "yes") {
				r.problem(h.mainCF(), fmt.Sprintf("%s = yes: customers who log in on port %d from a new address are sent away once, without AUTH", test, s.Port),
					"turn it off, or let customers use 587 and 465 only and set smtpd_sasl_auth_enable=no on "+s.ID())
			}
		}
	}
}

func checkDelayReject(h *Host, r *Report) {
	for _, s := range h.guarded() {
		if strings.EqualFold(s.Get("smtpd_delay_reject"), "no") {
			r.problem(h.mainCF(), fmt.Sprintf("smtpd_delay_reject = no on %s: Postfix refuses before Portreeve can say why", s.ID()),
				"set smtpd_delay_reject = yes")
		}
	}
}

func checkSoftBounce(h *Host, r *Report) {
	for _, s := range h.guarded() {
		if s.Yes("soft_bounce") {
			r.problem(h.mainCF(), fmt.Sprintf("soft_bounce = yes on %s: every refusal becomes a 4xx, and clients try again for days", s.ID()),
				"set soft_bounce = no")
		}
	}
}

// checkXCLIENT: XCLIENT changes address and login (FACTS.md 1.6).
func checkXCLIENT(h *Host, r *Report) {
	for _, s := range h.guarded() {
		if hosts := s.Get("smtpd_authorized_xclient_hosts"); hosts != "" {
			r.advice(h.mainCF(), fmt.Sprintf("%s may claim any address and login on %s (smtpd_authorized_xclient_hosts)", hosts, s.ID()),
				"leave only your own proxies in it")
		}
	}
}

// checkHeaderRewrite: FACTS.md 1.10. The default covers the host's own
// addresses only.
func checkHeaderRewrite(h *Host, r *Report) {
	if !h.milterRecipe() || h.Config.Sender.HeaderFrom == "off" {
		return
	}
	for _, s := range h.guarded() {
		for _, w := range h.words(s.Get("local_header_rewrite_clients")) {
			if w != "permit_inet_interfaces" && w != "permit_mynetworks" {
				r.advice(h.masterCF(), fmt.Sprintf("local_header_rewrite_clients of %s has %s: Postfix adds a missing From before Portreeve can miss it", s.ID(), w),
					"set it to permit_inet_interfaces")
				break
			}
		}
	}
}
