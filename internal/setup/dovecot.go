package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"portreeve/internal/config"
	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/dovecot"
)

// DovecotInput is what a plan for Dovecot is made from.
type DovecotInput struct {
	Portreeve *config.Config
	Dovecot   *dovecot.Config
	Main      string                           // the text of dovecot.conf
	Read      func(path string) (string, bool) // a file beside it, if it is there
	Queue     string                           // Postfix's queue directory
	SASLPath  string                           // Postfix's smtpd_sasl_path where it is in the queue directory, else empty
	Token     string                           // what Portreeve checks
	NewToken  bool                             // the token file does not exist yet
	Nonce     string                           // a random word, for a host without one
	User      string                           // the daemon's
	UID, GID  int                              // of a token file that is made
}

// The names of the files in Dovecot's directory. The token's keeps it out of
// `!include conf.d/*.conf`.
const (
	dropInName = "99-portreeve.conf"
	tokenName  = "portreeve-token.conf.ext"
)

// place is where the drop-in goes.
type place struct {
	path    string // of the drop-in
	include string // a line for dovecot.conf, if it reads no such file yet
}

// findPlace follows the includes of dovecot.conf: Debian's conf.d, else a
// local.conf that is not there yet, else a line of our own.
func findPlace(in *DovecotInput) place {
	dir := filepath.Dir(in.Dovecot.Path)
	local := false
	for line := range strings.Lines(in.Main) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != "!include" && f[0] != "!include_try" {
			continue
		}
		switch strings.TrimPrefix(f[1], dir+"/") {
		case "conf.d/*.conf":
			return place{path: filepath.Join(dir, "conf.d", dropInName)}
		case "local.conf":
			local = true
		case "portreeve.conf":
			return place{path: filepath.Join(dir, "portreeve.conf")}
		}
	}
	if local {
		path := filepath.Join(dir, "local.conf")
		if text, there := in.Read(path); !there || strings.HasPrefix(text, header) {
			return place{path: path}
		}
	}
	return place{path: filepath.Join(dir, "portreeve.conf"), include: "!include portreeve.conf\n"}
}

// PlanDovecot plans what contrib/dovecot describes, but only what Dovecot does
// not do already.
func PlanDovecot(in DovecotInput) *Plan {
	p := newPlan("dovecot")
	series := ""
	for _, s := range []string{"2.3", "2.4"} {
		if in.Dovecot.Is(s) {
			series = s
		}
	}
	h := &hostcheck.Host{Config: in.Portreeve, Dovecot: in.Dovecot}
	l := in.Portreeve.Listen
	asked := in.Dovecot.Get("auth_policy_server_url")
	switch {
	case series == "":
		p.block("Dovecot %s is not known here: use 2.3 or 2.4, or adapt contrib/dovecot by hand", in.Dovecot.Version)
	case l.Auth.Addr == "" && l.SASL.Addr == "" && len(in.Portreeve.Maillog.Files) == 0:
		p.block("nobody would tell Portreeve of logins: set listen.auth = \"inet:127.0.0.1:9192\" and auth_policy.token_file in %s", in.Portreeve.Path)
	case l.Auth.Addr != "" && asked != "" && !h.PolicyURL(asked):
		p.block("Dovecot asks another auth policy server already (%s), and it can ask only one: remove auth_policy_server_url, or set listen.auth to that address, or leave listen.auth empty and use maillog.files or listen.sasl", asked)
	}
	if len(p.Blockers) > 0 {
		return p
	}
	d := &dovecotPlanner{DovecotInput: in, Plan: p, place: findPlace(&in), series: series, host: h}
	d.plan()
	return p
}

type dovecotPlanner struct {
	DovecotInput
	*Plan
	place  place
	series string
	host   *hostcheck.Host
}

