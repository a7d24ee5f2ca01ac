package explain_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/internal/config"
	"portreeve/internal/explain"
	"portreeve/ledger"
	"portreeve/rules"
)

const accountsFile = "/etc/portreeve/accounts.toml"

const accounts = `
[domains]
"domena.cz" = { aliases = ["domena.eu"] }
"firma.cz" = {}
"nova.cz" = { aliases = ["novy.cz"] }
[accounts]
"jan.novak@domena.cz" = { addresses = ["prodej@domena.cz"], messages_per_hour = 100 }
"petr@domena.eu" = {}
"eva@domena.cz" = { smtp = false, senders = ["eva@seznam.cz"] }
"info@firma.cz" = { senders = ["majitel@seznam.cz"] }
"mta@firma.cz" = { forward = true }
`

// thisHost is a host with the default configuration and these accounts.
func thisHost(t *testing.T, now time.Time) explain.Host {
	t.Helper()
	h := explain.Host{
		Now: now, Zone: time.UTC, Name: "mx1.test", Peers: []string{"mx1.test", "mx2.test"},
		Config: "/etc/portreeve/portreeve.toml", Accounts: accountsFile, Keep: 720 * time.Hour,
		Policy: config.Default().Policy(), Directory: openAccounts(t, accounts),
	}
	if now.Before(until) {
		h.Blocks = []ledger.Block{{ID: blockID, Since: noon, Until: until}}
	}
	return h
}

func openAccounts(t *testing.T, body string) *directory.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "accounts.toml")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	file, problems := directory.OpenFile(path, rules.Logins{})
	if len(problems) > 0 {
		t.Fatalf("the accounts have problems: %v\n%s", problems, body)
	}
	return file
}
