//go:build real

package integration

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const milterListener = `milter = "unix:{dir}/queue/portreeve/milter.sock"`

// From Debian's own configuration to enforced and back, in the order that setup
// tells, and each step that would break mail refused.
func TestSetupFromDebian(t *testing.T) {
	t.Parallel()
	h := newSetupHost(t, milterListener, nil)
	before := h.snapshot()

	h.want(0, "setup postfix", "--apply would refuse: nobody answers at listen.policy", "+"+h.addr+":submission inet")
	h.want(1, "setup postfix --apply", "refused: nobody answers at listen.milter", "Postfix greets nobody on a port that offers AUTH without it")
	h.same(before, "after a refused apply")

	h.want(0, "setup dovecot --apply --reload", "changed; the old files are in", "done: doveadm", "done: postfix")
	if info, err := os.Stat(h.path("portreeve/token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token: %v %v", info, err)
	}
	h.serve()
	h.want(0, "setup postfix --apply --reload", "changed; the old files are in", "done: postfix", "[x] 3.")
	h.want(0, "check", "no problems")

	observed := h.dial(587)
	observed.auth(`^235 `, account, password)
	observed.expect(`^250 `, "MAIL FROM:<jan.novak@seznam.cz>")
	observed.expect(`^221 `, "QUIT") // an open session would hold the daemon's end up

	h.write("portreeve/portreeve.toml", h.toml("enforce", milterListener), 0o644)
	h.want(0, "reload", "reloaded")
	h.session(587)
	h.session(25)
	guesser := h.dial(587)
	guesser.auth(`^535 `, account, "wrong")
	guesser.expect(`^550 5\.1\.0 \w{22} authentication failed$`, "MAIL FROM:<"+account+">")
	guesser.expect(`^221 `, "QUIT")
	inbound := h.dial(25)
	inbound.expect(`^250 `, "MAIL FROM:<somebody@example.com>")
	inbound.expect(`^250 `, "RCPT TO:<petr@domena.cz>")
	inbound.expect(`^550 .* authentication failed$`, "RCPT TO:<somebody@example.net>")
	inbound.expect(`^221 `, "QUIT")
	h.want(0, "check", "no problems")

	connected := h.snapshot()
	h.want(0, "setup postfix --apply", "nothing to change", "[x] 5.")
	h.want(0, "setup dovecot --apply", "nothing to change")
	h.same(connected, "after a second apply")
	h.broken()
	h.same(connected, "after everything was mended")
	h.takenBack(before)
}

// session is a customer's: the own sender passes, a foreign one does not.
func (h *setupHost) session(port int) {
	h.Helper()
	c := h.dial(port)
	c.auth(`^235 `, account, password)
	c.expect(`^550 5\.1\.0 <jan\.novak@seznam\.cz> sender rejected$`, "MAIL FROM:<jan.novak@seznam.cz>")
	c.expect(`^250 `, "MAIL FROM:<jan.novak@domena.eu>")
	c.expect(`^250 `, "RCPT TO:<somebody@example.net>")
	c.expect(`^354 `, "DATA")
	c.expect(`^250 `, "From: <jan.novak@domena.cz>\r\nSubject: x\r\n\r\ntext\r\n.")
	c.expect(`^221 `, "QUIT")
}

// takenBack undoes all of it, the way back included: an edit is never lost, and
// Dovecot is not taken from a Postfix that asks it.
func (h *setupHost) takenBack(before map[string]string) {
	h.Helper()
	main := h.read("postfix/main.cf")
	h.write("postfix/main.cf", main+"# edited\n", 0o644)
	h.want(1, "setup postfix --undo", "has been changed since setup wrote it, so nothing was put back")
	if got := h.read("postfix/main.cf"); got != main+"# edited\n" {
		h.Errorf("the edit is lost: %q", got)
	}
	h.write("postfix/main.cf", main, 0o644)
	h.want(1, "setup dovecot --undo", "would then greet nobody: run `portreeve setup postfix --undo --reload` first")
	h.want(0, "setup postfix --undo --reload", "put back: "+h.path("postfix/main.cf"), "put back: "+h.path("postfix/master.cf"), "done: postfix")
	h.want(0, "setup postfix --undo", "there is nothing to undo")
	h.want(0, "setup dovecot --undo --reload", "put back: "+h.path("dovecot/conf.d/99-portreeve.conf"), "&& dovecot -c")
	h.want(0, "setup dovecot --undo", "there is nothing to undo")
	h.same(before, "after undo")
	h.dial(25).expect(`^503 `, "AUTH PLAIN AGEAYg==") // as Debian has it
}

