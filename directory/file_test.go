package directory_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/directory/directorytest"
	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

var update = flag.Bool("update", false, "write the sentences that are said now to testdata/bad/*.want; read them before you commit")

// accountsTOML writes a world as the file that OpenFile reads.
func accountsTOML(w directorytest.World) string {
	var b strings.Builder
	b.WriteString("[domains]\n")
	for _, d := range w.Domains {
		fmt.Fprintf(&b, "%q = { aliases = %s }\n", d.Name, list(d.Aliases))
	}
	b.WriteString("[accounts]\n")
	for _, a := range w.Accounts {
		fmt.Fprintf(&b, "%q = { smtp = %v, forward = %v, messages_per_hour = %d, recipients_per_hour = %d, addresses = %s, senders = %s }\n",
			a.Login, !a.Disabled, a.Forward, a.MessagesPerHour, a.RecipientsPerHour, list(a.Addresses), list(a.Senders))
	}
	return b.String()
}

func list(entries []string) string {
	quoted := make([]string, len(entries))
	for i, e := range entries {
		quoted[i] = strconv.Quote(e)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// open writes the text to a file and opens it; it must be without problems.
func open(t testing.TB, text string, logins rules.Logins) *directory.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, problems := directory.OpenFile(path, logins)
	if f == nil || len(problems) > 0 {
		t.Fatalf("cannot open the accounts: %v", problems)
	}
	return f
}

func TestConformance(t *testing.T) {
	directorytest.Run(t, directorytest.Source{Open: func(t *testing.T, w directorytest.World) directory.Directory {
		return open(t, accountsTOML(w), rules.Logins{})
	}})
}

// TestSpecExample: the example of SPEC.md section 4 says what it means there.
func TestSpecExample(t *testing.T) {
	f, problems := directory.OpenFile("testdata/spec.toml", rules.Logins{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	ctx := context.Background()
	for login, want := range map[string]rules.Account{
		"jan.novak@domena.cz": {SMTP: true},
		"eva@domena.cz":       {},
		"info@firma.cz":       {SMTP: true},
		"mta@firma.cz":        {SMTP: true, Forward: true, MessagesPerHour: 5000},
	} {
		want.Login = login
		if got, found, err := f.Account(ctx, login); err != nil || !found || *got != want {
			t.Errorf("Account(%q) = %+v, %v, %v; want %+v", login, got, found, err, want)
		}
	}
	if group, _, _ := f.Domains(ctx, "domena.eu"); strings.Join(group, " ") != "domena.cz domena.eu" {
		t.Errorf("the group of domena.eu is %q", group)
	}
}

// TestCanonical: the file may be written as people write; the keys are canonical.
func TestCanonical(t *testing.T) {
	f := open(t, `
[domains]
"Doména.CZ." = { aliases = ["DOMENA.eu"] }
[accounts]
"Jan.Novák@DOMÉNA.cz" = { senders = ["@SEZNAM.cz", "Straße@Example.com"] }
"eva@Domena.EU" = {}
`, rules.Logins{})
	ctx := context.Background()
	login, ok := rules.Logins{}.Canonical("jan.nova\u0301k@dome\u0301na.cz") // letters and accents apart
	if _, found, err := f.Account(ctx, login); !ok || !found || err != nil {
		t.Errorf("Account(%q): %v, %v", login, found, err)
	}
	if _, found, err := f.Account(ctx, "eva@domena.eu"); !found || err != nil {
		t.Errorf("the account of the alias domain: %v, %v", found, err)
	}
	senders, err := f.Senders(ctx, login)
	if got, want := strings.Join(senders, " "), "@seznam.cz strasse@example.com"; err != nil || got != want {
		t.Errorf("senders %q, %v; want %q", got, err, want)
	}
	if group, found, err := f.Domains(ctx, "domena.eu"); err != nil || !found || strings.Join(group, " ") != "xn--domna-dsa.cz domena.eu" {
		t.Errorf("group %q, %v, %v", group, found, err)
	}
}

// TestDefaultDomain: with login.default_domain a name alone is a whole address.
func TestDefaultDomain(t *testing.T) {
	f := open(t, "[domains]\n\"domena.cz\" = {}\n[accounts]\n\"Jan\" = {}\n", rules.Logins{DefaultDomain: "domena.cz"})
	if _, found, err := f.Account(context.Background(), "jan@domena.cz"); !found || err != nil {
		t.Errorf("Account: %v, %v", found, err)
	}
}

// TestBad: each file of testdata/bad has one mistake (many.toml has several),
// and the .want beside it has everything that is to be said about it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 28 {
		t.Fatalf("found %d bad files (%v): the fixtures are missing", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".toml")
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, problems := directory.OpenFile(file, rules.Logins{})
			if f != nil {
				t.Error("a bad file was opened")
			}
			got := sentences(problems)
			if *update {
				if err := os.WriteFile(name+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got == "" || got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func sentences(problems []tomlfile.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(strings.TrimPrefix(p.String(), "testdata/bad/") + "\n")
	}
	return b.String()
}

func TestAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	f, problems := directory.OpenFile(path, rules.Logins{})
	if f != nil || len(problems) != 1 || problems[0].String() != path+": does not exist: create it, or name another file" {
		t.Errorf("got %v, %v", f, problems)
	}
}

// many is a file of n accounts.
func many(n int) string {
	var b strings.Builder
	b.WriteString("[domains]\n\"domena.cz\" = { aliases = [\"domena.eu\"] }\n[accounts]\n")
	for i := range n {
		fmt.Fprintf(&b, "\"user%d@domena.cz\" = { addresses = [\"u%d@domena.cz\"], senders = [\"user%d@seznam.cz\"] }\n", i, i, i)
	}
	return b.String()
}

// TestLookupsDoNotAllocate: they stand in the path of every message.
func TestLookupsDoNotAllocate(t *testing.T) {
	f := open(t, many(10_000), rules.Logins{})
	ctx := context.Background()
	for name, lookup := range map[string]func() bool{
		"Account":         func() bool { _, found, err := f.Account(ctx, "user77@domena.cz"); return found && err == nil },
		"unknown Account": func() bool { _, found, err := f.Account(ctx, "user@domena.cz"); return !found && err == nil },
		"Domains":         func() bool { _, found, err := f.Domains(ctx, "domena.eu"); return found && err == nil },
		"Addresses":       func() bool { l, err := f.Addresses(ctx, "user77@domena.cz"); return len(l) == 1 && err == nil },
		"Senders":         func() bool { l, err := f.Senders(ctx, "user77@domena.cz"); return len(l) == 1 && err == nil },
		"Local":           func() bool { ours, err := f.Local(ctx, "domena.eu"); return ours && err == nil },
	} {
		var wrong bool
		allocs := testing.AllocsPerRun(100, func() { wrong = wrong || !lookup() })
		if wrong || allocs != 0 {
			t.Errorf("%s: %v allocations, wrong answer: %v", name, allocs, wrong)
		}
	}
}

func BenchmarkAccount(b *testing.B) {
	f := open(b, many(100_000), rules.Logins{})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, found, err := f.Account(ctx, "user99999@domena.cz"); !found || err != nil {
			b.Fatal("the account is not found")
		}
	}
}

func BenchmarkOpenFile(b *testing.B) {
	path := filepath.Join(b.TempDir(), "accounts.toml")
	if err := os.WriteFile(path, []byte(many(10_000)), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, problems := directory.OpenFile(path, rules.Logins{}); problems != nil {
			b.Fatal(problems)
		}
	}
}
