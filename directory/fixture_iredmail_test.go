package directory_test

import (
	"strings"

	"portreeve/directory"
	"portreeve/directory/directorytest"
)

const iredmailDDL = `
CREATE TABLE domain (domain VARCHAR(255) NOT NULL DEFAULT '', transport VARCHAR(255) NOT NULL DEFAULT 'dovecot', backupmx FLAG NOT NULL DEFAULT 0, active FLAG NOT NULL DEFAULT 1, PRIMARY KEY (domain)) CHARS;
CREATE TABLE alias_domain (alias_domain VARCHAR(255) NOT NULL, target_domain VARCHAR(255) NOT NULL, active FLAG NOT NULL DEFAULT 1, PRIMARY KEY (alias_domain)) CHARS;
CREATE TABLE mailbox (username VARCHAR(255) NOT NULL, password VARCHAR(255) NOT NULL DEFAULT '', domain VARCHAR(255) NOT NULL DEFAULT '', enablesmtp FLAG NOT NULL DEFAULT 1, enablesmtpsecured FLAG NOT NULL DEFAULT 1, active FLAG NOT NULL DEFAULT 1, PRIMARY KEY (username)) CHARS;
CREATE TABLE forwardings (id IDENT, address VARCHAR(255) NOT NULL DEFAULT '', forwarding VARCHAR(255) NOT NULL DEFAULT '', domain VARCHAR(255) NOT NULL DEFAULT '', dest_domain VARCHAR(255) NOT NULL DEFAULT '', is_maillist FLAG NOT NULL DEFAULT 0, is_list FLAG NOT NULL DEFAULT 0, is_forwarding FLAG NOT NULL DEFAULT 0, is_alias FLAG NOT NULL DEFAULT 0, active FLAG NOT NULL DEFAULT 1) CHARS;
CREATE INDEX forwardings_forwarding ON forwardings (forwarding);
`

// iredmailTables has the columns of iRedMail 1.8.1 that a mail server reads.
var iredmailTables = fixture{
	name:    "iredmail",
	queries: directory.Schemas["iredmail"].Queries,
	lacks:   directorytest.Features{Forward: true, Limits: true, Senders: true, AliasAccounts: true},
	tables: map[directory.Driver]string{
		directory.Postgres: strings.NewReplacer("FLAG", "INT2", "IDENT", "SERIAL PRIMARY KEY", " CHARS", "").Replace(iredmailDDL),
		directory.MySQL: strings.NewReplacer("FLAG", "TINYINT(1)", "IDENT", "BIGINT(20) UNSIGNED AUTO_INCREMENT PRIMARY KEY",
			"CHARS", "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci").Replace(iredmailDDL),
	},
	grants: []string{"mailbox (username, domain, active, enablesmtp, enablesmtpsecured)", "domain (domain, active, backupmx)", "alias_domain (alias_domain, target_domain, active)", "forwardings (address, forwarding, is_alias, active)"},
	fill: func(r rows, w directorytest.World) {
		for _, d := range w.Domains {
			r.add("domain", row{"domain": d.Name})
			for _, a := range d.Aliases {
				r.add("alias_domain", row{"alias_domain": a, "target_domain": d.Name})
			}
		}
		for _, a := range w.Accounts {
			iredmailMailbox(r, a.Login, row{"enablesmtp": num(!a.Disabled)})
			for _, address := range a.Addresses {
				_, domain := split(address)
				r.add("forwardings", row{"address": address, "forwarding": a.Login, "domain": domain, "is_alias": 1})
			}
		}
	},
	life: func(r rows) known {
		r.add("domain", row{"domain": "domena.cz"}, row{"domain": "off.cz", "active": 0}, row{"domain": "zaloha.cz", "backupmx": 1})
		r.add("alias_domain", row{"alias_domain": "domena.eu", "target_domain": "domena.cz"}, row{"alias_domain": "spi.eu", "target_domain": "domena.cz", "active": 0},
			row{"alias_domain": "off.eu", "target_domain": "off.cz"})
		iredmailMailbox(r, "jan@domena.cz", nil)
		iredmailMailbox(r, "off@domena.cz", row{"active": 0})
		iredmailMailbox(r, "ctenar@domena.cz", row{"enablesmtp": 0})
		iredmailMailbox(r, "tls@domena.cz", row{"enablesmtpsecured": 0})
		iredmailMailbox(r, "eva@off.cz", nil)
		iredmailMailbox(r, "sirotek@nikde.cz", nil)
		r.add("forwardings",
			row{"address": "prodej@domena.cz", "forwarding": "jan@domena.cz", "domain": "domena.cz", "is_alias": 1},
			row{"address": "stary@domena.cz", "forwarding": "jan@domena.cz", "domain": "domena.cz", "is_alias": 1, "active": 0},
			row{"address": "vsichni@domena.cz", "forwarding": "jan@domena.cz", "domain": "domena.cz", "is_list": 1},
			row{"address": "off@domena.cz", "forwarding": "jan@domena.cz", "domain": "domena.cz", "is_forwarding": 1},
			row{"address": "domena.cz", "forwarding": "jan@domena.cz", "domain": "domena.cz"}) // a catch-all
		return known{
			enabled:  []string{"jan@domena.cz"},
			disabled: []string{"off@domena.cz", "ctenar@domena.cz", "tls@domena.cz", "eva@off.cz", "sirotek@nikde.cz"},
			none:     []string{"prodej@domena.cz", "vsichni@domena.cz", "jan@domena.eu"},
			groups: map[string]string{
				"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "spi.eu": "", "off.cz": "", "off.eu": "", "zaloha.cz": "",
			},
			addresses: map[string]string{"jan@domena.cz": "prodej@domena.cz", "off@domena.cz": ""},
			local:     []string{"domena.cz", "domena.eu", "zaloha.cz"}, foreign: []string{"off.cz", "off.eu", "spi.eu", "seznam.cz"},
		}
	},
}

// iredmailMailbox makes a mailbox as iRedMail does, which forwards to itself.
func iredmailMailbox(r rows, login string, more row) {
	r.t.Helper()
	_, domain := split(login)
	one := row{"username": login, "domain": domain}
	for column, v := range more {
		one[column] = v
	}
	r.add("mailbox", one)
	r.add("forwardings", row{"address": login, "forwarding": login, "domain": domain, "dest_domain": domain, "is_forwarding": 1})
}
