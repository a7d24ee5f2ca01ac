package setup

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/config"
	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/listen"
)

// dovecotHost is a recorded host's Dovecot, whose settings a test changes.
type dovecotHost struct {
	t     *testing.T
	in    DovecotInput
	files map[string]string // by path
}

func dovecotOf(t *testing.T, name string) *dovecotHost {
	t.Helper()
	files := recorded(t, name)
	h := &dovecotHost{t: t, files: map[string]string{}}
	h.in = DovecotInput{
		Portreeve: portreeve(), Dovecot: dovecotConf(t, files), Main: files["dovecot.conf"],
		Queue: "/var/spool/postfix", SASLPath: "/var/spool/postfix/private/auth",
		Token: "of-the-recorded-hosts", Nonce: "a-new-nonce", User: "portreeve", UID: 999, GID: 998,
	}
	for _, f := range []string{dropInName, tokenName} {
		if text, ok := files[f]; ok {
			h.files["/etc/dovecot/conf.d/"+f] = text
		}
	}
	h.in.Read = func(path string) (string, bool) { text, ok := h.files[path]; return text, ok }
	return h
}

func (h *dovecotHost) plan() map[string]Change {
	h.t.Helper()
	p := PlanDovecot(h.in)
	if len(p.Blockers) > 0 {
		h.t.Fatalf("blockers %q", p.Blockers)
	}
	changes := map[string]Change{}
	for _, c := range p.Changes {
		for _, secret := range []string{"of-the-recorded-hosts", "a-new-nonce", "another-token"} {
			if strings.Contains(c.Diff, secret) {
				h.t.Errorf("the diff shows a secret:\n%s", c.Diff)
			}
		}
		changes[filepath.Base(c.Path)] = c
	}
	return changes
}

// What is written for Debian is what real Dovecots were recorded with, and
// nothing is written twice.
func TestDovecotOfDebian(t *testing.T) {
	for _, release := range releases {
		want := recorded(t, release+"-milter")
		h := dovecotOf(t, release+"-default")
		changes := h.plan()
		if got := changes[dropInName]; got.text != want[dropInName] || !got.New || got.Mode != 0o644 || got.Path != "/etc/dovecot/conf.d/"+dropInName {
			t.Errorf("%s: %+v", release, got)
		}
		if got := changes[tokenName]; got.Mode != 0o600 || got.text != strings.Replace(want[tokenName], "= of-the-recorded-hosts\n", "= a-new-nonce\n", 1) {
			t.Errorf("%s: %+v", release, got)
		}
		if len(changes) != 2 {
			t.Errorf("%s: %d files", release, len(changes))
		}
		if again := dovecotOf(t, release+"-milter").plan(); len(again) > 0 {
			t.Errorf("%s: a second plan changes %v", release, again)
		}
	}
}

// Each host is one thing away from being right, and only that is mended.
func TestDovecotIsMended(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(h *dovecotHost)
		file   string
		has    string
	}{
		"another token": {func(h *dovecotHost) { h.in.Token = "another-token" }, tokenName, "X-Api-Key: another-token\nauth_policy_hash_nonce = of-the-recorded-hosts\n"},
		"no nonce":      {func(h *dovecotHost) { h.nonce(""); h.files["/etc/dovecot/conf.d/"+tokenName] = "" }, tokenName, "nonce = a-new-nonce\n"},
		"the public nonce": {func(h *dovecotHost) {
			h.nonce("portreeve")
			h.files["/etc/dovecot/conf.d/"+tokenName] = "auth_policy_hash_nonce = portreeve\n"
		}, tokenName, "nonce = a-new-nonce\n"},
		"no check before": {func(h *dovecotHost) {
			h.set("auth_policy_check_before_auth", "no")
			delete(h.files, "/etc/dovecot/conf.d/"+dropInName)
		}, dropInName, "check_before_auth = yes"},
		"a fourth mechanism": {func(h *dovecotHost) {
			h.set("auth_mechanisms", "plain oauthbearer")
			delete(h.files, "/etc/dovecot/conf.d/"+dropInName)
		}, dropInName, "auth_mechanisms = plain oauthbearer login\n"},
		"only logging": {func(h *dovecotHost) {
			h.set("auth_policy_log_only", "yes")
			delete(h.files, "/etc/dovecot/conf.d/"+dropInName)
		}, dropInName, "auth_policy_log_only = no\n"},
		"the penalty":   {func(h *dovecotHost) { h.drop("anvil"); delete(h.files, "/etc/dovecot/conf.d/"+dropInName) }, dropInName, "anvil-auth-penalty {\n    mode = 0\n"},
		"another queue": {func(h *dovecotHost) { h.in.SASLPath = "/srv/mail/private/auth" }, dropInName, "unix_listener /srv/mail/private/auth {\n    mode = 0660\n    user = postfix\n    group = postfix\n"},
		"the relay": {func(h *dovecotHost) {
			h.in.Portreeve.Listen.SASL = listen.Address{Network: "unix", Addr: "/var/spool/postfix/portreeve/sasl.sock"}
			h.in.Portreeve.SASL.Upstream = listen.Address{Network: "unix", Addr: "/run/dovecot/auth-portreeve"}
			h.in.SASLPath = ""
		}, dropInName, "unix_listener /run/dovecot/auth-portreeve {\n    mode = 0600\n    user = portreeve\n  }"},
	} {
		h := dovecotOf(t, "trixie-milter")
		tt.change(h)
		changes := h.plan()
		if c, ok := changes[tt.file]; !ok || !strings.Contains(c.text, tt.has) {
			t.Errorf("%s: %s becomes %q, want %q", name, tt.file, c.text, tt.has)
		}
	}
}