// broken breaks the host in one place after another; check says it, and says
// nothing of it when it is mended.
func (h *setupHost) broken() {
	h.Helper()
	postconf := func(args ...string) func() {
		return func() { h.run("postconf", append([]string{"-c", h.path("postfix")}, args...)...) }
	}
	for _, tt := range []struct {
		what      string
		do        func()
		file      string // that is put back
		then      func() // instead
		exit      int
		complaint string
	}{
		{"delay-reject", postconf("-e", "smtpd_delay_reject=no"), "postfix/main.cf", nil, 1, "smtpd_delay_reject = no"},
		{"soft-bounce", postconf("-e", "soft_bounce=yes"), "postfix/main.cf", nil, 1, "soft_bounce = yes"},
		{"xclient", postconf("-e", "smtpd_authorized_xclient_hosts=192.0.2.1"), "postfix/main.cf", nil, 0, "192.0.2.1 may claim any address"},
		{"milter-main", postconf("-e", "smtpd_milters=unix:portreeve/milter.sock"), "postfix/main.cf", nil, 1, "smtpd_milters names Portreeve's milter for every service"},
		{"networks", postconf("-e", "mynetworks=127.0.0.1/32 192.0.2.0/24"), "postfix/main.cf", nil, 1, "mynetworks has 192.0.2.0/24"},
		{"domains", postconf("-e", "virtual_mailbox_domains=domena.cz nova.cz"), "postfix/main.cf", nil, 1, "virtual_mailbox_domains has nova.cz"},
		{"tls", postconf("-e", "smtpd_tls_cert_file="), "postfix/main.cf", nil, 1, "should offer TLS, but has no certificate"},
		{"sasl", postconf("-e", "smtpd_sasl_path=private/nobody"), "postfix/main.cf", nil, 1, "but Dovecot has no socket there"},
		{"milter", postconf("-P", h.addr+":submission/inet/smtpd_milters="), "postfix/master.cf", nil, 1, "does not ask Portreeve's milter"},
		{"milter-action", postconf("-P", h.addr+":smtp/inet/milter_default_action=tempfail"), "postfix/master.cf", nil, 1, `answers mail from other servers with "tempfail"`},
		{"policy-order", postconf("-e", "portreeve_mx_relay=permit_sasl_authenticated, permit_auth_destination, check_policy_service { unix:portreeve/policy.sock, policy_context=relay }, reject"), "postfix/main.cf", nil, 1, "permit_sasl_authenticated stands ahead of the policy service"},
		{"rights", func() { h.must(os.Chmod(h.path("queue/portreeve"), 0o700)) }, "", func() { h.must(os.Chmod(h.path("queue/portreeve"), 0o750)) }, 1, "the user postfix may not enter " + h.path("queue/portreeve")},
		{"anvil", func() { h.edit("dovecot/conf.d/99-portreeve.conf", "mode = 0\n", "mode = 0600\n") }, "dovecot/conf.d/99-portreeve.conf", nil, 1, "Dovecot's own penalty is on"},
		{"token", func() { h.edit("dovecot/conf.d/portreeve-token.conf.ext", "X-Api-Key: ", "X-Api-Key: x") }, "dovecot/conf.d/portreeve-token.conf.ext", nil, 1, "auth_policy_server_api_header is not the token"},
		{"ports", func() {
			h.write("postfix/master.cf", h.read("postfix/master.cf")+"2525 inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n", 0o644)
		}, "postfix/master.cf", nil, 1, "offers AUTH, but port 2525 is neither"},
		{"comment", postconf("-e", "smtpd_helo_restrictions=permit_mynetworks # ours"), "postfix/main.cf", nil, 1, `smtpd_helo_restrictions of ` + h.addr + `:smtp/inet: "#" begins no comment`},
		{"certificate", postconf("-e", "smtpd_tls_cert_file=/etc/ssl/gone.pem"), "postfix/main.cf", nil, 1, "is /etc/ssl/gone.pem, which does not exist"},
		{"open relay", postconf("-e", "portreeve_submission_relay=permit_mynetworks, check_policy_service { unix:portreeve/policy.sock, policy_context=relay, default_action=OK }, permit_sasl_authenticated, reject"), "postfix/main.cf", nil, 1, "lets everybody relay (default_action=OK)"},
		{"auth socket", func() { h.must(os.Chown(h.path("queue/private/auth"), 0, 0)) }, "", func() { h.run("chown", "postfix:postfix", h.path("queue/private/auth")) }, 1, "the user postfix may not write to " + h.path("queue/private/auth")},
		{"no policy", func() {
			h.edit("dovecot/conf.d/99-portreeve.conf", "auth_policy_server_url", "#auth_policy_server_url")
		}, "dovecot/conf.d/99-portreeve.conf", nil, 1, "Dovecot asks no auth policy server"},
		{"no daemon", h.stop, "", h.serve, 1, "nobody answers at listen.policy"},
	} {
		text := ""
		if tt.file != "" {
			text = h.read(tt.file)
		}
		tt.do()
		h.Logf("broken: %s", tt.what)
		h.want(tt.exit, "check", tt.complaint)
		if tt.file != "" {
			info, err := os.Stat(h.path(tt.file))
			h.must(err)
			h.write(tt.file, text, info.Mode())
		} else {
			tt.then()
		}
		if out := h.portreeve(0, "check"); strings.Contains(out, tt.complaint) {
			h.Errorf("%s, mended: %s", tt.what, out)
		}
	}
	h.nobodys()
}

