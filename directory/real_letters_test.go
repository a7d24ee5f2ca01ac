//go:build real

package directory_test

import (
	"context"
	"strings"
	"testing"

	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// Each of these is jan@domena.cz to somebody: to a collation without accents, to
// one that folds widths, to one that does not see what has no width, to a table
// that cannot hold the letter.
var lookalikes = []string{
	"jän@domena.cz", "jań@domena.cz", "ｊan@domena.cz", "ja\u00adn@domena.cz", "jan\u200b@domena.cz", "jan\ufe0f@domena.cz",
	"ʲan@domena.cz", "ϳan@domena.cz", "ℑan@domena.cz", "𝐣an@domena.cz", "jan😀@domena.cz", "ян@domena.cz", "jan\u0301@domena.cz",
	"jan ", "jan@domena.cz ", " jan@domena.cz", "jan@domena.cz\x00", "jan\\@domena.cz", "jan%@domena.cz", "%@domena.cz", "_an@domena.cz", "*@domena.cz",
	"jan@domena.cz'--", "j*@domena.cz", "jan)(mail=*@domena.cz", `jan\2a@domena.cz`, "'or'1'='1@domena.cz", "jan,eva@domena.cz", "jan@domena.cz,x",
	"xjan@domena.cz", "an@domena.cz", "jan@domena.cz.", "jan@domena", "jan@domena.cZ",
}

// Nobody else is taken for jan, whatever the database thinks of letters; and that
// is an answer, not an error.
func TestRealLookalikes(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		for _, f := range fixtures {
			if f.tables[s.driver] == "" {
				continue // its software does not run on this server
			}
			t.Run(f.name, func(t *testing.T) {
				db := s.fresh(t)
				r := rows{t, db.driver, db.admin}
				r.exec(f.tables[s.driver])
				for _, g := range f.grants {
					table, columns, _ := strings.Cut(g, " ")
					r.exec(db.grant(table, columns))
				}
				f.life(r)
				areNobody(t, openSQL(t, db.driver, db.dsn, f.queries))
			})
		}
	})
}

func areNobody(t *testing.T, d directory.Directory) {
	t.Helper()
	expect(t, d, "jan@domena.cz", "enabled", patience)
	ctx := context.Background()
	for _, login := range lookalikes {
		expect(t, d, login, "none", patience)
		if list, err := d.Addresses(ctx, login); len(list) > 0 || err != nil {
			t.Errorf("the addresses of %q are %q, %v", login, list, err)
		}
		if list, err := d.Senders(ctx, login); len(list) > 0 || err != nil {
			t.Errorf("the senders of %q are %q, %v", login, list, err)
		}
	}
	for _, domain := range []string{"doména.cz", "xn--domna-dsa.cz", "ｄomena.cz", "domena.cz ", "domena.cz\x00", "DOMENA.cz", "%.cz", "*", "domena.c_", "😀.cz", "xn--e28h.cz", "cz", "'or'1'='1"} {
		if group, found, err := d.Domains(ctx, domain); found || err != nil {
			t.Errorf("Domains(%q) = %q, %v, %v", domain, group, found, err)
		}
		if ours, err := d.Local(ctx, domain); ours || err != nil {
			t.Errorf("Local(%q) = %v, %v", domain, ours, err)
		}
	}
}

func TestRealLDAPLookalikes(t *testing.T) {
	s := newSlapd(t)
	base := loadLDAP(t, s, directorytest.World{
		Domains:  []directorytest.Domain{{Name: "domena.cz"}},
		Accounts: []directorytest.Account{{Login: "jan@domena.cz"}},
	})
	areNobody(t, openLDAP(t, ldapOptions(s, base)))
}

// Tables whose collations differ are no answer about anybody: MariaDB refuses to
// compare them, for every login.
func TestRealMixedCollations(t *testing.T) {
	s := newMariaDB(t)
	db := s.fresh(t)
	r := rows{t, db.driver, db.admin}
	r.exec(`
CREATE TABLE accounts (login varchar(255) PRIMARY KEY) CHARSET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE switches (login varchar(255) PRIMARY KEY, smtp tinyint) CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci;
`)
	for _, table := range []string{"accounts", "switches"} {
		r.exec(db.grant(table, ""))
	}
	r.add("accounts", row{"login": jan})
	r.add("switches", row{"login": jan, "smtp": 1})
	d := openSQL(t, db.driver, db.dsn, directory.Queries{
		Account: "SELECT a.login, s.smtp FROM accounts a JOIN switches s ON s.login = a.login WHERE a.login = ?",
		Domains: "SELECT login FROM accounts WHERE login = ?",
	})
	for _, login := range []string{jan, nobody, "jiří@domena.cz"} {
		if err := expect(t, d, login, "failed", patience); err != nil && !strings.Contains(err.Error(), "Illegal mix of collations") {
			t.Errorf("the error of %s is %v", login, err)
		}
	}
}

// Rows with spaces behind their names: PostgreSQL pads char(n), MariaDB does not
// see them.
func TestRealPaddedNames(t *testing.T) {
	each(t, func(t *testing.T, s *sqlServer) {
		db := s.fresh(t)
		r := rows{t, db.driver, db.admin}
		r.exec("CREATE TABLE accounts (login char(40) PRIMARY KEY, smtp char(5));\nCREATE TABLE spaced (login varchar(40) PRIMARY KEY, domain char(40));\n")
		for _, table := range []string{"accounts", "spaced"} {
			r.exec(db.grant(table, ""))
		}
		r.add("accounts", row{"login": jan, "smtp": "y"})
		r.add("spaced", row{"login": jan + " ", "domain": "domena.cz"})
		q := directory.Queries{
			Account:   "SELECT login, smtp FROM accounts WHERE login = ?",
			Domains:   "SELECT domain FROM spaced WHERE domain = ?",
			Addresses: "SELECT login, 'prodej@domena.cz' FROM accounts WHERE login = ?",
		}
		d := openSQL(t, db.driver, db.dsn, q)
		expect(t, d, jan, "enabled", patience)
		checkList(t, "Addresses", jan, "prodej@domena.cz", d.Addresses)
		if group, found, err := d.Domains(context.Background(), "domena.cz"); !found || err != nil {
			t.Errorf("Domains = %q, %v, %v", group, found, err)
		}
		if s.driver == directory.MySQL { // for PostgreSQL another login
			q.Account = "SELECT login FROM spaced WHERE login = ?"
			expect(t, openSQL(t, db.driver, db.dsn, q), jan, "enabled", patience)
		}
	})
}
