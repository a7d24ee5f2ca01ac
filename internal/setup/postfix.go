package setup

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"portreeve/internal/config"
	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

// Recipe is one of the two ways of contrib/postfix.
type Recipe string

// The recipes.
const (
	RecipeMilter Recipe = "milter"      // milter and policy service
	RecipePolicy Recipe = "policy-only" // without the milter
)

// PostfixInput is what a plan for Postfix is made from.
type PostfixInput struct {
	Portreeve    *config.Config
	Postfix      *postfix.Config
	Main, Master string // the texts of main.cf and master.cf
	Recipe       Recipe // empty: as listen.milter says
	OnlyExisting bool   // make no services
	Cyrus        bool   // Cyrus SASL was meant where nothing else is said
}

// planner makes one plan.
type planner struct {
	PostfixInput
	*Plan
	main     *postfix.Main
	master   *postfix.Master
	assigned map[string]string // parameters of ours that are in use: their lists
	titled   bool
}

// PlanPostfix plans what contrib/postfix describes, around what is there.
func PlanPostfix(in PostfixInput) *Plan {
	if in.Recipe == "" {
		in.Recipe = RecipeMilter
		if in.Portreeve.Listen.Milter.Addr == "" {
			in.Recipe = RecipePolicy
		}
	}
	p := &planner{
		PostfixInput: in, Plan: newPlan("postfix"), assigned: map[string]string{},
		main: postfix.ParseMain(in.Main), master: postfix.ParseMaster(in.Master),
	}
	if p.listeners(); len(p.Blockers) > 0 {
		return p.Plan
	}
	var wants []want
	for _, s := range in.Postfix.Services {
		mixed, listed := hostcheck.Kind(in.Portreeve, s)
		if !listed {
			p.unlisted(s)
			continue
		}
		if s.Stray != "" {
			p.block("%s has the argument %q, which is no option, so that it does not start: comment the line out, or write -o before it", s.ID(), s.Stray)
			continue
		}
		p.options(s, mixed)
		p.milters(s, mixed)
		wants = append(wants, p.lists(s, mixed)...)
	}
	p.assign(wants)
	p.mainMilters()
	p.missing()
	p.sasl()
	p.Plan.change(Change{Path: filepath.Join(in.Postfix.Dir, "main.cf"), old: in.Main, text: p.main.String()})
	p.Plan.change(Change{Path: filepath.Join(in.Postfix.Dir, "master.cf"), old: in.Master, text: p.master.String()})
	return p.Plan
}

// listeners: the recipe and [listen] must agree, since Portreeve charges sending
// limits where the recipe asks it to.
func (p *planner) listeners() {
	l := p.Portreeve.Listen
	switch {
	case l.Policy.Addr == "":
		p.block(`listen.policy is off, and both recipes need it: set listen.policy = "unix:/var/spool/postfix/portreeve/policy.sock" and restart Portreeve`)
	case p.Recipe == RecipeMilter && l.Milter.Addr == "":
		p.block(`listen.milter is off: set listen.milter = "unix:/var/spool/postfix/portreeve/milter.sock" and restart Portreeve, or use --recipe policy-only`)
	case p.Recipe == RecipePolicy && l.Milter.Addr != "":
		p.block(`the recipe policy-only needs listen.milter = "", or sending limits are charged by nobody: set it and restart Portreeve, or use --recipe milter`)
	}
}

// unlisted names services on other ports, but not those of re-injection.
func (p *planner) unlisted(s *postfix.Service) {
	if hostcheck.Loopback(s) {
		return
	}
	p.note("%s (port %d) is left alone: if customers log in there, add %d to ports.submission", s.ID(), s.Port, s.Port)
}

// set gives a service an option unless it says the same already.
func (p *planner) set(s *postfix.Service, option, value string) {
	if own, ok := s.Option(option); ok && own == value {
		return
	}
	if err := p.master.Set(s.Name, s.Type, option, value); err != nil {
		p.block("%v", err)
	}
}

// socket is how a service names one of our listeners: relative to the queue
// directory where it can be, which holds inside and outside a chroot.
func (p *planner) socket(l listen.Address, chrooted bool, key string) string {
	if l.Network != "unix" {
		if host, port, err := net.SplitHostPort(l.Addr); err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
			return "inet:127.0.0.1:" + port
		}
		return l.String()
	}
	queue := p.Postfix.Main["queue_directory"]
	rel, err := filepath.Rel(queue, l.Addr)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return "unix:" + rel
	}
	if chrooted {
		p.block("%s = %q is outside Postfix's queue directory, where a chrooted service cannot reach it: move it below %s/portreeve and restart Portreeve", key, l, queue)
	}
	return l.String()
}