// nobodys check says what it could not look at, and shows no token.
func (h *setupHost) nobodys() {
	h.Helper()
	h.must(os.Chmod(h.path("portreeve/token"), 0o644)) // or the configuration itself has a problem
	defer func() { h.must(os.Chmod(h.path("portreeve/token"), 0o600)) }()
	asNobody := func(exit int, args ...string) []byte {
		cmd := exec.CommandContext(h.Context(), host.Program, append(args, "--config", h.path("portreeve/portreeve.toml"),
			"--postfix-config-dir", h.path("postfix"), "--dovecot-config", h.path("dovecot/dovecot.conf"))...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/bin:/bin"} // without the sbin that Postfix is in
		out, err := cmd.CombinedOutput()
		if err == nil && exit != 0 || cmd.ProcessState.ExitCode() != exit {
			h.Errorf("nobody's %q: %v: %s", args, err, out)
		}
		return out
	}
	for _, args := range [][]string{{"setup", "dovecot"}, {"setup", "postfix", "--undo"}} {
		if out := asNobody(2, args...); !strings.HasSuffix(strings.TrimSpace(string(out)), "run this as root") {
			h.Errorf("nobody's %q says %q", args, out)
		}
	}
	out := asNobody(1, "check") // the token that everybody can read
	for _, want := range []string{"not checked: the running daemon", "everybody on this host can read the token", "run this as root"} {
		if !strings.Contains(string(out), want) {
			h.Errorf("nobody's check says\n%s\nand not %q", out, want)
		}
	}
	if token := strings.TrimSpace(h.read("portreeve/token")); strings.Contains(string(out), token) {
		h.Error("the token is shown")
	}
}

// A host with a life of its own keeps it: other milters, which need not answer,
// Debian's sample of submission, lists, and a re-injection port.
func TestSetupKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	h := newSetupHost(t, milterListener+"\n", func(h *setupHost) {
		h.run("postconf", "-c", h.path("postfix"), "-e", "smtpd_milters=inet:127.0.0.1:8891", "non_smtpd_milters=inet:127.0.0.1:8891",
			"milter_default_action=accept", "smtpd_sasl_type=dovecot", "smtpd_sasl_path=private/auth",
			"smtpd_relay_restrictions=permit_sasl_authenticated, permit_mynetworks, reject_unauth_destination",
			"smtpd_recipient_restrictions=reject_non_fqdn_recipient, reject_unlisted_recipient",
			"smtpd_data_restrictions=reject_unauth_pipelining, permit")
		h.run("sed", "-i", "-e", `/^#submission inet/,/^# Choose one/{/^# Choose one/!s/^#\(submission inet\|  -o\)/\1/}`, "-e", `s/^submission inet/`+h.addr+`:submission inet/`,
			"-e", "s/smtpd_tls_security_level=encrypt/smtpd_tls_security_level=may/", "-e", "s/smtpd_tls_auth_only=yes/smtpd_tls_auth_only=no/", h.path("postfix/master.cf"))
		h.write("dovecot/conf.d/20-host.conf", h.read("dovecot/conf.d/20-host.conf")+"service auth {\n  unix_listener "+h.path("queue/private/auth")+" {\n    mode = 0660\n    user = postfix\n  }\n}\n", 0o644)
		h.write("postfix/master.cf", h.read("postfix/master.cf")+h.addr+":10025 inet n - n - - smtpd\n  -o smtpd_milters= -o smtpd_relay_restrictions=permit_mynetworks,reject\n", 0o644)
	})
	before := h.snapshot()
	h.portreeve(0, "setup", "dovecot", "--apply", "--reload")
	if text := h.read("dovecot/conf.d/99-portreeve.conf"); strings.Contains(text, "unix_listener "+h.dir) {
		t.Errorf("a socket that is there is made again:\n%s", text)
	}
	h.serve()
	h.portreeve(0, "setup", "postfix", "--apply", "--reload")
	h.want(0, "check", "no problems")
	h.write("portreeve/portreeve.toml", h.toml("enforce", milterListener), 0o644)
	h.portreeve(0, "reload")
	h.session(25)
	h.session(587)
	h.dial(25).expect(`^250 `, "MAIL FROM:<>")
	master := h.run("postconf", "-c", h.path("postfix"), "-P")
	for _, want := range []string{
		":submission/inet/smtpd_milters = { unix:portreeve/milter.sock, default_action=tempfail }, inet:127.0.0.1:8891\n",
		":smtp/inet/smtpd_milters = { unix:portreeve/milter.sock, default_action=accept }, inet:127.0.0.1:8891\n",
		":10025/inet/smtpd_milters = \n",
	} {
		if !strings.Contains(master, want) && !strings.Contains(master, strings.TrimSuffix(want, " \n")+"\n") {
			t.Errorf("postconf -P says\n%s\nand not %q", master, want)
		}
	}
	h.want(0, "setup postfix --apply", "nothing to change")
	h.portreeve(0, "setup", "postfix", "--undo", "--reload")
	h.portreeve(0, "setup", "dovecot", "--undo", "--reload")
	h.same(before, "after undo")
}

