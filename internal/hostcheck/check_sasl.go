package hostcheck

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"portreeve/internal/hostcheck/postfix"
)

// words is a plain list of Postfix's.
func (h *Host) words(value string) []string {
	list, err := postfix.Words(value)
	if err != nil {
		return nil
	}
	return list
}

func checkSASL(h *Host, r *Report) {
	for _, s := range h.guarded() {
		mixed, _ := Kind(h.Config, s)
		if !s.Yes("smtpd_sasl_auth_enable") {
			if !mixed {
				r.problem(h.masterCF(), fmt.Sprintf("%s offers no AUTH, so nobody can log in on port %d", s.ID(), s.Port),
					"set -o smtpd_sasl_auth_enable=yes for it")
			}
			continue
		}
		if s.Get("smtpd_sasl_type") != "dovecot" {
			h.otherSASL(r, s)
			continue
		}
		h.saslPath(r, s)
	}
}

// otherSASL: only the mail log tells of failures of Cyrus SASL.
func (h *Host) otherSASL(r *Report, s *postfix.Service) {
	if len(h.Config.Maillog.Files) == 0 {
		r.problem(h.mainCF(), fmt.Sprintf("passwords on %s are checked by %q and not by Dovecot, so nobody tells Portreeve of failed logins", s.ID(), s.Get("smtpd_sasl_type")),
			"name the mail log in maillog.files, or set smtpd_sasl_type = dovecot")
	}
}

func (h *Host) saslPath(r *Report, s *postfix.Service) {
	path := s.Get("smtpd_sasl_path")
	relay := h.Config.Listen.SASL
	network, addr, err := s.Endpoint(path)
	switch {
	case err != nil:
		r.problem(h.mainCF(), fmt.Sprintf("smtpd_sasl_path of %s: %v", s.ID(), err), "name Dovecot's auth socket, such as private/auth")
	case relay.Addr != "" && !SameAddress(network, addr, relay):
		r.problem(h.mainCF(), fmt.Sprintf("listen.sasl is %s, but smtpd_sasl_path of %s is %s, so failed logins there are told by nobody", relay, s.ID(), path),
			"set smtpd_sasl_path to it; "+remedySetup)
	case relay.Addr == "" && network == "unix" && h.Dovecot != nil && !Meant(path) && !h.dovecotListens(addr):
		r.problem(h.mainCF(), fmt.Sprintf("smtpd_sasl_path of %s is %s, but Dovecot has no socket there", s.ID(), addr),
			"look at what `portreeve setup dovecot` proposes")
	}
}

// dovecotListens compares resolved paths: /var/run and /run are one.
func (h *Host) dovecotListens(path string) bool {
	base := h.Dovecot.Get("base_dir")
	if base == "" {
		base = "/run/dovecot"
	}
	for _, s := range h.Dovecot.Sections {
		if s.Kind != "service" || s.Name != "auth" {
			continue
		}
		for _, l := range s.Sections {
			mode, set := l.Mode()
			name := l.Name
			if !filepath.IsAbs(name) {
				name = filepath.Join(base, name)
			}
			if l.Kind == "unix_listener" && (!set || mode != 0) && resolved(name) == resolved(path) {
				return true
			}
		}
	}
	return false
}

func resolved(path string) string {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return filepath.Clean(path)
}

// below tells whether a path is inside a directory.
func below(dir, path string) bool {
	rel, err := filepath.Rel(resolved(dir+"/."), resolved(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// checkSASLService: Dovecot's reports, and the SASL relay, name the service so.
func checkSASLService(h *Host, r *Report) {
	told := h.Config.Listen.Auth.Addr != "" || h.Config.Listen.SASL.Addr != ""
	for _, s := range h.guarded() {
		name := s.Get("smtpd_sasl_service")
		if s.Get("smtpd_sasl_type") == "cyrus" && s.Yes("smtpd_sasl_auth_enable") && name != "smtp" {
			r.advice(h.masterCF(), fmt.Sprintf("smtpd_sasl_service of %s is %q, which Cyrus SASL takes for a part of DIGEST-MD5, and for saslauthd's PAM service", s.ID(), name),
				"set -o smtpd_sasl_service=smtp for it")
			continue
		}
		if told && s.Yes("smtpd_sasl_auth_enable") && name != "" && !slices.Contains(h.Config.AuthFailures.Protocols, name) {
			r.problem(h.Config.Path, fmt.Sprintf("auth_failures.protocols has no %q, the smtpd_sasl_service of %s, so failed logins there do not count", name, s.ID()),
				fmt.Sprintf("add %q to it", name))
		}
	}
}

// checkMechanisms: AUTH LOGIN and PLAIN (SPEC.md section 1).
func checkMechanisms(h *Host, r *Report) {
	for _, s := range h.guarded() {
		for _, name := range []string{"smtpd_sasl_security_options", "smtpd_sasl_tls_security_options"} {
			if !s.Yes("smtpd_sasl_auth_enable") || !slices.Contains(h.words(s.Get(name)), "noplaintext") {
				continue
			}
			if name == "smtpd_sasl_tls_security_options" || s.Yes("smtpd_tls_wrappermode") {
				r.problem(h.mainCF(), fmt.Sprintf("%s of %s has noplaintext, which hides PLAIN and LOGIN", name, s.ID()), "set it to noanonymous")
				continue
			}
			r.advice(h.mainCF(), fmt.Sprintf("%s of %s has noplaintext, which hides PLAIN and LOGIN until STARTTLS", name, s.ID()),
				"set it to noanonymous if clients without TLS should log in")
		}
	}
	if h.Dovecot == nil || len(h.guarded()) == 0 {
		return
	}
	offered := h.Dovecot.Words("auth_mechanisms")
	for _, want := range []string{"plain", "login"} {
		if !slices.ContainsFunc(offered, func(m string) bool { return strings.EqualFold(m, want) }) {
			r.advice(h.Dovecot.Path, fmt.Sprintf("auth_mechanisms has no %s; old mail programs know only AUTH LOGIN, others only PLAIN", want),
				"set auth_mechanisms = plain login, or look at what `portreeve setup dovecot` proposes")
		}
	}
}
