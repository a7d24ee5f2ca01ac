package directory_test

import (
	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// mailcowTables has the columns of mailcow's schema 19022026_1220 that a mail
// server reads.
var mailcowTables = fixture{
	name:    "mailcow",
	queries: directory.Schemas["mailcow"].Queries,
	lacks:   directorytest.Features{Forward: true, Limits: true, AliasAccounts: true},
	tables: map[directory.Driver]string{
		directory.MySQL: `
CREATE TABLE domain (domain VARCHAR(255) NOT NULL PRIMARY KEY, backupmx TINYINT(1) NOT NULL DEFAULT '0', relay_unknown_only TINYINT(1) NOT NULL DEFAULT '0', active TINYINT(1) NOT NULL DEFAULT '1') DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias_domain (alias_domain VARCHAR(255) NOT NULL PRIMARY KEY, target_domain VARCHAR(255) NOT NULL, active TINYINT(1) NOT NULL DEFAULT '1', KEY target_domain (target_domain)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE mailbox (username VARCHAR(255) NOT NULL PRIMARY KEY, password VARCHAR(255) NOT NULL DEFAULT '', local_part VARCHAR(255) NOT NULL, domain VARCHAR(255) NOT NULL, attributes JSON, kind VARCHAR(100) NOT NULL DEFAULT '', active TINYINT(1) NOT NULL DEFAULT '1', KEY domain (domain)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE alias (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, address VARCHAR(255) NOT NULL, goto TEXT NOT NULL, domain VARCHAR(255) NOT NULL, internal TINYINT(1) NOT NULL DEFAULT '0', sender_allowed TINYINT(1) NOT NULL DEFAULT '1', active TINYINT(1) NOT NULL DEFAULT '1', UNIQUE KEY address (address), KEY domain (domain)) DEFAULT CHARSET=utf8mb4;
CREATE TABLE sender_acl (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, logged_in_as VARCHAR(255) NOT NULL, send_as VARCHAR(255) NOT NULL, external TINYINT(1) NOT NULL DEFAULT '0') DEFAULT CHARSET=utf8mb4;
`,
	},
	grants: []string{"mailbox (username, domain, active, kind, attributes)", "domain (domain, active)", "alias_domain (alias_domain, target_domain, active)", "alias (id, address, goto, active, sender_allowed)", "sender_acl (logged_in_as, send_as, external)"},
	fill: func(r rows, w directorytest.World) {
		for _, d := range w.Domains {
			r.add("domain", row{"domain": d.Name})
			for _, a := range d.Aliases {
				r.add("alias_domain", row{"alias_domain": a, "target_domain": d.Name})
			}
		}
		for _, a := range w.Accounts {
			mailcowMailbox(r, a.Login, row{"attributes": `{"smtp_access": "` + map[bool]string{true: "0", false: "1"}[a.Disabled] + `"}`})
			for _, address := range a.Addresses {
				_, domain := split(address)
				r.add("alias", row{"address": address, "goto": "kdosi@seznam.cz," + a.Login, "domain": domain})
			}
			for _, sender := range a.Senders {
				r.add("sender_acl", row{"logged_in_as": a.Login, "send_as": sender, "external": 1})
			}
		}
	},
	life: func(r rows) known {
		r.add("domain", row{"domain": "domena.cz"}, row{"domain": "off.cz", "active": 0}, row{"domain": "napul.cz", "backupmx": 1, "relay_unknown_only": 1}, row{"domain": "firma.cz"})
		r.add("alias_domain", row{"alias_domain": "domena.eu", "target_domain": "domena.cz"}, row{"alias_domain": "spi.eu", "target_domain": "domena.cz", "active": 0},
			row{"alias_domain": "off.eu", "target_domain": "off.cz"})
		mailcowMailbox(r, "jan@domena.cz", row{"attributes": `{"smtp_access": "1", "tls_enforce_in": "0"}`})
		mailcowMailbox(r, "stary@domena.cz", row{"attributes": `{"tls_enforce_in": "0"}`}) // from before protocol access
		mailcowMailbox(r, "null@domena.cz", nil)
		mailcowMailbox(r, "ctenar@domena.cz", row{"attributes": `{"smtp_access": "0"}`})
		mailcowMailbox(r, "off@domena.cz", row{"active": 0})
		mailcowMailbox(r, "prijem@domena.cz", row{"active": 2})
		mailcowMailbox(r, "zasedacka@domena.cz", row{"kind": "location"})
		mailcowMailbox(r, "eva@off.cz", nil)
		mailcowMailbox(r, "petr@napul.cz", nil)
		r.add("alias",
			row{"address": "info@domena.cz", "goto": "jan@domena.cz,off@domena.cz", "domain": "domena.cz"},
			row{"address": "noreply@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz", "sender_allowed": 0},
			row{"address": "starsi@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz", "active": 0},
			row{"address": "@domena.cz", "goto": "jan@domena.cz", "domain": "domena.cz"},
			row{"address": "spam@domena.cz", "goto": "spam@localhost", "domain": "domena.cz"})
		r.add("sender_acl",
			row{"logged_in_as": "jan@domena.cz", "send_as": "eva@firma.cz"},
			row{"logged_in_as": "jan@domena.cz", "send_as": "@firma.cz"},
			row{"logged_in_as": "jan@domena.cz", "send_as": "jan@seznam.cz", "external": 1},
			row{"logged_in_as": "stary@domena.cz", "send_as": "*"})
		return known{
			enabled:  []string{"jan@domena.cz", "stary@domena.cz", "null@domena.cz", "petr@napul.cz"},
			disabled: []string{"ctenar@domena.cz", "off@domena.cz", "prijem@domena.cz", "eva@off.cz"},
			none:     []string{"zasedacka@domena.cz", "info@domena.cz", "jan@domena.eu", "spam@localhost"},
			groups: map[string]string{
				"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "spi.eu": "", "off.cz": "", "off.eu": "", "napul.cz": "napul.cz",
			},
			addresses: map[string]string{"jan@domena.cz": "eva@firma.cz info@domena.cz jan@domena.cz", "stary@domena.cz": "stary@domena.cz"},
			senders:   map[string]string{"jan@domena.cz": "@firma.cz eva@firma.cz jan@seznam.cz", "stary@domena.cz": ""},
			local:     []string{"domena.cz", "domena.eu", "napul.cz"}, foreign: []string{"off.cz", "off.eu", "spi.eu", "seznam.cz"},
		}
	},
}

// mailcowMailbox makes a mailbox as mailcow does, with an alias of its own.
func mailcowMailbox(r rows, login string, more row) {
	r.t.Helper()
	local, domain := split(login)
	one := row{"username": login, "local_part": local, "domain": domain}
	for column, v := range more {
		one[column] = v
	}
	r.add("mailbox", one)
	r.add("alias", row{"address": login, "goto": login, "domain": domain})
}
