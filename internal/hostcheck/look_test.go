package hostcheck

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portreeve/internal/config"
	"portreeve/internal/listen"
)

// looking is a host whose programs answer with a recorded host's words, or fail.
func looking(t *testing.T, fail map[string]error, o Options) *Host {
	t.Helper()
	w := hostOf(t, "trixie-milter")
	o.Now = noon
	o.Run = func(_ context.Context, name string, args ...string) ([]byte, error) {
		switch {
		case fail[name] != nil:
			return nil, fail[name]
		case name == "postconf" && slices.Contains(args, "-M"):
			return []byte(w.files["postconf-services"]), nil
		case name == "postconf" && slices.Contains(args, "-n"):
			return []byte(w.files["postconf-set"]), nil
		case name == "postconf":
			return []byte(w.files["postconf-names"]), nil
		case name == "dovecot":
			return []byte(w.files["dovecot-version"]), nil
		case slices.Contains(args, "-n"):
			return []byte(w.files["doveconf"]), nil
		}
		return []byte(w.files["doveconf-nonce"]), nil
	}
	c := config.Default()
	c.Path = "/etc/portreeve/portreeve.toml"
	c.Listen.Admin = listen.Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "nobody.sock")}
	return Look(t.Context(), c, nil, o)
}

func TestLook(t *testing.T) {
	h := looking(t, nil, Options{})
	if h.Postfix == nil || len(h.Postfix.Services) != 3 || h.Dovecot == nil || h.Dovecot.Get("auth_policy_hash_nonce") != "of-the-recorded-hosts" || h.Status != nil {
		t.Errorf("postfix %+v, dovecot %+v", h.Postfix, h.Dovecot)
	}
	if r := h.Check(); len(r.NotChecked) == 0 || !strings.HasPrefix(r.NotChecked[0], "the running daemon (the daemon cannot be reached") {
		t.Errorf("not checked %q", r.NotChecked)
	}
	h = looking(t, nil, Options{PostfixDir: None, DovecotConfig: None})
	if h.Postfix != nil || h.Dovecot != nil {
		t.Error("it looks at what is not to be looked at")
	}
	h = looking(t, map[string]error{"postconf": exec.ErrNotFound, "dovecot": exec.ErrNotFound}, Options{})
	want := []string{"Postfix (there is none on this host)", "Dovecot (there is none on this host)"}
	if r := h.Check(); h.Postfix != nil || h.Dovecot != nil || len(r.NotChecked) != 3 || !slices.Equal(r.NotChecked[:2], want) {
		t.Errorf("without the programs: %q", r.NotChecked)
	}
}

// A Postfix that cannot be asked is a problem for anybody, a Dovecot for root.
func TestLookFails(t *testing.T) {
	fail := map[string]error{"postconf": errors.New("exit status 1: main.cf: bad"), "doveconf": errors.New("exit status 89")}
	h := looking(t, fail, Options{})
	r := h.Check()
	if len(r.Findings) == 0 || r.Findings[0].String() != "/etc/portreeve/portreeve.toml: this host's Postfix could not be asked for its configuration (exit status 1: main.cf: bad): run `postconf -n` by hand and mend what it says" {
		t.Errorf("findings %+v", r.Findings)
	}
	const dovecot = "run `doveconf -n` by hand, as root, and mend what it says"
	found := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Remedy == dovecot })
	noted := slices.ContainsFunc(r.NotChecked, func(s string) bool { return strings.HasSuffix(s, dovecot) })
	if found != h.Root || noted == h.Root {
		t.Errorf("as root: %v; findings %+v, not checked %q", h.Root, r.Findings, r.NotChecked)
	}
}
