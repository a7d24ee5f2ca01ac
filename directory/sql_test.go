package directory_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/internal/tomlfile"
)

// ownOn is the fixture's own database on SQLite, with one domain and account, and
// queries that a test has changed.
func ownOn(t *testing.T, change func(q *directory.Queries)) *directory.SQL {
	t.Helper()
	db := freshSQLite(t)
	r := rows{t, db.driver, db.admin}
	r.exec(own.tables[db.driver])
	r.add("domains", row{"name": "domena.cz", "customer": "1"}, row{"name": "domena.eu", "customer": "1"})
	r.add("accounts", row{"login": somebody, "smtp": 1, "forward": "y", "messages_per_hour": 100}, row{"login": "jméno@domena.cz", "smtp": 1})
	r.add("addresses", row{"login": somebody, "address": "prodej@domena.cz", "kind": "own"})
	q := own.queries
	change(&q)
	d, err := directory.OpenSQL(db.driver, db.dsn, q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Nobody is let in by a value that is missing, or makes no sense.
func TestAccountColumns(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT login FROM accounts WHERE login = ?":                                               "enabled", // the others are defaults
		"SELECT smtp FROM accounts WHERE login = ?":                                                "enabled",
		"SELECT login AS LOGIN, smtp AS SMTP FROM accounts WHERE login = ?":                        "enabled",
		"SELECT NULL AS smtp FROM accounts WHERE login = ?":                                        "disabled",
		"SELECT 0 AS smtp FROM accounts WHERE login = ?":                                           "disabled",
		"SELECT smtp, NULL AS messages_per_hour, NULL AS forward FROM accounts WHERE login = ?":    "enabled",
		"SELECT login FROM accounts WHERE login = ? AND 1 = 0":                                     "none",
		"SELECT NULL AS login, 1 AS smtp FROM accounts WHERE login = ?":                            "none",
		"SELECT 'eva@domena.cz' AS login, 1 AS smtp FROM accounts WHERE login = ?":                 "none", // another's
		"SELECT UPPER(login) AS login, 1 AS smtp FROM accounts WHERE login = ?":                    "enabled",
		"SELECT login, smtp FROM accounts WHERE login = ? UNION ALL SELECT login, 1 FROM accounts": "enabled", // rows of others, and one twice
		"SELECT smtp FROM accounts WHERE login = ? UNION ALL SELECT 0":                             "failed",  // yes or no?
		"SELECT smtp, -1 AS messages_per_hour FROM accounts WHERE login = ?":                       "failed",
		"SELECT 'maybe' AS smtp FROM accounts WHERE login = ?":                                     "failed",
		"SELECT smtp AS smpt FROM accounts WHERE login = ?":                                        "failed",
		"SELECT * FROM accounts a JOIN addresses USING (login) WHERE login = ?":                    "failed", // address, kind
		"SELECT smtp FROM nowhere WHERE login = ?":                                                 "failed",
	} {
		d := ownOn(t, func(q *directory.Queries) { q.Account = query })
		if got := look(d, somebody); got != want {
			_, _, err := d.Account(context.Background(), somebody)
			t.Errorf("%s: %s (%v), want %s", query, got, err, want)
		}
	}
}

// A name that no table has is said though nobody is found.
func TestUnknownColumnIsSaidAtOnce(t *testing.T) {
	d := ownOn(t, func(q *directory.Queries) { q.Account = "SELECT smtp AS enabled FROM accounts WHERE login = ?" })
	_, _, err := d.Account(context.Background(), "nobody@domena.cz")
	if err == nil || !strings.Contains(err.Error(), `column "enabled": name it login, smtp,`) {
		t.Errorf("got %v", err)
	}
}

// A login beyond ASCII needs a row that says whose it is: databases take é for e.
func TestLoginsBeyondASCII(t *testing.T) {
	bare := ownOn(t, func(q *directory.Queries) {
		q.Account = "SELECT smtp FROM accounts WHERE login = ?"
		q.Addresses = "SELECT address FROM addresses WHERE ? <> ''"
	})
	if got := look(bare, "jméno@domena.cz"); got != "none" {
		t.Errorf("without a column login: %s", got)
	}
	if list, err := bare.Addresses(context.Background(), "jméno@domena.cz"); len(list) > 0 || err != nil {
		t.Errorf("its addresses: %q, %v", list, err)
	}
	if got := look(ownOn(t, func(*directory.Queries) {}), "jméno@domena.cz"); got != "enabled" {
		t.Errorf("with a column login: %s", got)
	}
}

func TestLists(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT address FROM addresses WHERE login = ?":                           "[prodej@domena.cz] <nil>",
		"SELECT login, address FROM addresses WHERE login = ?":                    "[prodej@domena.cz] <nil>",
		"SELECT address, 'eva@domena.cz' AS login FROM addresses WHERE login = ?": "[] <nil>",
		"SELECT address, NULL AS login FROM addresses WHERE login = ?":            "[] <nil>",
		"SELECT NULL FROM addresses WHERE login = ?":                              "[] <nil>",
		"": "[] <nil>",
		"SELECT address, kind FROM addresses WHERE login = ?":                                                                               "the addresses query gives 2 columns: let it give one, and login",
		"SELECT login, address, kind FROM addresses WHERE login = ?":                                                                        "the addresses query gives 3 columns",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 6000) SELECT 'a' || i || '@domena.cz' FROM n WHERE ? <> ''": "more than 5000 rows: see that it compares with ?",
	} {
		d := ownOn(t, func(q *directory.Queries) { q.Addresses = query })
		list, err := d.Addresses(context.Background(), somebody)
		got := fmt.Sprint(list, err)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// Which domains are local: what names another is not, and a count of none is none.
func TestLocalRows(t *testing.T) {
	for query, want := range map[string]bool{
		"":                                     true, // as the domains query has it
		"SELECT 1 FROM domains WHERE name = ?": true,
		"SELECT name FROM domains WHERE name = ?":            true,
		"SELECT name || '.' FROM domains WHERE name = ?":     true,
		"SELECT COUNT(*) FROM domains WHERE name = ?":        true,
		"SELECT COUNT(*) FROM domains WHERE name = ? || 'x'": false,
		"SELECT NULL FROM domains WHERE name = ?":            false,
		"SELECT 'n' FROM domains WHERE name = ?":             false,
		"SELECT 'jina.cz' FROM domains WHERE name = ?":       false,
	} {
		d := ownOn(t, func(q *directory.Queries) { q.LocalDomain = query })
		if ours, err := d.Local(context.Background(), "domena.cz"); ours != want || err != nil {
			t.Errorf("%q: %v, %v; want %v", query, ours, err, want)
		}
		if ours, err := d.Local(context.Background(), "seznam.cz"); ours || err != nil {
			t.Errorf("%q of a stranger: %v, %v", query, ours, err)
		}
	}
}

// The group must have the domain in it that was asked for.
func TestGroupsOfOthers(t *testing.T) {
	d := ownOn(t, func(q *directory.Queries) { q.Domains = "SELECT name FROM domains WHERE name <> ?" })
	for _, domain := range []string{"domena.cz", "seznam.cz"} {
		if group, found, err := d.Domains(context.Background(), domain); found || err != nil {
			t.Errorf("Domains(%q) = %q, %v, %v", domain, group, found, err)
		}
	}
}

// CheckQuery finds before the first customer what no database would.
func TestCheckQuery(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1 WHERE a = ?":         "",
		"":                             "",
		"SELECT smtp FROM accounts":    "has no ?, so it would answer the same for everybody",
		"SELECT '?'":                   "has no ?",
		"SELECT 'x FROM t WHERE a = ?": "has a quote that is not closed",
	} {
		m := directory.CheckQuery(directory.SQLite, query)
		if (m == nil) != (want == "") || m != nil && (!strings.Contains(m.Error(), want) || m.Remedy == "") {
			t.Errorf("%q: %v, want %q", query, m, want)
		}
		_, err := directory.OpenSQL(directory.SQLite, "/x", directory.Queries{Account: query})
		if _, ok := errors.AsType[*tomlfile.Mistake](err); ok != (want != "") {
			t.Errorf("OpenSQL of %q: %v", query, err)
		}
	}
}