func (d *dovecotPlanner) plan() {
	l := d.Portreeve.Listen
	if l.Auth.Addr != "" && d.NewToken {
		d.change(Change{
			Path: d.Portreeve.AuthPolicy.TokenFile, New: true, Mode: 0o600, text: d.Token + "\n", hide: []string{d.Token},
			uid: d.UID, gid: d.GID, keep: true,
		})
		d.note("%s is made with a random token, for the user %s; undo leaves it, since portreeve.toml names it", d.Portreeve.AuthPolicy.TokenFile, d.User)
	}
	old, there := d.Read(d.place.path)
	text := d.dropIn(old)
	if text != "" {
		d.Plan.change(Change{Path: d.place.path, New: !there, Mode: 0o644, old: old, text: text, hide: secrets(old), uid: -1, gid: -1})
		if l.Auth.Addr != "" {
			d.tokenFile()
		}
		if d.place.include != "" {
			main := d.Main
			if !strings.HasSuffix(main, "\n") {
				main += "\n"
			}
			d.Plan.change(Change{Path: d.Dovecot.Path, old: d.Main, text: main + d.place.include})
		}
		if len(d.Changes) == 0 {
			d.block("%s says what it should, but Dovecot does something else: look for auth_policy_, auth_mechanisms, service auth and service anvil in the files of %s that are read after it", d.place.path, filepath.Dir(d.Dovecot.Path))
		}
	}
	if d.Dovecot.Get("ssl") == "no" {
		d.note("ssl = no stays: without ssl = yes and a certificate, POP3 and IMAP have no STARTTLS")
	}
}

// tokenFile holds what only root may read. A nonce that is there stays, since a
// new one would make equal passwords look different.
func (d *dovecotPlanner) tokenFile() {
	path := filepath.Join(filepath.Dir(d.place.path), tokenName)
	old, there := d.Read(path)
	nonce := d.Nonce
	for line := range strings.Lines(old) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		if strings.TrimSpace(name) == "auth_policy_hash_nonce" && value != "" && value != hostcheck.PublicNonce {
			nonce = value
		}
	}
	if current := d.Dovecot.Get("auth_policy_hash_nonce"); !there && current != "" && current != hostcheck.PublicNonce {
		nonce = current
	}
	text := "auth_policy_server_api_header = X-Api-Key: " + d.Token + "\nauth_policy_hash_nonce = " + nonce + "\n"
	d.Plan.change(Change{
		Path: path, New: !there, Mode: 0o600, old: old, text: text, hide: append(secrets(old), d.Token, nonce), uid: -1, gid: -1,
	})
}

// secrets lists what a diff of such a file must not show.
func secrets(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "auth_policy_hash_nonce", "auth_policy_server_api_header":
			_, after, _ := strings.Cut(value, ":")
			list = append(list, strings.TrimSpace(after), strings.TrimSpace(value))
		}
	}
	return slices.DeleteFunc(list, func(s string) bool { return s == "" || s == hostcheck.PublicNonce })
}

// policyRight tells whether Dovecot asks Portreeve as it should already.
func (d *dovecotPlanner) policyRight() bool {
	c := d.Dovecot
	for _, name := range []string{"auth_policy_check_before_auth", "auth_policy_check_after_auth", "auth_policy_report_after_auth"} {
		if c.Get(name) == "no" {
			return false
		}
	}
	nonce := c.Get("auth_policy_hash_nonce")
	return d.host.PolicyURL(c.Get("auth_policy_server_url")) && c.Get("auth_policy_log_only") != "yes" &&
		nonce != "" && nonce != hostcheck.PublicNonce && c.Get("auth_policy_server_api_header") == "X-Api-Key: "+d.Token
}

// mechanisms is auth_mechanisms with what is missing, or empty.
func (d *dovecotPlanner) mechanisms() string {
	have := d.Dovecot.Words("auth_mechanisms")
	merged := slices.Clone(have)
	for _, want := range []string{"plain", "login"} {
		if !slices.ContainsFunc(have, func(m string) bool { return strings.EqualFold(m, want) }) {
			merged = append(merged, want)
		}
	}
	if len(merged) == len(have) {
		return ""
	}
	return strings.Join(merged, " ")
}

