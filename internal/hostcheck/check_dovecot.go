package hostcheck

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"portreeve/internal/config"
	"portreeve/internal/listen"
)

const remedyDovecot = "look at what `portreeve setup dovecot` proposes"

// PublicNonce is the one in contrib/dovecot, which everybody knows.
const PublicNonce = "portreeve"

// PolicyURL tells whether a URL leads to listen.auth.
func (h *Host) PolicyURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "80"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return SameAddress("tcp", host+":"+port, h.Config.Listen.Auth)
}

func checkAuthPolicy(h *Host, r *Report) {
	d, l := h.Dovecot, h.Config.Listen
	if l.Auth.Addr == "" {
		if l.SASL.Addr == "" && len(h.Config.Maillog.Files) == 0 && h.Connected() {
			r.advice(h.Config.Path, "nobody tells of failed logins, so no client will be blocked", "set listen.auth, and "+remedyDovecot)
		}
		return
	}
	if d == nil {
		return
	}
	asked := d.Get("auth_policy_server_url")
	switch {
	case asked == "":
		r.problem(d.Path, "Dovecot asks no auth policy server, so failed logins and POP logins are told by nobody", remedyDovecot)
		return
	case !h.PolicyURL(asked):
		r.problem(d.Path, fmt.Sprintf("auth_policy_server_url = %s, but listen.auth is %s", asked, l.Auth), "name the same place in both")
		return
	}
	for _, name := range []string{"auth_policy_check_before_auth", "auth_policy_check_after_auth", "auth_policy_report_after_auth"} {
		if d.Get(name) == "no" {
			r.problem(d.Path, name+" = no: "+policySteps[name], "set it to yes")
		}
	}
	if d.Get("auth_policy_log_only") == "yes" {
		r.problem(d.Path, "auth_policy_log_only = yes: Dovecot refuses nobody whom Portreeve refuses", "set it to no; Portreeve can observe by itself")
	}
	if attributes := d.Get("auth_policy_request_attributes"); attributes != "" {
		for _, name := range []string{"login", "remote", "protocol"} {
			if !strings.Contains(" "+attributes, " "+name+"=") {
				r.problem(d.Path, "auth_policy_request_attributes has no "+name+"=, without which Portreeve understands no request", "leave the setting at its default")
			}
		}
	}
	h.nonce(r)
}

var policySteps = map[string]string{
	"auth_policy_check_before_auth": "a blocked client is not refused at AUTH",
	"auth_policy_check_after_auth":  "a block that began during a login is not seen",
	"auth_policy_report_after_auth": "failed logins and POP logins are told by nobody",
}

// nonce: without one Dovecot sends nothing. It may stand in a file that only
// root may read.
func (h *Host) nonce(r *Report) {
	nonce := h.Dovecot.Get("auth_policy_hash_nonce")
	switch {
	case !h.Root:
		r.skipped("Dovecot's nonce and token: run this as root")
	case nonce == "":
		r.problem(h.Dovecot.Path, "auth_policy_hash_nonce is empty, and Dovecot sends no policy request without it", remedyDovecot)
	case nonce == PublicNonce:
		r.advice(h.Dovecot.Path, "auth_policy_hash_nonce is that of the example, so the short password hashes can be compared with other hosts'", remedyDovecot)
	}
}

// shortToken is the length below which a token can be guessed by trying.
const shortToken = 16

// checkToken never shows a token.
func checkToken(h *Host, r *Report) {
	c := h.Config
	ownToken(r, c.Listen.Auth, c.AuthPolicy.Token, c.AuthPolicy.TokenFile, "then `portreeve reload`, and "+remedyDovecot)
	ownToken(r, c.Listen.Web, c.Web.Token, c.Web.TokenFile, "then `portreeve reload`")
	token := string(c.AuthPolicy.Token)
	if token == "" || c.Listen.Auth.Addr == "" {
		return
	}
	d := h.Dovecot
	if d == nil || !h.PolicyURL(d.Get("auth_policy_server_url")) {
		return
	}
	header := d.Get("auth_policy_server_api_header")
	switch {
	case header == "X-Api-Key: "+token:
	case !h.Root:
		return // noted with the nonce
	case header == "":
		r.problem(d.Path, "auth_policy_server_api_header is empty, so Portreeve answers Dovecot nothing and everybody is let in", remedyDovecot)
	default:
		r.problem(d.Path, "auth_policy_server_api_header is not the token of auth_policy.token_file, so Portreeve answers Dovecot nothing and everybody is let in", remedyDovecot)
	}
	for _, path := range publicFiles(filepath.Dir(d.Path)) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), token) {
			r.problem(path, "everybody on this host can read the token in it", "put it into a file that only root may read; "+remedyDovecot)
		}
	}
}

// ownToken looks at a token of ours: who may read it, and whether it can be guessed.
func ownToken(r *Report, on listen.Address, token config.Secret, file, next string) {
	if token == "" || on.Addr == "" {
		return
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
		r.problem(file, "everybody on this host can read the token", "chmod o= "+file)
	}
	if len(token) < shortToken {
		r.advice(file, fmt.Sprintf("the token has fewer than %d characters, so it can be guessed", shortToken),
			"openssl rand -hex 24 > "+file+", "+next)
	}
}

// publicFiles lists the configuration files that everybody may read. They are
// small; what is not has another purpose.
func publicFiles(dir string) []string {
	var list []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || len(list) > 1000 {
			return nil //nolint:nilerr // what we may not enter, others may not either
		}
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 && info.Size() < 1<<20 {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return list
}

// checkAnvil: FACTS.md 2.7.
func checkAnvil(h *Host, r *Report) {
	if h.Dovecot == nil || h.Dovecot.PenaltyOff() {
		return
	}
	for _, s := range h.guarded() {
		if s.Yes("smtpd_sasl_auth_enable") && s.Get("smtpd_sasl_type") == "dovecot" {
			r.problem(h.Dovecot.Path, "Dovecot's own penalty is on: after a few wrong passwords everybody behind that address waits, and is told 454", remedyDovecot)
			return
		}
	}
}