// Each query of each schema is in its drivers' languages, and the queries of one's
// own go before those of the schema.
func TestSchemas(t *testing.T) {
	for name, s := range directory.Schemas {
		for _, d := range s.Drivers {
			for _, q := range []string{s.Queries.Account, s.Queries.Domains, s.Queries.Addresses, s.Queries.Senders, s.Queries.LocalDomain} {
				if m := directory.CheckQuery(d, q); m != nil {
					t.Errorf("%s on %s: %v", name, d, m)
				}
			}
			if m := directory.CheckSchema(directory.Schemas, name, d); m != nil {
				t.Errorf("%s: %v", name, m)
			}
		}
		if s.Queries.Account == "" || s.Queries.Domains == "" || s.Queries.LocalDomain == "" {
			t.Errorf("%s lacks a query", name)
		}
	}
	if m := directory.CheckSchema(directory.Schemas, "mailcow", directory.Postgres); m == nil || m.Remedy != `set driver = "mysql", or write the queries yourself` {
		t.Errorf("mailcow on PostgreSQL: %v", m)
	}
	q := directory.Queries{Account: "mine"}.Or(directory.Schemas["iredmail"].Queries)
	if q.Account != "mine" || q.Domains != directory.Schemas["iredmail"].Queries.Domains {
		t.Errorf("got %+v", q)
	}
}

