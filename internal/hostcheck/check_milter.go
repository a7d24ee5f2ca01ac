package hostcheck

import (
	"fmt"
	"slices"
	"strings"
)

// milterRecipe tells whether Postfix should ask the milter at all.
func (h *Host) milterRecipe() bool { return h.Config.Listen.Milter.Addr != "" }

func checkMilter(h *Host, r *Report) {
	if !h.milterRecipe() || !h.Connected() {
		return
	}
	for _, s := range h.guarded() {
		if h.milterIndex(s, h.milters(s)) < 0 {
			r.problem(h.masterCF(), fmt.Sprintf("the service %s (port %d) does not ask Portreeve's milter, so senders and headers are not checked there", s.ID(), s.Port), remedySetup)
			continue
		}
		if slices.Contains(h.words(s.Get("receive_override_options")), "no_milters") {
			r.problem(h.masterCF(), fmt.Sprintf("receive_override_options of %s turns milters off (no_milters)", s.ID()),
				"remove no_milters from this service")
		}
	}
}

// checkMilterAction: inbound mail goes on while Portreeve is away, submission
// is deferred (SPEC.md section 6).
func checkMilterAction(h *Host, r *Report) {
	for _, s := range h.guarded() {
		list := h.milters(s)
		i := h.milterIndex(s, list)
		if i < 0 {
			continue
		}
		action := list[i].Default
		if action == "" {
			action = s.Get("milter_default_action")
		}
		mixed, _ := Kind(h.Config, s)
		switch {
		case mixed && action != "accept":
			r.problem(h.masterCF(), fmt.Sprintf("while Portreeve is away, %s answers mail from other servers with %q", s.ID(), action),
				"set -o milter_default_action=accept for it")
		case !mixed && action == "accept":
			r.problem(h.masterCF(), fmt.Sprintf("while Portreeve is away, %s lets every sender through (milter_default_action=accept)", s.ID()),
				"set -o milter_default_action=tempfail for it")
		case !mixed && action != "tempfail" && action != "shutdown":
			r.problem(h.masterCF(), fmt.Sprintf("while Portreeve is away, %s answers customers with %q, for good", s.ID(), action),
				"set -o milter_default_action=tempfail for it")
		}
	}
}

// checkMilterTCP: FACTS.md 6.2.
func checkMilterTCP(h *Host, r *Report) {
	for _, u := range h.uses() {
		if u.where == "smtpd_milters" && u.ours.Network == "tcp" {
			r.advice(h.Config.Path, fmt.Sprintf("%s asks the milter over TCP, which costs about 41 ms a message", u.service.ID()),
				`set listen.milter = "unix:/var/spool/postfix/portreeve/milter.sock"`)
			return
		}
	}
}

func checkMilterMain(h *Host, r *Report) {
	if h.Postfix == nil {
		return
	}
	for _, name := range []string{"smtpd_milters", "non_smtpd_milters"} {
		for _, w := range h.words(h.Postfix.Main[name]) {
			if Meant(w) {
				r.problem(h.mainCF(), fmt.Sprintf("%s names Portreeve's milter for every service, re-injected and local mail included", name),
					"take it out of main.cf and set it per service; "+remedySetup)
				break
			}
		}
	}
}

// checkMilterOthers: an -o replaces main.cf's list.
func checkMilterOthers(h *Host, r *Report) {
	if h.Postfix == nil {
		return
	}
	for _, s := range h.guarded() {
		list := h.milters(s)
		i := h.milterIndex(s, list)
		if i < 0 {
			continue
		}
		if i > 0 {
			r.advice(h.masterCF(), fmt.Sprintf("on %s other milters see the mail before Portreeve, whose reply then may not be the client's first", s.ID()),
				"put Portreeve's first in smtpd_milters")
		}
		for _, w := range h.words(h.Postfix.Main["smtpd_milters"]) {
			if !Meant(w) && !strings.Contains(s.Get("smtpd_milters"), w) && s.Own("smtpd_milters") {
				r.advice(h.masterCF(), fmt.Sprintf("main.cf's milter %s is not in the list of %s, which replaces main.cf's", w, s.ID()),
					"add it behind Portreeve's if this service should ask it")
			}
		}
	}
}
