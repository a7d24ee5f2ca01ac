// Package hostcheck looks at the Postfix, the Dovecot and the daemon of this
// host for what the configuration alone cannot know: whether they ask
// Portreeve, in the right place and in time, and whether anything else speaks
// against what customers were told (SPEC.md section 1).
package hostcheck

import "portreeve/internal/tomlfile"

// Severity tells what a finding means for mail.
type Severity string

const (
	// Problem is wrong: a rule does not hold, or mail is lost or let through.
	Problem Severity = "problem"
	// Advice is worth a look, and may be meant.
	Advice Severity = "advice"
)

// Finding is what one check found.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"-"`
	tomlfile.Problem
}

// Report is what all checks found, and what they could not look at.
type Report struct {
	Findings   []Finding
	NotChecked []string // sentences, with the reason
	check      string   // that runs now
}

// Of lists the findings of a severity.
func (r *Report) Of(s Severity) []Finding {
	list := []Finding{}
	for _, f := range r.Findings {
		if f.Severity == s {
			list = append(list, f)
		}
	}
	return list
}

func (r *Report) add(s Severity, file, what, remedy string) {
	r.Findings = append(r.Findings, Finding{r.check, s, tomlfile.Problem{File: file, What: what, Remedy: remedy}})
}

func (r *Report) problem(file, what, remedy string) { r.add(Problem, file, what, remedy) }
func (r *Report) advice(file, what, remedy string)  { r.add(Advice, file, what, remedy) }

// skipped notes what could not be looked at, once.
func (r *Report) skipped(why string) {
	for _, known := range r.NotChecked {
		if known == why {
			return
		}
	}
	r.NotChecked = append(r.NotChecked, why)
}

// Check is one entry of the table; docs/setup.md has the same.
type Check struct {
	Name  string
	About string // what it looks for
	run   func(h *Host, r *Report)
}

// Checks lists all of them, in the order in which they are reported.
func Checks() []Check {
	return []Check{
		{"connected", "Postfix asks Portreeve on no port at all", checkConnected},
		{"ports", "a service that asks Portreeve, or offers AUTH, on a port that is in neither list of `[ports]`; a listed port without a service", checkPorts},
		{"readable", "a list, an argument or an expression of Postfix that cannot be read", checkReadable},
		{"addresses", "Postfix names a socket where Portreeve does not listen", checkAddresses},
		{"sockets", "a socket, Dovecot's included, that Postfix cannot reach (chroot, rights), or where nobody answers", checkSockets},
		{"milter", "a submission or mixed service without the milter, or with milters turned off", checkMilter},
		{"milter-action", "what Postfix does while the milter is away: `accept` on 25, `tempfail` on submission", checkMilterAction},
		{"milter-tcp", "the milter over TCP, which costs 41 ms a message", checkMilterTCP},
		{"milter-main", "Portreeve's milter in main.cf, where re-injected and local mail meets it too", checkMilterMain},
		{"milter-others", "other milters before Portreeve's, or lost by a service's own list", checkMilterOthers},
		{"policy", "a list that should ask the policy service and does not", checkPolicy},
		{"policy-order", "`permit_mynetworks`, `permit_sasl_authenticated` or a final answer ahead of the policy service where it must come first; relaying that nothing refuses", checkPolicyOrder},
		{"policy-action", "a `default_action` that refuses customers for good, or lets them through, while Portreeve is away", checkPolicyAction},
		{"login-gates", "a restriction list that refuses clients with a POP grant", checkLoginGates},
		{"sasl", "AUTH off, or at another socket than `listen.sasl` or Dovecot's", checkSASL},
		{"sasl-service", "a service name of Postfix that is not in `auth_failures.protocols`, or that Cyrus SASL does not know", checkSASLService},
		{"mechanisms", "PLAIN or LOGIN not offered", checkMechanisms},
		{"tls", "another use of TLS on 25, 587 and 465 than customers were told", checkTLS},
		{"mail-tls", "POP3 or IMAP without TLS, or not on a port that customers know", checkMailTLS},
		{"postscreen", "postscreen's deep protocol tests on a port where people log in", checkPostscreen},
		{"delay-reject", "`smtpd_delay_reject = no`", checkDelayReject},
		{"soft-bounce", "`soft_bounce = yes`", checkSoftBounce},
		{"xclient", "hosts that may claim any address and login", checkXCLIENT},
		{"header-rewrite", "Postfix adds a missing From before Portreeve can miss it", checkHeaderRewrite},
		{"networks", "`networks.trusted` and Postfix's `mynetworks` differ", checkNetworks},
		{"directory", "a database or LDAP server that cannot be asked, or whose password others can read", checkDirectory},
		{"domains", "a domain in Postfix that is not in the directory", checkDomains},
		{"aliases", "an alias that is a subdomain of a hosted domain", checkAliases},
		{"auth-policy", "Dovecot does not ask Portreeve, not at every step, or without a nonce", checkAuthPolicy},
		{"token", "Dovecot's token is not that of `auth_policy.token_file`; this token, or the help-desk page's, can be read by others, or guessed", checkToken},
		{"anvil", "Dovecot's own penalty is on", checkAnvil},
		{"daemon", "the running daemon has another configuration than the file", checkDaemon},
		{"reports", "nobody has told the daemon of a login for hours", checkReports},
		{"talkers", "one address behind more than a fifth of all logins, or behind many accounts", checkTalkers},
		{"clock", "a clock that is not kept, or that was set back", checkClock},
	}
}
