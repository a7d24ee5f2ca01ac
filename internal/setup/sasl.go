package setup

import (
	"path/filepath"
	"slices"
	"strings"

	"portreeve/internal/config"
	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

// passwords tells who checks them by now: Dovecot at a path, empty if nobody
// says which, or somebody else (other), who stays. cyrus tells whether Cyrus
// SASL was meant; smtpd_sasl_type is "cyrus" where nobody ever thought of it,
// as in Debian's samples, and then nobody can log in.
func passwords(c *config.Config, pc *postfix.Config, cyrus bool) (path string, other bool) {
	if pc.Main["smtpd_sasl_type"] == "dovecot" {
		return pc.Main["smtpd_sasl_path"], false
	}
	for _, s := range pc.Services {
		if _, listed := hostcheck.Kind(c, s); !listed || !s.Yes("smtpd_sasl_auth_enable") {
			continue
		}
		switch own := s.Own("smtpd_sasl_type"); {
		case s.Get("smtpd_sasl_type") == "dovecot":
			if path == "" {
				path = s.Get("smtpd_sasl_path")
			}
		case own || cyrus:
			return "", true
		}
	}
	return path, false
}

// systemCyrus is where Cyrus SASL looks beside the directories that Postfix names.
var systemCyrus = []string{"/etc/sasl2/smtpd.conf", "/usr/lib/sasl2/smtpd.conf", "/usr/lib/*/sasl2/smtpd.conf", "/etc/sasldb2"}

// cyrusMeant looks for what Cyrus SASL needs before anybody can log in: its
// smtpd.conf, or the sasldb that it reads without one (SASL_README).
func cyrusMeant(pc *postfix.Config, mainCF string) bool {
	if postfix.ParseMain(mainCF).Has("smtpd_sasl_type") {
		return true
	}
	patterns := append([]string{
		filepath.Join(pc.Main["queue_directory"], "etc/sasldb2"), filepath.Join(pc.Dir, "sasl/smtpd.conf"),
	}, systemCyrus...)
	for _, dir := range filepath.SplitList(pc.Main["cyrus_sasl_config_path"]) {
		patterns = append(patterns, filepath.Join(dir, "smtpd.conf"))
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		found, err := filepath.Glob(pattern)
		return err == nil && len(found) > 0
	})
}

// authServer is where Postfix will have passwords checked; false if that is not
// Dovecot, or is Portreeve's relay before it.
func authServer(c *config.Config, pc *postfix.Config, cyrus bool) (listen.Address, bool) {
	path, other := passwords(c, pc, cyrus)
	if other || c.Listen.SASL.Addr != "" {
		return listen.Address{}, false
	}
	if path == "" || path == "smtpd" || hostcheck.Meant(path) {
		path = "private/auth"
	}
	if rest, ok := strings.CutPrefix(path, "inet:"); ok {
		return listen.Address{Network: "tcp", Addr: rest}, true
	}
	path = strings.TrimPrefix(path, "unix:")
	if !filepath.IsAbs(path) {
		path = filepath.Join(pc.Main["queue_directory"], path)
	}
	return listen.Address{Network: "unix", Addr: path}, true
}

// saslService is the name that a login's protocol gets. Cyrus SASL must have its
// default: it is part of what clients sign, and the PAM service.
func (p *planner) saslService(mixed bool) string {
	if _, other := passwords(p.Portreeve, p.Postfix, p.Cyrus); mixed || other {
		return "smtp"
	}
	return "submission"
}

// sasl: who checks passwords. What is in use is kept.
func (p *planner) sasl() {
	relay := p.Portreeve.Listen.SASL
	path := "private/auth"
	if relay.Addr != "" {
		path = strings.TrimPrefix(p.socket(relay, true, "listen.sasl"), "unix:")
	}
	have, other := passwords(p.Portreeve, p.Postfix, p.Cyrus)
	kind := p.Postfix.Main["smtpd_sasl_type"]
	switch {
	case other:
		p.note("passwords are checked by %q and not by Dovecot, and that stays: name the mail log in maillog.files, so that somebody tells of failed logins", kind)
		return
	case kind != "dovecot":
		p.unmeant()
		if relay.Addr == "" && have != "" && !hostcheck.Meant(have) {
			path = have // as the services that say it themselves
		}
		p.parameter("smtpd_sasl_type", "dovecot", "# Dovecot checks passwords.\n")
		p.parameter("smtpd_sasl_path", path, "")
	default:
		at := have
		if !filepath.IsAbs(at) && !strings.HasPrefix(at, "inet:") {
			at = filepath.Join(p.Postfix.Main["queue_directory"], strings.TrimPrefix(at, "unix:"))
		}
		if have == "smtpd" || relay.Addr == "" && hostcheck.Meant(have) || relay.Addr != "" && !hostcheck.SameAddress("unix", at, relay) {
			p.parameter("smtpd_sasl_path", path, "# Dovecot's socket, or Portreeve's SASL relay before it.\n")
		}
	}
	for _, s := range p.Postfix.Services {
		if _, listed := hostcheck.Kind(p.Portreeve, s); listed && s.Own("smtpd_sasl_path") && relay.Addr != "" && !hostcheck.Ours(s, s.Get("smtpd_sasl_path"), relay) {
			p.set(s, "smtpd_sasl_path", path)
		}
	}
}

// unmeant says what becomes of AUTH that was turned on without anybody behind it.
func (p *planner) unmeant() {
	for _, s := range p.Postfix.Services {
		if _, listed := hostcheck.Kind(p.Portreeve, s); listed && s.Yes("smtpd_sasl_auth_enable") && s.Get("smtpd_sasl_type") != "dovecot" {
			p.note("%s offers AUTH, but nobody has set up the Cyrus SASL that would check passwords there: Dovecot checks them from then on", s.ID())
		}
	}
}
