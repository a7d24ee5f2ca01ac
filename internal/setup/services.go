package setup

import (
	"fmt"
	"net"
	"strings"

	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
)

// standard are the submission services of contrib/postfix.
var standard = map[uint16]struct {
	names   []string // by which the services file may know the port
	comment string
	tls     []string
}{
	587: {[]string{"submission"}, "# Port 587, none or STARTTLS: customers only.", []string{"smtpd_tls_security_level=may"}},
	465: {[]string{"submissions", "smtps"}, "# Port 465: as 587, TLS from the first byte.", []string{"smtpd_tls_wrappermode=yes", "smtpd_tls_security_level=encrypt"}},
}

// missing proposes the listed ports that nobody serves.
func (p *planner) missing() {
	served := map[uint16]bool{}
	var mx *postfix.Service
	for _, s := range p.Postfix.Services {
		served[s.Port] = true
		if mixed, _ := hostcheck.Kind(p.Portreeve, s); mixed && mx == nil {
			mx = s
		}
	}
	for _, port := range p.Portreeve.Ports.Mixed {
		if !served[port] {
			p.note("ports.mixed lists %d, but Postfix has no service there", port)
		}
	}
	for _, port := range []uint16{587, 465} {
		p.propose(port, served, mx)
	}
	for _, port := range p.Portreeve.Ports.Submission {
		if _, ok := standard[port]; !ok && !served[port] {
			p.note("ports.submission lists %d, but Postfix has no service there", port)
		}
	}
}

// propose makes a standard service, in the place of the commented-out sample.
func (p *planner) propose(port uint16, served map[uint16]bool, mx *postfix.Service) {
	listed := false
	for _, l := range p.Portreeve.Ports.Submission {
		listed = listed || l == port
	}
	switch {
	case served[port] || !listed:
		return
	case p.OnlyExisting:
		p.note("nobody serves port %d: without --only-existing its service is proposed, too", port)
		return
	case mx == nil:
		p.note("nobody serves port %d, and no service on a mixed port shows how services are made here: take it from contrib/postfix/master.cf", port)
		return
	case port == 465 && !hostcheck.Certificate(mx):
		p.note("nobody serves port 465, which needs a certificate: set smtpd_tls_cert_file and smtpd_tls_key_file, and run setup again")
		return
	}
	name := serviceName(port)
	block := p.serviceText(port, name, mx)
	p.master.Insert(block, standard[port].names[0], p.master.Find(mx.Name, mx.Type))
	p.note("port %d is new on this host: see that a firewall lets customers in", port)
}

func serviceName(port uint16) string {
	for _, name := range standard[port].names {
		if n, err := net.LookupPort("tcp", name); err == nil && n == int(port) {
			return name
		}
	}
	return fmt.Sprint(port)
}

// serviceText is the text of a service, with the address and the chroot of port 25's.
func (p *planner) serviceText(port uint16, name string, mx *postfix.Service) string {
	address := ""
	if i := strings.LastIndexByte(mx.Name, ':'); i >= 0 && mx.Type == "inet" {
		address = mx.Name[:i+1]
	}
	options := append([]string{"syslog_name=postfix/" + name}, standard[port].tls...)
	options = append(options, "smtpd_sasl_auth_enable=yes", "smtpd_sasl_service="+p.saslService(false),
		"smtpd_client_restrictions=", "smtpd_helo_restrictions=")
	if strings.EqualFold(p.Postfix.Main["smtpd_delay_reject"], "no") {
		options = append(options, "smtpd_delay_reject=yes")
	}
	relay := "$" + p.define("portreeve_submission_relay", mustMerge(p.relayCall(mx)))
	owned := p.owned(mx)
	if p.Recipe == RecipePolicy {
		call := list{p.senderCall(mx, false)}
		sender := "$" + p.define("portreeve_submission_sender", call)
		ending := sender
		if len(owned) > 0 {
			sender = "$" + p.define("portreeve_submission_sender", append(call, owned...))
		}
		options = append(options, "smtpd_sender_restrictions="+sender, "smtpd_recipient_restrictions=",
			"smtpd_relay_restrictions="+relay, "smtpd_end_of_data_restrictions="+ending)
	} else {
		options = append(options, "smtpd_sender_restrictions="+postfix.FormatRestrictions(owned), "smtpd_recipient_restrictions=", "smtpd_relay_restrictions="+relay)
		options = append(options, p.newMilters(mx)...)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%-9s inet  n       -       %-7s -       -       smtpd\n", standard[port].comment, address+name, mx.Chroot)
	for _, o := range options {
		fmt.Fprintf(&b, "  -o %s\n", o)
	}
	return b.String()
}

// owned is what asks smtpd_sender_login_maps on port 25 by now: while Portreeve
// only observes, a new port must not be a way around it. Who has a POP grant and
// no login is left out of it.
func (p *planner) owned(mx *postfix.Service) list {
	for _, option := range []string{"smtpd_sender_restrictions", "smtpd_recipient_restrictions"} {
		l, err := mx.List(option)
		if err == nil && (has(l, "reject_sender_login_mismatch") || has(l, "reject_authenticated_sender_login_mismatch")) {
			return names("reject_authenticated_sender_login_mismatch")
		}
	}
	return nil
}

func mustMerge(call postfix.Restriction) list {
	l, err := mergeRelay(submissionRelay, call, false)
	if err != nil {
		return list{call, {Name: "permit_sasl_authenticated"}, {Name: "reject"}} // the list is ours: it merges
	}
	return l
}

// newMilters: an -o replaces main.cf's list, so others that stand there follow.
func (p *planner) newMilters(mx *postfix.Service) []string {
	ours := p.socket(p.Portreeve.Listen.Milter, mx.Chrooted(), "listen.milter")
	var others []string
	for _, w := range mustWords(p.Postfix.Main["smtpd_milters"]) {
		if !hostcheck.Meant(w) {
			others = append(others, w)
		}
	}
	value := p.milterList(ours, others, false)
	if len(others) > 0 {
		// As in Debian's sample: by it a DKIM milter knows what to sign.
		return []string{"{ smtpd_milters = " + value + " }", "milter_macro_daemon_name=ORIGINATING"}
	}
	return []string{"smtpd_milters=" + value, "milter_default_action=tempfail"}
}
