package explain_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"portreeve/internal/config"
	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
)

// checkRemedy holds what a remedy says to be done against the programs that
// would do it.
func checkRemedy(t *testing.T, name string, r explain.Remedy) {
	t.Helper()
	if r.Text == "" || strings.HasSuffix(r.Text, ":") {
		t.Errorf("%s: a remedy in no words: %+v", name, r)
	}
	if (r.Line == "") != (r.File == "") || (r.Line == "") != (r.Table == "") {
		t.Errorf("%s: a line without its place: %+v", name, r)
	}
	if strings.ContainsAny(r.Line+r.Command, "\n\r\x1b") {
		t.Errorf("%s: more than one line: %+v", name, r)
	}
	if r.Line != "" {
		var parsed map[string]map[string]any
		if _, err := toml.Decode(r.Table+"\n"+r.Line, &parsed); err != nil {
			t.Errorf("%s: %s: %v", name, r.Line, err)
		}
		if len(parsed) != 1 || len(parsed[strings.Trim(r.Table, "[]")]) != 1 {
			t.Errorf("%s: not one key in one table: %s %s", name, r.Table, r.Line)
		}
	}
}

// checkSetting has the configuration read the line.
func checkSetting(t *testing.T, name string, r explain.Remedy) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portreeve.toml")
	if err := os.WriteFile(path, []byte(r.Table+"\n"+r.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems := config.Load(path); len(problems) > 0 {
		t.Errorf("%s: %s %s: %v", name, r.Table, r.Line, problems)
	}
}

func TestRemediesCanBeCarriedOut(t *testing.T) {
	lines := 0
	for _, s := range situations {
		for _, r := range s.played(t, explain.English).Remedies {
			checkRemedy(t, s.name, r)
			switch {
			case r.File == accountsFile:
				lines++
			case r.File != "" && !strings.Contains(r.Line, "DOMAIN"):
				checkSetting(t, s.name, r)
			}
		}
	}
	if lines < 10 {
		t.Errorf("only %d lines for accounts.toml", lines)
	}
}

// A configuration in another place is named in every command, quoted.
func TestRemediesNameTheConfiguration(t *testing.T) {
	h := thisHost(t, noon)
	h.Config = "/srv/mail hosts/p.toml"
	x := explainedOn(t, entry(t, "sender-domain-not-of-account", sentAs("jan@novak-stavby.cz")), h)
	if got := x.Remedies[0].Command; got != "portreeve --config '/srv/mail hosts/p.toml' reload" {
		t.Errorf("got %s", got)
	}
}

// A directory that is no file has no lines.
func TestRemediesOfADatabase(t *testing.T) {
	h := thisHost(t, noon)
	h.Accounts = ""
	for _, s := range situations {
		if s.host == nil {
			for _, r := range explainedOn(t, entry(t, s.reason, s.entry), h).Remedies {
				if strings.Contains(r.File+r.Line, "accounts") || strings.HasPrefix(r.Line, `"`) {
					t.Errorf("%s: a line for a database: %+v", s.name, r)
				}
			}
		}
	}
	r := explainedOn(t, entry(t, "sender-domain-not-of-account", sentAs("jan@novak-stavby.cz")), h).Remedies[0]
	if !strings.Contains(r.Text, "where the directory has its data") || r.Command != "portreeve reload" {
		t.Errorf("got %+v", r)
	}
}

// A database is changed by whoever keeps it: the remedy says what must be found
// there, in the terms of the configuration.
func TestRemediesNameWhatADatabaseMustSay(t *testing.T) {
	ldap := explain.Source{Kind: "ldap", Attributes: map[string]string{"domains": "associatedDomain", "smtp": "mailEnabled"}}
	for _, tt := range []struct {
		situation string
		source    explain.Source
		want      string
	}{
		{"missing alias", explain.Source{Kind: "sql"}, "In the database of [directory.sql]: directory.sql.domains must return novak-stavby.cz for domena.cz, and all of the group for each of them."},
		{"missing alias", explain.Source{Kind: "sql", Software: "postfixadmin"}, "In the database of PostfixAdmin: directory.sql.domains must return novak-stavby.cz"},
		{"missing alias", ldap, "In the LDAP directory: the entry of domena.cz must have associatedDomain: novak-stavby.cz."},
		{"disabled account", explain.Source{Kind: "sql"}, "directory.sql.account must return smtp = 1 for eva@domena.cz."},
		{"disabled account", ldap, "the entry of eva@domena.cz must have mailEnabled: 1."},
		{"smart-hosting server", explain.Source{Kind: "sql"}, "directory.sql.account must return forward = 1 for jan.novak@domena.cz."},
		{"smart-hosting server", explain.Source{Kind: "sql", Software: "mailcow"}, "(with a query of your own: this database has no such column)"},
		{"smart-hosting server", ldap, "the entry of jan.novak@domena.cz needs an attribute for forward = 1, and directory.ldap.forward_attribute its name."},
		{"quota by recipients", explain.Source{Kind: "sql"}, "must return recipients_per_hour = 400 for jan.novak@domena.cz"},
		{"freemail sender", explain.Source{Kind: "sql"}, "directory.sql.senders must return jan.novak@seznam.cz for jan.novak@domena.cz, and directory.sql.account must return forward = 1"},
		{"freemail sender", explain.Source{Kind: "ldap", Senders: true}, "directory.senders.query must return jan.novak@seznam.cz for jan.novak@domena.cz"},
		{"not the account's address", explain.Source{Kind: "sql"}, "directory.sql.addresses must return info@domena.cz for jan.novak@domena.cz"},
		{"login of a domain that is not here", explain.Source{Kind: "sql"}, "directory.sql.account must return a row for jan@jinde.cz"},
		{"login of a domain that is not here", ldap, "directory.ldap.account_filter must find jan@jinde.cz"},
	} {
		i := slices.IndexFunc(situations, func(s situation) bool { return s.name == tt.situation })
		s := situations[i]
		host := s.host
		s.host = func(h *explain.Host) {
			if host != nil {
				host(h)
			}
			h.Accounts, h.Source = "", tt.source
		}
		if all := strings.Join(s.played(t, explain.English).Administrator, "\n"); !strings.Contains(all, tt.want) {
			t.Errorf("%s, %+v: no %q in\n%s", tt.situation, tt.source, tt.want, all)
		}
	}
}

// Who has mended it is not told to do so again.
func TestMendedSince(t *testing.T) {
	withAccounts := func(old, now string) func(*explain.Host) {
		return func(h *explain.Host) { h.Directory = openAccounts(t, strings.Replace(accounts, old, now, 1)) }
	}
	const jan, info = `"jan.novak@domena.cz" = { `, `"info@firma.cz" = { `
	network := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, tt := range []struct {
		situation, want string
		mend            func(*explain.Host)
	}{
		{"smart-hosting server", "jan.novak@domena.cz may pass on other servers' mail by now", withAccounts(jan, jan+"forward = true, ")},
		{"webmail identity from a phone", "may use its external senders from everywhere by now", withAccounts(info, info+"forward = true, ")},
		{"webmail identity from a phone", "192.0.2.7 counts as webmail by now", func(h *explain.Host) { h.Policy.Webmail = network }},
		{"freemail sender", "may use its external senders from everywhere by now", withAccounts(jan, jan+`forward = true, senders = ["jan.novak@seznam.cz"], `)},
		{"not the account's address", "info@domena.cz is listed for the account by now", withAccounts(`"prodej@domena.cz"`, `"info@domena.cz"`)},
		{"not the account's address", "accounts may use every address of their domains by now", func(h *explain.Host) { h.Policy.Sender.ByAddress = false }},
		{"relay on 25", "this server takes the mail of example.com by now", withAccounts(`"firma.cz" = {}`, `"firma.cz" = { aliases = ["example.com"] }`)},
		{"relay on 25", "this server takes the mail of example.com by now", func(h *explain.Host) { h.Policy.Relay.LocalDomains = map[string]bool{"example.com": true} }},
		{"no AUTH", "192.0.2.7 is trusted by now", func(h *explain.Host) { h.Policy.Trusted = network }},
		{"disabled account", "the account has been enabled since", withAccounts("smtp = false, ", "")},
		{"missing alias", "novak-stavby.cz has become one of the account's domains since", withAccounts(`"domena.eu"`, `"domena.eu", "novak-stavby.cz"`)},
	} {
		s := situations[slices.IndexFunc(situations, func(s situation) bool { return s.name == tt.situation })]
		before, host := strings.Join(s.played(t, explain.English).Administrator, "\n"), s.host
		s.host = func(h *explain.Host) {
			if host != nil {
				host(h)
			}
			tt.mend(h)
		}
		x := s.played(t, explain.English)
		if after := strings.Join(x.Administrator, "\n"); strings.Contains(before, "any more") || len(x.Remedies) != 1 ||
			!strings.HasPrefix(after, "Nothing any more: ") || !strings.Contains(after, tt.want) {
			t.Errorf("%s, %s: %s", tt.situation, tt.want, after)
		}
	}
}

// clientText are names that clients have tried on other programs.
var clientText = []string{
	"$(touch owned)@x.cz", "`touch owned`@x.cz", "a;touch owned@x.cz", "a'b@x.cz", `"a@x.cz`, `x"] } # @x.cz`, "-rf@x.cz", "a\nb@x.cz",
	"a\x1b[2J@x.cz", "{login}@x.cz", "%s%d@x.cz", "a\u202e@x.cz", strings.Repeat("ž", 300) + "@x.cz", "<script>@x.cz", "a@b@c", "@", "",
}

// Whatever a client chose: no command and no line does anything else, and no
// sentence has what a terminal obeys.
func TestHostileText(t *testing.T) {
	dir := t.TempDir()
	var script strings.Builder
	script.WriteString("cd " + dir + "\nfor c in portreeve doveadm journalctl; do eval \"$c() { :; }\"; done\n")
	h := thisHost(t, noon)
	for name, reason := range reasons(t) {
		for _, text := range clientText {
			e := entry(t, reason, func(e *journal.Entry, f *gate.Facts) {
				e.Login, e.Sender, e.Recipients, e.Helo, e.Client = text, text, []string{text}, text, text
				*f = gate.Facts{LookedAt: text, As: text, Failures: times(2, text, 1), Senders: []string{text}}
			})
			for _, lang := range explain.Langs {
				h.Lang = lang.Lang
				x := explainedOn(t, e, h)
				for _, r := range x.Remedies {
					checkRemedy(t, fmt.Sprintf("%s, %q", name, text), r)
					fmt.Fprintln(&script, r.Command)
				}
				for _, s := range slices.Concat(x.Customer, []string{x.CustomerCause, x.Cause}) {
					if strings.ContainsAny(s, "\x1b\n\u202e") || len(s) > 4000 {
						t.Errorf("%s, %q: %q", name, text, s)
					}
				}
			}
		}
	}
	out, err := exec.Command("/bin/sh", "-c", script.String()).CombinedOutput()
	left, readErr := os.ReadDir(dir)
	if err != nil || readErr != nil || len(out) > 0 || len(left) > 0 {
		t.Errorf("the commands did something of their own: %v, %s, %v, %v", err, out, left, readErr)
	}
}