// The recipe without a milter, from Debian's own configuration.
func TestSetupPolicyOnly(t *testing.T) {
	t.Parallel()
	h := newSetupHost(t, `milter = ""`, nil)
	before := h.snapshot()
	h.portreeve(0, "setup", "dovecot", "--apply", "--reload")
	h.write("portreeve/portreeve.toml", h.toml("enforce", `milter = ""`), 0o644)
	h.serve()
	h.want(1, "setup postfix --apply --recipe milter", "refused: listen.milter is off")
	h.want(1, "setup postfix --apply", "refused: Portreeve would refuse from the first message on")
	h.want(0, "setup postfix --apply --enforce --reload", "changed;")
	h.want(0, "check", "no problems")
	c := h.dial(587)
	c.auth(`^235 `, account, password)
	c.expect(`^250 `, "MAIL FROM:<jan.novak@seznam.cz>")
	c.expect(`^550 5\.1\.0 <jan\.novak@seznam\.cz>: Sender address rejected: <jan\.novak@seznam\.cz> sender rejected$`, "RCPT TO:<somebody@example.net>")
	own := h.dial(587)
	own.auth(`^235 `, account, password)
	own.expect(`^250 `, "MAIL FROM:<"+account+">")
	own.expect(`^250 `, "RCPT TO:<somebody@example.net>")
	h.want(0, "setup postfix --apply", "nothing to change")
	h.portreeve(0, "setup", "postfix", "--undo", "--reload")
	h.portreeve(0, "setup", "dovecot", "--undo", "--reload")
	h.same(before, "after undo")
}
