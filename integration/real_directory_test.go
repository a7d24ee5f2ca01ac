//go:build real

package integration

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
	"portreeve/integration/servers"
)

const (
	databasePassword = "tajne-Heslo:7"
	temporary        = `^451 4\.3\.0 \w{22} temporary lookup failure, try again later$`
)

// The tables of PostfixAdmin and of Roundcube, as far as they are asked, with some
// of the cast of testdata/accounts.toml.
const tables = `
CREATE TABLE domain (domain varchar(255) PRIMARY KEY, backupmx tinyint(1) NOT NULL DEFAULT 0, active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255) NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1, smtp_active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE users (user_id int PRIMARY KEY, username varchar(128) NOT NULL, mail_host varchar(128) NOT NULL);
CREATE TABLE identities (identity_id int PRIMARY KEY, user_id int NOT NULL, del tinyint(1) NOT NULL DEFAULT 0, email varchar(128) NOT NULL);
INSERT INTO domain (domain) VALUES ('domena.cz'), ('domena.eu'), ('firma.cz'), ('b.cz');
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('domena.eu', 'domena.cz');
INSERT INTO mailbox (username, password, domain, smtp_active) VALUES ('jan.novak@domena.cz', '', 'domena.cz', 1), ('petr@domena.eu', '', 'domena.eu', 1),
	('eva@domena.cz', '', 'domena.cz', 0), ('info@firma.cz', '', 'firma.cz', 1), ('karel@b.cz', '', 'b.cz', 1);
INSERT INTO users VALUES (1, 'info@firma.cz', 'localhost');
INSERT INTO identities (identity_id, user_id, email) VALUES (1, 1, 'info@firma.cz'), (2, 1, 'majitel@seznam.cz')`

// inMariaDB starts a MariaDB with the accounts in it, and a mail host that asks it.
func inMariaDB(t *testing.T) (*servers.Server, *real.World) {
	t.Helper()
	dir, err := os.MkdirTemp(host.Dir, "mariadb-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // MariaDB's user must be able to enter it
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := servers.NewMariaDB(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	script := "CREATE DATABASE mail;USE mail;" + tables +
		";CREATE USER portreeve@'127.0.0.1' IDENTIFIED BY '" + databasePassword + "';GRANT SELECT ON mail.* TO portreeve@'127.0.0.1'"
	db, err := sql.Open("mysql", s.MariaDBRoot("")+"?multiStatements=true")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // what was written has been answered
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	dsn := filepath.Join(dir, "dsn")
	if err := os.WriteFile(dsn, []byte(s.MariaDBDSN("portreeve", databasePassword, "mail")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, host.World(t, dialogue.Settings{Portreeve: map[string]any{
		"directory.source": "sql", "directory.cache_ttl": "1s",
		"directory.sql.driver": "mysql", "directory.sql.schema": "postfixadmin", "directory.sql.dsn_file": dsn,
		"directory.senders.driver": "mysql", "directory.senders.schema": "roundcube", "directory.senders.dsn_file": dsn,
	}})
}

// directoryUp is what status says of both sources.
func directoryUp(t *testing.T, w *real.World) bool {
	t.Helper()
	var s struct{ Directory []struct{ Up bool } }
	if err := json.Unmarshal([]byte(verb(t, w, 0, "status", "--json").Stdout), &s); err != nil || len(s.Directory) != 2 {
		t.Fatalf("status shows %+v, %v", s, err)
	}
	return s.Directory[0].Up && s.Directory[1].Up
}

// The accounts are in a database. It dies and comes back, and freezes and thaws,
// beneath open sessions: who is known goes on, who is not is asked to come back,
// nobody waits long, and nobody is refused for good.
func TestDirectoryServerDies(t *testing.T) {
	t.Parallel()
	s, w := inMariaDB(t)
	session := func(from, login string) *client {
		t.Helper()
		c := connect(t, w, from, 587)
		c.auth(`^235 `, login, strings.SplitN(login, "@", 2)[0]+"-pass")
		return c
	}
	jan := session("127.1.246.1", account)
	jan.expect(`^250 `, "MAIL FROM:<jan.novak@domena.eu>")
	jan.expect(`^250 `, "RSET")
	jan.expect(`^550 5\.1\.0 <jan\.novak@seznam\.cz> sender rejected$`, "MAIL FROM:<jan.novak@seznam.cz>")
	connect(t, w, "127.1.246.3", 587).auth(`^535 5\.7\.8 Error: authentication failed: \w{22} authentication rejected access disabled$`, "eva@domena.cz", "eva-pass")

	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	karel := session("127.1.246.2", "karel@b.cz") // his password is Dovecot's matter
	reply := karel.expect(temporary, "MAIL FROM:<karel@b.cz>")
	jan.expect(`^250 `, "MAIL FROM:<jan.novak@domena.cz>")
	jan.expect(`^250 `, "RSET")
	if out := verb(t, w, 0, "explain", idIn(t, reply)); !strings.Contains(out.Stdout, "defer") {
		t.Errorf("explain says %s", out.Stdout)
	}
	waitFor(t, 30*time.Second, "status tells that the directory is down", func() bool { return !directoryUp(t, w) })
	if out := verb(t, w, 1, "check", "--postfix-config-dir", "none", "--dovecot-config", "none"); !strings.Contains(out.Stdout, "the directory cannot be asked: sql (mysql): ") {
		t.Errorf("check says %s", out.Stdout)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 30*time.Second, "status tells that the directory is back", func() bool { return directoryUp(t, w) })
	karel.expect(`^250 `, "MAIL FROM:<karel@b.cz>")
	karel.expect(`^250 `, "RSET")
	verb(t, w, 0, "check", "--postfix-config-dir", "none", "--dovecot-config", "none")

	if err := s.Freeze(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	petr := session("127.1.246.4", "petr@domena.eu")
	petr.expect(temporary, "MAIL FROM:<petr@domena.cz>")
	jan.expect(`^250 `, "MAIL FROM:<jan.novak@domena.cz>")
	jan.expect(`^250 `, "RSET")
	if took := time.Since(began); took > 10*time.Second { // a look-up of 2 s at AUTH, twice, and at both MAILs
		t.Errorf("with a frozen directory a login and two MAIL commands took %s", took)
	}
	if err := s.Thaw(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, 30*time.Second, "status tells that the directory is back", func() bool { return directoryUp(t, w) })
	petr.expect(`^250 `, "MAIL FROM:<petr@domena.cz>")

	if log := w.Log(); strings.Contains(log, databasePassword) {
		t.Error("the password is in the log")
	}
}

// An identity of the webmail is a sender from there, and only from there.
func TestWebmailIdentities(t *testing.T) {
	t.Parallel()
	_, w := inMariaDB(t)
	for from, want := range map[string]string{"127.0.200.1": `^250 `, "127.1.247.1": `^550 5\.1\.0 <Majitel@Seznam\.cz> sender rejected$`} {
		c := connect(t, w, from, 587)
		c.auth(`^235 `, "info@firma.cz", "info-pass")
		c.expect(want, "MAIL FROM:<Majitel@Seznam.cz>")
	}
}
