package replay

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/internal/config"
	"portreeve/internal/gate"
)

// noon is when the replays of the tests are run.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// cast is the accounts of most tests.
const cast = `
[domains]
"domena.cz" = { aliases = ["domena.eu"] }
"firma.cz" = {}
"b.cz" = {}
[accounts]
"jan@domena.cz" = {}
"eva@domena.cz" = { smtp = false }
"petr@domena.cz" = {}
"info@firma.cz" = { senders = ["majitel@seznam.cz"] }
"karel@b.cz" = {}
`

// options make a replay of log text under a configuration.
func options(t testing.TB, settings, accounts string, logs ...string) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "portreeve.toml")
	write(t, path, settings+"\n[directory]\nfile = \"accounts.toml\"\n")
	write(t, filepath.Join(dir, "accounts.toml"), accounts)
	write(t, filepath.Join(dir, "token"), "of-the-tests")
	c, problems := config.Load(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	file, problems := directory.OpenFile(c.Directory.File, c.Logins())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	o := Options{
		State: gate.State{Policy: c.Policy(), Directory: file}, AtAuth: c.Listen.Auth.Addr != "",
		Now: noon, Top: 10, InFiles: true,
	}
	for i, text := range logs {
		name := filepath.Join(dir, "mail.log")
		if i > 0 {
			name += "." + string(rune('0'+i))
		}
		write(t, name, text)
		if err := os.Chtimes(name, noon, noon); err != nil {
			t.Fatal(err)
		}
		o.Files = append(o.Files, name)
	}
	return o
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t testing.TB, o Options) Report {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rule finds what one rule refused; nothing if it did not.
func (r Report) rule(name string, observed bool) Rule {
	for _, one := range r.Rules {
		if string(one.Rule) == name && one.Observed == observed {
			return one
		}
	}
	return Rule{}
}
