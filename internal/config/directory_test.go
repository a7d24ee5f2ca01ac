package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loadBeside loads a configuration with other files beside it.
func loadBeside(t *testing.T, text string, files map[string]string) *Config {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "portreeve.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems := Load(path)
	for _, p := range problems {
		t.Error(p)
	}
	return c
}

// Secrets come from files of their own, which may be named relative to the
// configuration, and never show.
func TestDirectorySecrets(t *testing.T) {
	c := loadBeside(t, `
[directory]
source = "sql"
[directory.sql]
driver = "postgres"
dsn_file = "dsn"
schema = "postfixadmin"
account = "SELECT login FROM accounts WHERE login = ?"
[directory.senders]
driver = "mysql"
dsn_file = "roundcube"
schema = "roundcube"
`, map[string]string{"dsn": "host=db user=portreeve password='taj ne'\r\n", "roundcube": "u:tajne@tcp(db)/roundcube"})
	d := c.Directory
	if string(d.SQL.DSN) != "host=db user=portreeve password='taj ne'" || string(d.Senders.DSN) != "u:tajne@tcp(db)/roundcube" {
		t.Errorf("connection strings %q and %q", string(d.SQL.DSN), string(d.Senders.DSN))
	}
	if shown := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(shown, "taj") {
		t.Error("a connection string shows")
	}
	dir := filepath.Dir(c.Path)
	if got, want := d.SecretFiles(), []string{dir + "/dsn", dir + "/roundcube"}; !slices.Equal(got, want) {
		t.Errorf("secret files %q, want %q", got, want)
	}
}

func TestLDAPSecrets(t *testing.T) {
	c := loadBeside(t, `
[directory]
source = "ldap"
[directory.ldap]
url = "ldap://ldap.example.com"
starttls = true
bind_dn = "cn=portreeve,dc=example,dc=com"
password_file = "password"
base = "dc=example,dc=com"
account_filter = "(mail=%s)"
domains_filter = "(dc=%s)"
domains_attribute = "dc"
`, map[string]string{"password": " taj ne \n"})
	if got := string(c.Directory.LDAP.Password); got != " taj ne " {
		t.Errorf("password %q", got)
	}
	if got := c.Directory.SecretFiles(); len(got) != 1 || filepath.Base(got[0]) != "password" {
		t.Errorf("secret files %q", got)
	}
}

// A path to a SQLite database is no secret, and neither is a table that waits.
func TestNoSecretFiles(t *testing.T) {
	c := loadBeside(t, `
[directory]
source = "sql"
[directory.sql]
driver = "sqlite"
dsn_file = "dsn"
schema = "postfixadmin"
[directory.ldap]
password_file = "nowhere"
`, map[string]string{"dsn": "/var/lib/mail.db\n"})
	if got := c.Directory.SecretFiles(); len(got) > 0 {
		t.Errorf("secret files %q", got)
	}
}
