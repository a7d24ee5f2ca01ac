package directory_test

import (
	"strings"

	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// postfixadminTables has the columns of PostfixAdmin 4.0 that a mail server
// reads, with their types; on SQLite those of 3.3, without smtp_active.
var postfixadminTables = fixture{
	name:    "postfixadmin",
	queries: directory.Schemas["postfixadmin"].Queries,
	lacks:   directorytest.Features{Forward: true, Limits: true, Senders: true},
	latin1:  directory.MySQL,
	tables: map[directory.Driver]string{
		directory.Postgres: `
CREATE TABLE domain (domain varchar(255) PRIMARY KEY, transport varchar(255), backupmx boolean NOT NULL DEFAULT false, active boolean NOT NULL DEFAULT true);
CREATE TABLE mailbox (username varchar(255) PRIMARY KEY, password varchar(255) NOT NULL DEFAULT '', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL REFERENCES domain (domain), active boolean NOT NULL DEFAULT true, smtp_active boolean NOT NULL DEFAULT true);
CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto text NOT NULL, domain varchar(255) NOT NULL REFERENCES domain (domain), active boolean NOT NULL DEFAULT true);
CREATE TABLE alias_domain (alias_domain varchar(255) PRIMARY KEY REFERENCES domain (domain), target_domain varchar(255) NOT NULL REFERENCES domain (domain), active boolean NOT NULL DEFAULT true);
`,
		directory.MySQL: strings.ReplaceAll(`
CREATE TABLE domain (domain varchar(255) NOT NULL PRIMARY KEY, transport varchar(255), backupmx tinyint(1) NOT NULL DEFAULT 0, active tinyint(1) NOT NULL DEFAULT 1) LATIN1;
CREATE TABLE mailbox (username varchar(255) NOT NULL PRIMARY KEY, password varchar(255) NOT NULL DEFAULT '', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1, smtp_active tinyint(1) NOT NULL DEFAULT 1, KEY domain (domain)) LATIN1;
CREATE TABLE alias (address varchar(255) NOT NULL PRIMARY KEY, goto text NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1, KEY domain (domain)) LATIN1;
CREATE TABLE alias_domain (alias_domain varchar(255) NOT NULL PRIMARY KEY, target_domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT 1, KEY target_domain (target_domain)) LATIN1;
`, "LATIN1", "CHARACTER SET latin1 COLLATE latin1_general_ci"),
		directory.SQLite: `
CREATE TABLE domain (domain varchar(255) NOT NULL PRIMARY KEY, transport varchar(255), backupmx tinyint(1) NOT NULL DEFAULT '0', active tinyint(1) NOT NULL DEFAULT '1');
CREATE TABLE mailbox (username varchar(255) NOT NULL PRIMARY KEY, password varchar(255) NOT NULL DEFAULT '', local_part varchar(255) NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT '1');
CREATE TABLE alias (address varchar(255) NOT NULL PRIMARY KEY, goto text NOT NULL, domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT '1');
CREATE TABLE alias_domain (alias_domain varchar(255) NOT NULL PRIMARY KEY, target_domain varchar(255) NOT NULL, active tinyint(1) NOT NULL DEFAULT '1');
`,
	},
	grants: []string{"mailbox (username, domain, active, smtp_active)", "domain (domain, active, backupmx)", "alias (address, goto, domain, active)", "alias_domain (alias_domain, target_domain, active)"},
	fill: func(r rows, w directorytest.World) {
		for _, d := range w.Domains {
			r.add("domain", row{"domain": d.Name})
			for _, a := range d.Aliases {
				r.add("domain", row{"domain": a})
				r.add("alias_domain", row{"alias_domain": a, "target_domain": d.Name})
			}
		}
		for _, a := range w.Accounts {
			postfixadminMailbox(r, a.Login, !a.Disabled)
			for _, address := range a.Addresses {
				_, domain := split(address)
				if domain == "DOMÉNA.cz" { // a reference needs the domain as it is there
					domain = inWorld(r, "xn--domna-dsa.cz", "doména.cz")
				}
				r.add("alias", row{"address": address, "goto": "kdosi@seznam.cz," + a.Login, "domain": domain})
			}
		}
	},
	life: func(r rows) known {
		r.add("domain", row{"domain": "domena.cz"}, row{"domain": "domena.eu"}, row{"domain": "spi.cz"}, row{"domain": "off.cz", "active": r.flag(false)},
			row{"domain": "zaloha.cz", "backupmx": r.flag(true)}, row{"domain": "firma.cz"}, row{"domain": "vypnuta.eu", "active": r.flag(false)})
		r.add("alias_domain", row{"alias_domain": "vypnuta.eu", "target_domain": "domena.cz"}, // in the list of domains
			row{"alias_domain": "domena.eu", "target_domain": "domena.cz"}, row{"alias_domain": "spi.cz", "target_domain": "domena.cz", "active": r.flag(false)})
		postfixadminMailbox(r, "jan@domena.cz", true)
		postfixadminMailbox(r, "jan_novak@domena.cz", true)
		postfixadminMailbox(r, "off@domena.cz", false)
		postfixadminMailbox(r, "eva@off.cz", true)
		none := []string{"info@domena.cz", "jan@domena.eu", "kdokoli@firma.cz"}
		disabled := []string{"off@domena.cz", "eva@off.cz"}
		if r.driver != directory.SQLite {
			postfixadminMailbox(r, "ctenar@domena.cz", true)
			r.exec("UPDATE mailbox SET smtp_active = FALSE WHERE username = 'ctenar@domena.cz';\n")
			disabled = append(disabled, "ctenar@domena.cz")
		}
		r.add("alias",
			row{"address": "info@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz"},
			row{"address": "vsichni@domena.cz", "goto": "Jan@domena.cz,off@domena.cz,nekdo@seznam.cz", "domain": "domena.cz"},
			row{"address": "stary@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz", "active": r.flag(false)},
			row{"address": "janxnovak@domena.cz", "goto": "janxnovak@seznam.cz,velkyjan@domena.cz", "domain": "domena.cz"},
			row{"address": "info@domena.eu", "goto": "jan@domena.cz", "domain": "domena.eu"},
			row{"address": "@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz"}, // a catch-all
			row{"address": "@firma.cz", "goto": "jan@domena.cz", "domain": "firma.cz"})
		return known{
			enabled: []string{"jan@domena.cz", "jan_novak@domena.cz"}, disabled: disabled, none: none,
			groups: map[string]string{
				"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "spi.cz": "spi.cz",
				"off.cz": "", "vypnuta.eu": "", "zaloha.cz": "", "firma.cz": "firma.cz", "seznam.cz": "",
			},
			addresses: map[string]string{
				"jan@domena.cz": "info@domena.cz info@domena.eu jan@domena.cz vsichni@domena.cz", "jan_novak@domena.cz": "jan_novak@domena.cz",
				"off@domena.cz": "vsichni@domena.cz",
			},
			senders: map[string]string{"jan@domena.cz": ""},
			local:   []string{"domena.cz", "domena.eu", "spi.cz", "zaloha.cz", "firma.cz"}, foreign: []string{"off.cz", "vypnuta.eu", "seznam.cz"},
		}
	},
}

// postfixadminMailbox makes a mailbox as PostfixAdmin does, with an alias of its own.
func postfixadminMailbox(r rows, login string, active bool) {
	r.t.Helper()
	local, domain := split(login)
	r.add("mailbox", row{"username": login, "local_part": local, "domain": domain, "active": r.flag(active)})
	r.add("alias", row{"address": login, "goto": login, "domain": domain, "active": r.flag(active)})
}

// inWorld is whichever of two spellings the domain table has.
func inWorld(r rows, names ...string) string {
	r.t.Helper()
	for _, name := range names {
		var n int
		mark := map[bool]string{true: "$1", false: "?"}[r.driver == directory.Postgres]
		if err := r.db.QueryRow("SELECT COUNT(*) FROM domain WHERE domain = "+mark, name).Scan(&n); err != nil {
			r.t.Fatal(err)
		}
		if n > 0 {
			return name
		}
	}
	r.t.Fatalf("none of %q is a domain", names)
	return ""
}