func (h *dovecotHost) set(name, value string) { h.in.Dovecot.Settings[name] = value }
func (h *dovecotHost) nonce(value string)     { h.set("auth_policy_hash_nonce", value) }

// drop removes a service.
func (h *dovecotHost) drop(service string) {
	var rest []dovecot.Section
	for _, s := range h.in.Dovecot.Sections {
		if s.Name != service {
			rest = append(rest, s)
		}
	}
	h.in.Dovecot.Sections = rest
}

// A drop-in that must be written again keeps what it had set: nothing is
// missing only because of it.
func TestDropInKeepsItsSettings(t *testing.T) {
	h := dovecotOf(t, "bookworm-milter")
	h.set("auth_policy_check_after_auth", "no")
	old := h.files["/etc/dovecot/conf.d/"+dropInName]
	h.files["/etc/dovecot/conf.d/"+dropInName] = strings.Replace(old, "check_after_auth = yes", "check_after_auth = no", 1)
	if got := h.plan()[dropInName].text; got != old {
		t.Errorf("got %q", got)
	}
}

func TestDovecotPlace(t *testing.T) {
	for main, want := range map[string]string{
		"!include conf.d/*.conf\n!include_try local.conf\n": "/etc/dovecot/conf.d/99-portreeve.conf",
		"!include /etc/dovecot/conf.d/*.conf\n":             "/etc/dovecot/conf.d/99-portreeve.conf",
		"# !include conf.d/*.conf\n!include_try local.conf": "/etc/dovecot/local.conf",
		"mail_driver = maildir":                             "/etc/dovecot/portreeve.conf +",
		"!include_try portreeve.conf\n":                     "/etc/dovecot/portreeve.conf",
	} {
		h := dovecotOf(t, "trixie-default")
		h.in.Main = main
		changes := h.plan()
		got := ""
		for _, c := range changes {
			if c.Mode == 0o644 {
				got = c.Path
			}
		}
		if c, ok := changes["dovecot.conf"]; ok {
			got += " +"
			if c.text != main+"\n!include portreeve.conf\n" {
				t.Errorf("dovecot.conf becomes %q", c.text)
			}
		}
		if _, ok := changes[tokenName]; got != want || !ok {
			t.Errorf("%q: %s, want %s", main, got, want)
		}
	}
	h := dovecotOf(t, "trixie-default")
	h.in.Main = "!include_try local.conf\n"
	h.files["/etc/dovecot/local.conf"] = "mail_debug = yes\n"
	if _, ok := h.plan()["portreeve.conf"]; !ok {
		t.Error("the administrator's local.conf is not left alone")
	}
}

func TestNewToken(t *testing.T) {
	h := dovecotOf(t, "trixie-default")
	h.in.NewToken = true
	p := PlanDovecot(h.in)
	if c := p.Changes[0]; c.Path != "/etc/portreeve/token" || c.text != "of-the-recorded-hosts\n" || c.Mode != 0o600 || c.uid != 999 || c.gid != 998 || !c.keep {
		t.Errorf("%+v", c)
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "for the user portreeve") {
		t.Errorf("notes %q", p.Notes)
	}
}

// Without listen.auth the log or the relay tells: there is no policy to write.
func TestDovecotWithoutAuthPolicy(t *testing.T) {
	h := dovecotOf(t, "bookworm-default")
	h.in.Portreeve.Listen.Auth = listen.Address{}
	h.in.Portreeve.Maillog.Files = []string{"/var/log/mail.log"}
	changes := h.plan()
	if text := changes[dropInName].text; len(changes) != 1 || strings.Contains(text, "auth_policy") || !strings.Contains(text, "anvil-auth-penalty") {
		t.Errorf("%+v", changes)
	}
	h.set("ssl", "no")
	if p := PlanDovecot(h.in); len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "ssl = no") {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestDovecotBlockers(t *testing.T) {
	for want, change := range map[string]func(h *dovecotHost){
		"Dovecot 2.2.36 is not known":    func(h *dovecotHost) { h.in.Dovecot.Version = "2.2.36" },
		"nobody would tell Portreeve":    func(h *dovecotHost) { h.in.Portreeve.Listen = config.Listen{} },
		"says what it should, but Dovec": func(h *dovecotHost) { *h = *dovecotOf(t, "trixie-milter"); h.nonce("") },
		"another auth policy server alr": func(h *dovecotHost) { h.set("auth_policy_server_url", "http://10.0.0.1:4001/") },
	} {
		h := dovecotOf(t, "trixie-default")
		h.in.Dovecot.Settings = maps.Clone(h.in.Dovecot.Settings)
		change(h)
		if p := PlanDovecot(h.in); len(p.Blockers) != 1 || !strings.Contains(p.Blockers[0], want) || len(p.Changes) > 0 {
			t.Errorf("%q: %q", want, p.Blockers)
		}
	}
}