// options are the settings of one service that are no lists.
func (p *planner) options(s *postfix.Service, mixed bool) {
	if !s.Yes("smtpd_sasl_auth_enable") {
		if s.Own("smtpd_sasl_auth_enable") {
			p.note("%s keeps smtpd_sasl_auth_enable=no: nobody logs in on port %d", s.ID(), s.Port)
		} else {
			p.set(s, "smtpd_sasl_auth_enable", "yes")
			if mixed {
				p.note("%s offers AUTH from then on; -o smtpd_sasl_auth_enable=no forbids it", s.ID())
			}
		}
	}
	name := p.saslService(mixed)
	if !s.Own("smtpd_sasl_service") && !p.main.Has("smtpd_sasl_service") {
		p.set(s, "smtpd_sasl_service", name)
	}
	wrapped := s.Yes("smtpd_tls_wrappermode")
	if s.Port == 465 && !wrapped {
		p.set(s, "smtpd_tls_wrappermode", "yes")
	}
	if level := s.Get("smtpd_tls_security_level"); (level == "" || level == "none") && !wrapped && s.Port != 465 && !s.Yes("smtpd_use_tls") {
		if hostcheck.Certificate(s) {
			p.set(s, "smtpd_tls_security_level", "may")
		} else {
			p.note("%s offers no STARTTLS: set smtpd_tls_cert_file and smtpd_tls_key_file, and run setup again", s.ID())
		}
	}
	if strings.EqualFold(s.Get("smtpd_delay_reject"), "no") {
		p.set(s, "smtpd_delay_reject", "yes")
	}
	if slices.Contains(mustWords(s.Get("receive_override_options")), "no_milters") && p.Recipe == RecipeMilter {
		p.block("receive_override_options of %s turns milters off: remove no_milters there, or use --recipe policy-only", s.ID())
	}
}

func mustWords(value string) []string {
	words, err := postfix.Words(value)
	if err != nil {
		return nil
	}
	return words
}

// action is what Postfix does on a service while Portreeve is away.
func action(mixed bool) string {
	if mixed {
		return "accept"
	}
	return "tempfail"
}

// milters puts ours ahead of what the service has. Where there are others, ours
// has its default action to itself: theirs is the administrator's.
func (p *planner) milters(s *postfix.Service, mixed bool) {
	have, err := s.Milters()
	if err != nil {
		p.block("%v", err)
		return
	}
	var others []string
	ours := -1
	for i, m := range have {
		if hostcheck.Ours(s, m.Endpoint, p.Portreeve.Listen.Milter) {
			ours = i
		} else if !hostcheck.Meant(m.Endpoint) {
			others = append(others, m.Text)
		}
	}
	if p.Recipe == RecipePolicy {
		if len(others) < len(have) {
			p.set(s, "smtpd_milters", strings.Join(others, ","))
		}
		return
	}
	if s.Own("smtpd_milters") && ours == 0 && len(have) == len(others)+1 && p.rightAction(s, have[0], mixed) {
		return
	}
	p.set(s, "smtpd_milters", p.milterList(p.socket(p.Portreeve.Listen.Milter, s.Chrooted(), "listen.milter"), others, mixed))
	if len(others) == 0 {
		p.set(s, "milter_default_action", action(mixed))
	}
}

func (p *planner) milterList(ours string, others []string, mixed bool) string {
	if len(others) == 0 {
		return ours
	}
	return fmt.Sprintf("{ %s, default_action=%s }, %s", ours, action(mixed), strings.Join(others, ", "))
}

// rightAction tells whether nothing need be said about a milter that is there.
// A value from main.cf does not count: it is there for others.
func (p *planner) rightAction(s *postfix.Service, m postfix.Milter, mixed bool) bool {
	have := m.Default
	if have == "" && s.Own("milter_default_action") {
		have = s.Get("milter_default_action")
	}
	return have == action(mixed) || !mixed && have == "shutdown"
}

// mainMilters takes ours out of main.cf, where every service would ask it.
func (p *planner) mainMilters() {
	for _, name := range []string{"smtpd_milters", "non_smtpd_milters"} {
		var others []string
		words := mustWords(p.Postfix.Main[name])
		for _, w := range words {
			if !hostcheck.Meant(w) {
				others = append(others, w)
			}
		}
		if len(others) < len(words) {
			p.main.Set(name, strings.Join(others, ", "), "")
		}
	}
}
