//go:build real

package directory_test

import (
	"strings"
	"testing"

	"portreeve/directory/directorytest"
)

// Every kind of database that a server's driver can have.
func TestReal(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		for _, f := range fixtures {
			if f.tables[s.driver] == "" {
				continue // its software does not run on this server
			}
			t.Run(f.name, func(t *testing.T) { runFixture(t, f, s.driver, s.fresh) })
		}
	})
}

// Columns that are newer than the software which somebody runs.
func TestRealOlderTables(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		for f, change := range map[*fixture]string{
			&postfixadminTables: "ALTER TABLE mailbox DROP COLUMN smtp_active;\n",
			&mailcowTables:      "ALTER TABLE alias DROP COLUMN sender_allowed;\n",
		} {
			if f.tables[s.driver] == "" {
				continue // its software does not run on this server
			}
			db := s.fresh(t)
			r := rows{t, db.driver, db.admin}
			r.exec(f.tables[s.driver])
			for _, g := range f.grants {
				table, columns, _ := strings.Cut(g, " ")
				r.exec(db.grant(table, columns))
			}
			f.fill(r, directorytest.Small().Without(directorytest.Features{AliasAccounts: f.lacks.AliasAccounts, Unicode: f.latin1 == s.driver}))
			r.exec(change)
			d := openSQL(t, db.driver, db.dsn, f.queries)
			expect(t, d, jan, "enabled", patience)
			checkList(t, "Addresses", jan, "jan.novak@domena.cz nákup@xn--domna-dsa.cz prodej@domena.cz", d.Addresses)
		}
	})
}

func TestRealRoundcube(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) { roundcubeOn(t, s.fresh) })
}

// contrib/directory/iredmail-throttle.toml beside a real iredapd database.
func TestRealThrottle(t *testing.T) {
	s := newMariaDB(t)
	db := s.fresh(t)
	r := rows{t, db.driver, db.admin}
	r.exec(iredmailTables.tables[db.driver] + `
CREATE DATABASE iredapd DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE TABLE iredapd.throttle (id BIGINT(20) UNSIGNED AUTO_INCREMENT PRIMARY KEY, account VARCHAR(255) NOT NULL, kind VARCHAR(10) NOT NULL DEFAULT 'outbound', priority TINYINT(1) UNSIGNED NOT NULL DEFAULT 0, period INT(10) UNSIGNED NOT NULL DEFAULT 0, max_msgs BIGINT(20) NOT NULL DEFAULT -1);
GRANT SELECT (account, kind, priority, period, max_msgs) ON iredapd.throttle TO ` + db.user + `@'127.0.0.1';
`)
	for _, g := range iredmailTables.grants {
		table, columns, _ := strings.Cut(g, " ")
		r.exec(db.grant(table, columns))
	}
	iredmailTables.life(r)
	iredmailMailbox(r, "petr@domena.cz", nil)
	iredmailMailbox(r, "volny@domena.cz", nil)
	r.add("domain", row{"domain": "firma.cz"})
	iredmailMailbox(r, "info@firma.cz", nil)
	r.add("iredapd.throttle",
		row{"account": "@.", "priority": 10, "period": 3600, "max_msgs": 500},
		row{"account": "@domena.cz", "priority": 60, "period": 3600, "max_msgs": 200},
		row{"account": "jan@domena.cz", "priority": 100, "period": 3600, "max_msgs": 20},
		row{"account": "jan@domena.cz", "kind": "inbound", "priority": 100, "period": 3600, "max_msgs": 3},
		row{"account": "petr@domena.cz", "priority": 100, "period": 60, "max_msgs": 5}, // not of an hour
		row{"account": "volny@domena.cz", "priority": 100, "period": 3600, "max_msgs": 0})
	known{
		enabled: []string{"jan@domena.cz", "petr@domena.cz", "volny@domena.cz", "info@firma.cz"}, none: []string{"nobody@domena.cz"},
		limits: map[string][2]int{"jan@domena.cz": {20, 0}, "petr@domena.cz": {200, 0}, "volny@domena.cz": {1<<31 - 1, 0}, "info@firma.cz": {500, 0}},
	}.check(t, openSQL(t, db.driver, db.dsn, throttleQueries(t)))
}
