package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"portreeve/internal/hostcheck/postfix"
)

// checkTLS: 25 and 587 none or STARTTLS, 465 TLS only (SPEC.md section 1).
func checkTLS(h *Host, r *Report) {
	for _, s := range h.guarded() {
		wrapped := s.Yes("smtpd_tls_wrappermode")
		level := tlsLevel(s)
		mixed, _ := Kind(h.Config, s)
		switch {
		case s.Port == 465 && !wrapped:
			r.problem(h.masterCF(), fmt.Sprintf("%s does not begin with TLS; customers were told that port 465 does", s.ID()),
				"set -o smtpd_tls_wrappermode=yes for it")
		case (s.Port == 25 || s.Port == 587) && wrapped:
			r.problem(h.masterCF(), fmt.Sprintf("%s begins with TLS; customers were told none or STARTTLS on port %d", s.ID(), s.Port),
				"set -o smtpd_tls_wrappermode=no for it")
		case mixed && level == "encrypt":
			r.problem(h.masterCF(), fmt.Sprintf("%s refuses other mail servers that have no TLS (smtpd_tls_security_level=encrypt)", s.ID()),
				"set -o smtpd_tls_security_level=may for it")
		case s.Port == 587 && level == "encrypt":
			r.advice(h.masterCF(), fmt.Sprintf("%s refuses customers that have no TLS; they may have been told none or STARTTLS", s.ID()),
				"set -o smtpd_tls_security_level=may for it if they were")
		case (s.Port == 25 || s.Port == 587) && level != "" && s.Yes("smtpd_tls_auth_only") && s.Yes("smtpd_sasl_auth_enable"):
			r.advice(h.masterCF(), fmt.Sprintf("%s offers no AUTH before STARTTLS (smtpd_tls_auth_only = yes); customers may have been told none or STARTTLS", s.ID()),
				"set -o smtpd_tls_auth_only=no for it if they were")
		case !wrapped && level == "":
			r.problem(h.masterCF(), fmt.Sprintf("%s offers no STARTTLS", s.ID()), "set -o smtpd_tls_security_level=may for it")
		}
		if (wrapped || level != "") && !Certificate(s) {
			r.problem(h.mainCF(), fmt.Sprintf("%s should offer TLS, but has no certificate", s.ID()), "set smtpd_tls_cert_file and smtpd_tls_key_file")
		}
		if wrapped || level != "" {
			h.certificateFiles(r, s)
		}
	}
}

// certificateFiles: with a name that is not there Postfix offers no TLS, and
// says so in its log only.
func (h *Host) certificateFiles(r *Report, s *postfix.Service) {
	for _, name := range []string{"smtpd_tls_cert_file", "smtpd_tls_key_file", "smtpd_tls_chain_files"} {
		for _, file := range h.words(s.Get(name)) {
			if _, err := h.Stat(file); errors.Is(err, fs.ErrNotExist) {
				r.problem(h.mainCF(), fmt.Sprintf("%s of %s is %s, which does not exist, so no TLS is offered there", name, s.ID(), file), "correct the name, or put the file there")
			}
		}
	}
}

// tlsLevel is none, may or encrypt in today's words; none is empty.
func tlsLevel(s *postfix.Service) string {
	level := s.Get("smtpd_tls_security_level")
	if level == "" && s.Yes("smtpd_use_tls") { // before Postfix 2.3
		level = "may"
	}
	if level == "none" {
		level = ""
	}
	return level
}

// Certificate tells whether a service has one.
func Certificate(s *postfix.Service) bool {
	for _, name := range []string{"smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file"} {
		if v := s.Get(name); v != "" && v != "none" {
			return true
		}
	}
	return false
}

var (
	plainPorts = map[string]int{"imap": 143, "pop3": 110}
	tlsPorts   = map[string]int{"imap": 993, "pop3": 995}
)

// checkMailTLS: POP3 110 and 995, IMAP 143 and 993, STARTTLS on 110 and 143.
func checkMailTLS(h *Host, r *Report) {
	d := h.Dovecot
	if d == nil {
		return
	}
	served := d.Protocols()
	if h.Config.SMTPAfterPOP.Enabled {
		for _, p := range h.Config.SMTPAfterPOP.Protocols {
			if !slices.Contains(served, p) {
				r.advice(d.Path, fmt.Sprintf("smtp_after_pop waits for %s logins, but Dovecot does not serve %s", p, p), "install and turn on that protocol")
			}
		}
	}
	for _, p := range []string{"imap", "pop3"} {
		for listener, port := range map[string]int{p: plainPorts[p], p + "s": tlsPorts[p]} {
			if slices.Contains(served, p) && d.Off(p+"-login", listener) {
				r.advice(d.Path, fmt.Sprintf("nothing listens on port %d (inet_listener %s has port = 0); customers may have been told of it", port, listener), "leave out that line if they were")
			}
		}
	}
	mail := slices.Contains(served, "pop3") || slices.Contains(served, "imap")
	if mail && d.Get("ssl") == "no" {
		r.problem(d.Path, "ssl = no: no STARTTLS on 110 and 143, and nothing on 995 and 993", "set ssl = yes and a certificate")
	}
}