// A database that does not exist is an error, and is not made: an empty one would
// say of everybody that there is no such account.
func TestSQLiteIsNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.db")
	d, err := directory.OpenSQL(directory.SQLite, path, own.queries)
	if err != nil {
		t.Fatal(err)
	}
	if got := look(d, somebody); got != "failed" {
		t.Errorf("an account in no database is %s", got)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the database has been made")
	}
}

// Nothing that a query says can change the database.
func TestSQLiteIsOnlyRead(t *testing.T) {
	d := ownOn(t, func(q *directory.Queries) { q.Account = "DELETE FROM accounts WHERE login = ? RETURNING login" })
	if got := look(d, somebody); got != "failed" {
		t.Errorf("a query that deletes gives %s", got)
	}
}

// Roundcube's identities, in the columns of its 1.7-beta.
func TestRoundcubeSQLite(t *testing.T) { roundcubeOn(t, freshSQLite) }

var roundcubeGrants = []string{"users (user_id, username)", "identities (user_id, email, del)"}

func roundcubeOn(t *testing.T, fresh func(*testing.T) database) {
	t.Helper()
	db := fresh(t)
	r := rows{t, db.driver, db.admin}
	serial := map[directory.Driver]string{directory.Postgres: "integer PRIMARY KEY", directory.MySQL: "int(10) UNSIGNED NOT NULL PRIMARY KEY", directory.SQLite: "integer NOT NULL PRIMARY KEY"}[db.driver]
	binary := map[directory.Driver]string{directory.MySQL: " BINARY"}[db.driver]
	small := map[directory.Driver]string{directory.Postgres: "smallint", directory.MySQL: "tinyint(1)", directory.SQLite: "tinyint"}[db.driver]
	r.exec(`CREATE TABLE users (user_id ` + serial + `, username varchar(128)` + binary + ` NOT NULL, mail_host varchar(128) NOT NULL);
CREATE TABLE identities (identity_id ` + serial + `, user_id integer NOT NULL, del ` + small + ` NOT NULL, standard ` + small + ` NOT NULL, name varchar(128) NOT NULL, email varchar(128) NOT NULL);
`)
	if db.grant != nil {
		for _, g := range roundcubeGrants {
			table, columns, _ := strings.Cut(g, " ")
			r.exec(db.grant(table, columns))
		}
	}
	r.add("users", row{"user_id": 1, "username": somebody, "mail_host": "localhost"}, row{"user_id": 2, "username": "eva@domena.cz", "mail_host": "localhost"},
		row{"user_id": 3, "username": somebody, "mail_host": "imap.domena.cz"}) // by another name of the server
	for i, one := range []row{
		{"user_id": 1, "email": somebody, "standard": 1},
		{"user_id": 1, "email": "Jan.Doma@Seznam.cz"},
		{"user_id": 1, "email": "stary@seznam.cz", "del": 1},
		{"user_id": 1, "email": "jan doma@seznam.cz"},
		{"user_id": 2, "email": "eva@email.cz"},
		{"user_id": 3, "email": "jan@gmail.com"},
	} {
		for column, v := range map[string]any{"identity_id": i + 1, "name": "x", "del": 0, "standard": 0} {
			if _, has := one[column]; !has {
				one[column] = v
			}
		}
		r.add("identities", one)
	}
	d, err := directory.OpenSQL(db.driver, db.dsn, directory.SenderSchemas["roundcube"].Queries)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	known{senders: map[string]string{somebody: "jan.doma@seznam.cz jan@domena.cz jan@gmail.com", "eva@domena.cz": "eva@email.cz", noOne: ""}}.check(t, d)
	// It knows senders, and is well though it knows nothing else.
	if err := cached(t, d, directory.CacheOptions{TTL: time60}).Check(context.Background()); err != nil {
		t.Errorf("Check: %v", err)
	}
	known{none: []string{somebody}, groups: map[string]string{"domena.cz": ""}, foreign: []string{"domena.cz"}}.check(t, d)
}
