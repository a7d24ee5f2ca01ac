package setup

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"portreeve/internal/config"
	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

var releases = []string{"bookworm", "trixie"}

// recorded is one host of hostcheck's records, by the names of its files.
func recorded(t *testing.T, name string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile("../hostcheck/testdata/hosts/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// portreeve is the configuration that the records were made with.
func portreeve() *config.Config {
	c := config.Default()
	c.Path = "/etc/portreeve/portreeve.toml"
	c.Listen.Auth = listen.Address{Network: "tcp", Addr: "127.0.0.1:9192"}
	c.AuthPolicy.TokenFile = "/etc/portreeve/token"
	c.AuthPolicy.Token = "of-the-recorded-hosts"
	return c
}

// conf is the configuration that Postfix would have with other texts: what
// main.cf sets is expanded as postconf -x does.
func conf(t *testing.T, files map[string]string) *postfix.Config {
	t.Helper()
	c := postfix.New("/etc/postfix", files["postconf-names"], files["master.cf"])
	main := postfix.ParseMain(files["main.cf"])
	all := maps.Clone(c.Main)
	for line := range strings.Lines(files["main.cf"]) {
		if name, _, ok := postfix.Assignment(line); ok && !strings.ContainsAny(line[:1], " \t#") {
			all[name] = main.Value(name)
		}
	}
	for name, value := range all {
		text, err := postfix.Expand(value, func(n string) (string, bool) { v, ok := all[n]; return v, ok })
		if err != nil {
			t.Fatalf("%s = %q: %v", name, value, err)
		}
		c.Main[name] = strings.Join(strings.Fields(text), " ")
	}
	return c
}

// host is one whose files a test changes.
type host struct {
	*testing.T
	files map[string]string
	conf  *config.Config
	in    PostfixInput
}

func hostOf(t *testing.T, name string) *host {
	return &host{T: t, files: recorded(t, name), conf: portreeve()}
}

// main replaces a text in main.cf, or adds a line where the old one is empty.
func (h *host) main(old, now string) *host   { return h.edit("main.cf", old, now) }
func (h *host) master(old, now string) *host { return h.edit("master.cf", old, now) }

func (h *host) edit(file, old, now string) *host {
	h.Helper()
	switch {
	case old == "":
		h.files[file] += now + "\n"
	case strings.Count(h.files[file], old) != 1:
		h.Fatalf("%s has %q %d times", file, old, strings.Count(h.files[file], old))
	default:
		h.files[file] = strings.Replace(h.files[file], old, now, 1)
	}
	return h
}

// plan plans for Postfix.
func (h *host) plan() *Plan {
	h.Helper()
	in := h.in
	in.Portreeve, in.Postfix, in.Main, in.Master = h.conf, conf(h.T, h.files), h.files["main.cf"], h.files["master.cf"]
	return PlanPostfix(in)
}

// apply carries the plan out on the texts, and wants a second one to be empty.
func (h *host) apply() *Plan {
	h.Helper()
	p := h.plan()
	if len(p.Blockers) > 0 {
		h.Fatalf("blockers: %q", p.Blockers)
	}
	h.carry(p)
	if again := h.plan(); len(again.Changes)+len(again.Blockers) > 0 {
		for _, c := range again.Changes {
			h.Errorf("a second plan still changes %s", c.Diff)
		}
		h.Errorf("a second plan has blockers %q", again.Blockers)
	}
	return p
}

func (h *host) carry(p *Plan) {
	for _, c := range p.Changes {
		h.files[filepath.Base(c.Path)] = c.text
	}
}

// service finds one by name after a plan.
func (h *host) service(name string) *postfix.Service {
	h.Helper()
	for _, s := range conf(h.T, h.files).Services {
		if s.Name == name {
			return s
		}
	}
	h.Fatalf("there is no service %s", name)
	return nil
}

// value is a parameter of a service, its white space made one.
func (h *host) value(service, name string) string {
	h.Helper()
	v, err := h.service(service).Value(name)
	if err != nil {
		h.Error(err)
	}
	return strings.Join(strings.Fields(v), " ")
}

func dovecotConf(t *testing.T, files map[string]string) *dovecot.Config {
	t.Helper()
	c, err := dovecot.New(files["dovecot-version"], files["doveconf"])
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := dovecot.New(files["dovecot-version"], files["doveconf-nonce"])
	if err != nil {
		t.Fatal(err)
	}
	c.Settings["auth_policy_hash_nonce"] = nonce.Settings["auth_policy_hash_nonce"]
	return c
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
