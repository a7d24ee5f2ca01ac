package dovecot

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

func recorded(t *testing.T, name string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("../testdata/hosts/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// Both series show the same host in their own way.
func TestBothSeries(t *testing.T) {
	for release, series := range map[string]string{"bookworm": "2.3", "trixie": "2.4"} {
		files := recorded(t, release+"-milter")
		var asked []string
		run := func(_ context.Context, name string, args ...string) ([]byte, error) {
			asked = append(asked, name+" "+strings.Join(args, " "))
			switch {
			case name == "dovecot":
				return []byte(files["dovecot-version"]), nil
			case slices.Contains(args, "-n"):
				return []byte(files["doveconf"]), nil
			}
			return []byte(files["doveconf-nonce"]), nil
		}
		c, err := Load(t.Context(), run, "")
		if err != nil {
			t.Fatal(err)
		}
		if !c.Is(series) || c.Is("2.2") || c.Path != "/etc/dovecot/dovecot.conf" {
			t.Errorf("%s: version %s, path %s", release, c.Version, c.Path)
		}
		for name, want := range map[string]string{
			"auth_policy_server_url": "http://127.0.0.1:9192/", "auth_policy_server_api_header": "X-Api-Key: of-the-recorded-hosts",
			"auth_policy_hash_nonce": "of-the-recorded-hosts", "auth_policy_check_before_auth": "yes", "ssl": "yes", "nosuch": "",
		} {
			if got := c.Get(name); got != want {
				t.Errorf("%s: %s is %q", release, name, got)
			}
		}
		if m := c.Words("auth_mechanisms"); !slices.Equal(m, []string{"plain", "login"}) {
			t.Errorf("%s: mechanisms %q", release, m)
		}
		if p := c.Protocols(); !slices.Equal(p, []string{"imap", "pop3"}) {
			t.Errorf("%s: protocols %q", release, p)
		}
		l, ok := c.Listener("auth", "/var/spool/postfix/private/auth")
		if mode, set := l.Mode(); !ok || !set || mode != 0o660 || l.Settings["user"] != "postfix" || !c.PenaltyOff() {
			t.Errorf("%s: listener %+v, penalty off %v", release, l, c.PenaltyOff())
		}
		for _, a := range asked {
			if strings.Contains(a, "-P") && !strings.Contains(a, "auth_policy") {
				t.Errorf("%s: %q would show private keys", release, a)
			}
		}
		if bare, err := New(files["dovecot-version"], recorded(t, release+"-default")["doveconf"]); err != nil || bare.PenaltyOff() || bare.Get("auth_policy_server_url") != "" {
			t.Errorf("%s: Debian's own: %+v %v", release, bare, err)
		}
	}
}

func TestLoadFails(t *testing.T) {
	none := func(context.Context, string, ...string) ([]byte, error) { return nil, exec.ErrNotFound }
	if _, err := Load(t.Context(), none, ""); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no Dovecot: %v", err)
	}
	for _, text := range []string{"}", "a {", strings.Repeat("a {\n", 100) + strings.Repeat("}\n", 100)} {
		run := func(context.Context, string, ...string) ([]byte, error) { return []byte(text), nil }
		if _, err := Load(t.Context(), run, "/x"); err == nil {
			t.Errorf("%.20q is read", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a = b\nservice auth {\n  unix_listener x {\n    mode = 0\n  }\n}\n")
	f.Add("auth_policy {\n  request_attributes {\n    a = %{b}\n  }\n}\n# c\n")
	f.Add("mailbox \"Sent Messages\" {\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := New("2.4.1", text)
		if err != nil {
			return
		}
		c.PenaltyOff()
		c.Protocols()
		for _, s := range c.Sections {
			if _, ok := c.Listener(s.Kind, s.Name); ok && s.Kind != "service" && len(c.Sections) == 1 {
				t.Errorf("a listener in %q", text)
			}
		}
	})
}
