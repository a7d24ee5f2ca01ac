package directory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// FuzzBuild: no text does harm, each problem is one line with a remedy, and a
// file without problems has canonical keys only.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/spec.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		doc, problems := tomlfile.Parse("accounts.toml", []byte(text))
		var file *File
		if doc != nil {
			file, problems = build(doc, rules.Logins{})
		}
		for _, p := range problems {
			if p.What == "" || p.Remedy == "" || strings.ContainsAny(p.String(), "\r\n\x00") {
				t.Errorf("bad problem %+v", p)
			}
		}
		if (file == nil) != (len(problems) > 0) {
			t.Fatalf("file %v with %d problems", file != nil, len(problems))
		}
		if file != nil {
			canonicalKeys(t, file)
		}
	})
}

func canonicalKeys(t *testing.T, f *File) {
	for login, a := range f.accounts {
		if c, ok := (rules.Logins{}).Canonical(login); !ok || c != login || a.Login != login {
			t.Errorf("account %q is canonically %q (%v), and has the login %q", login, c, ok, a.Login)
		}
		if f.groups[rules.DomainOf(login)] == nil {
			t.Errorf("account %q is in no domain", login)
		}
		for _, address := range append(f.addresses[login], f.senders[login]...) {
			if c, ok := canonicalSender(address); !ok || c != address {
				t.Errorf("address %q is canonically %q (%v)", address, c, ok)
			}
		}
	}
	for domain, group := range f.groups {
		if c, err := rules.CanonicalDomain(domain); err != nil || c != domain {
			t.Errorf("domain %q is canonically %q (%v)", domain, c, err)
		}
		if !strings.Contains(" "+strings.Join(group, " ")+" ", " "+domain+" ") {
			t.Errorf("domain %q is not in its own group %q", domain, group)
		}
	}
}