// sockets lists Dovecot's auth-client sockets that are needed: Postfix's, and
// the one behind Portreeve's SASL relay.
func (d *dovecotPlanner) sockets() []socket {
	var need []socket
	if up := d.Portreeve.SASL.Upstream; d.Portreeve.Listen.SASL.Addr != "" && up.Network == "unix" {
		if up.Addr != filepath.Join(d.Queue, "private/auth") {
			need = append(need, socket{up.Addr, "0600", d.User, ""})
		} else {
			need = append(need, socket{up.Addr, "0660", "postfix", "postfix"})
		}
	} else if d.SASLPath != "" {
		need = append(need, socket{d.SASLPath, "0660", "postfix", "postfix"})
	}
	return need
}

type socket struct{ path, mode, user, group string }

func (d *dovecotPlanner) has(s socket) bool {
	_, ok := d.Dovecot.Listener("auth", s.path)
	return ok
}

// dropIn is the file's text; empty if there is nothing to do. What the old file
// sets, it keeps setting: only because of it is nothing missing.
func (d *dovecotPlanner) dropIn(old string) string {
	ours := strings.Contains(old, "Portreeve")
	policy := d.Portreeve.Listen.Auth.Addr != ""
	mechanisms := d.mechanisms()
	var missing, needed []socket
	for _, s := range d.sockets() {
		if !d.has(s) {
			missing = append(missing, s)
		}
		if !d.has(s) || ours && strings.Contains(old, s.path) {
			needed = append(needed, s)
		}
	}
	if (!policy || d.policyRight()) && d.Dovecot.PenaltyOff() && mechanisms == "" && len(missing) == 0 {
		return ""
	}
	if mechanisms == "" && ours && strings.Contains(old, "\nauth_mechanisms") {
		mechanisms = strings.Join(d.Dovecot.Words("auth_mechanisms"), " ")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s with Dovecot %s, by `portreeve setup dovecot`; see its docs/setup.md.\n# Reload Dovecot after a change, then Postfix: an open connection to the old auth\n# process goes on with the old settings.\n", header, d.series)
	if mechanisms != "" {
		fmt.Fprintf(&b, "\n# Postfix offers its clients what is listed here.\nauth_mechanisms = %s\n", mechanisms)
	}
	for _, s := range needed {
		b.WriteString(s.text())
	}
	if policy {
		logOnly := ""
		if d.Dovecot.Get("auth_policy_log_only") == "yes" || ours && strings.Contains(old, "\nauth_policy_log_only") {
			logOnly = "auth_policy_log_only = no\n"
		}
		fmt.Fprintf(&b, policyText, d.policyURL(), logOnly, tokenName)
	}
	b.WriteString(penaltyText)
	return b.String()
}

// policyURL is listen.auth as a URL.
func (d *dovecotPlanner) policyURL() string {
	a := d.Portreeve.Listen.Auth
	if rest, ok := strings.CutPrefix(a.Addr, "0.0.0.0:"); ok {
		return "http://127.0.0.1:" + rest + "/"
	}
	return "http://" + a.Addr + "/"
}

func (s socket) text() string {
	text := fmt.Sprintf("\n# Who asks for passwords to be checked.\nservice auth {\n  unix_listener %s {\n    mode = %s\n    user = %s\n", s.path, s.mode, s.user)
	if s.group != "" {
		text += "    group = " + s.group + "\n"
	}
	return text + "  }\n}\n"
}

const header = "# Portreeve"

const policyText = `
# Portreeve's listen.auth, asked before and after each password check, and told
# how it went. While it does not answer, logins go on.
auth_policy_server_url = %s
auth_policy_check_before_auth = yes
auth_policy_check_after_auth = yes
auth_policy_report_after_auth = yes
%s# The token that Portreeve checks, and a nonce; only root may read them.
!include_try %s
`

const penaltyText = `
# Dovecot's own penalty delays up to 17 s per address; Postfix gives up after
# 10 s and tells everybody behind that address 454. Portreeve limits instead.
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`
