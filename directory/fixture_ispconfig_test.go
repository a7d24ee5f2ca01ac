package directory_test

import (
	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// ispconfigTables has the columns of ISPConfig 3.2.11 that a mail server reads.
var ispconfigTables = fixture{
	name:    "ispconfig",
	queries: directory.Schemas["ispconfig"].Queries,
	lacks:   directorytest.Features{Forward: true, Limits: true, Senders: true},
	tables: map[directory.Driver]string{
		directory.MySQL: `
CREATE TABLE mail_domain (domain_id int(11) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, server_id int(11) unsigned NOT NULL DEFAULT 0, domain varchar(255) NOT NULL DEFAULT '', active enum('n','y') NOT NULL DEFAULT 'n', KEY domain_active (domain, active)) DEFAULT CHARSET=utf8;
CREATE TABLE mail_forwarding (forwarding_id int(11) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, server_id int(11) unsigned NOT NULL DEFAULT 0, source varchar(255) NOT NULL DEFAULT '', destination text, type enum('alias','aliasdomain','forward','catchall') NOT NULL DEFAULT 'alias', active enum('n','y') NOT NULL DEFAULT 'n', allow_send_as enum('n','y') NOT NULL DEFAULT 'n', KEY server_id (server_id, source), KEY type (type)) DEFAULT CHARSET=utf8;
CREATE TABLE mail_relay_domain (relay_domain_id bigint(20) NOT NULL AUTO_INCREMENT PRIMARY KEY, server_id int(11) NOT NULL DEFAULT 0, domain varchar(255) DEFAULT NULL, access varchar(255) NOT NULL DEFAULT 'OK', active varchar(255) NOT NULL DEFAULT 'y') DEFAULT CHARSET=utf8;
CREATE TABLE mail_user (mailuser_id int(11) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, server_id int(11) unsigned NOT NULL DEFAULT 0, email varchar(255) NOT NULL DEFAULT '', login varchar(255) NOT NULL DEFAULT '', password varchar(255) NOT NULL DEFAULT '', postfix enum('n','y') NOT NULL DEFAULT 'y', disableimap enum('n','y') NOT NULL DEFAULT 'n', disabledeliver enum('n','y') NOT NULL DEFAULT 'n', disablesmtp enum('n','y') NOT NULL DEFAULT 'n', KEY server_id (server_id, email), KEY email_access (email)) DEFAULT CHARSET=utf8;
`,
	},
	grants: []string{"mail_user (email, login, disablesmtp)", "mail_domain (domain, active)", "mail_forwarding (source, destination, type, active, allow_send_as)", "mail_relay_domain (domain, active, access)"},
	fill: func(r rows, w directorytest.World) {
		for _, d := range w.Domains {
			r.add("mail_domain", row{"domain": d.Name, "active": "y"})
			for _, a := range d.Aliases {
				r.add("mail_domain", row{"domain": a, "active": "y"})
				r.add("mail_forwarding", row{"source": "@" + a, "destination": "@" + d.Name, "type": "aliasdomain", "active": "y"})
			}
		}
		for _, a := range w.Accounts {
			r.add("mail_user", row{"email": a.Login, "login": a.Login, "disablesmtp": yn(a.Disabled)})
			for _, address := range a.Addresses {
				r.add("mail_forwarding", row{"source": address, "destination": "kdosi@seznam.cz, " + a.Login, "type": "forward", "active": "y", "allow_send_as": "y"})
			}
		}
	},
	life: func(r rows) known {
		r.add("mail_domain", row{"domain": "domena.cz", "active": "y"}, row{"domain": "domena.eu", "active": "y"}, row{"domain": "off.cz", "active": "n"}, row{"domain": "spi.cz", "active": "y"})
		r.add("mail_relay_domain", row{"domain": "zaloha.cz"}, row{"domain": "nezaloha.cz", "active": "n"})
		r.add("mail_user",
			row{"email": "jan@domena.cz", "login": "jan@domena.cz"},
			row{"email": "petr@domena.cz", "login": "petr.novak@jinde.cz"}, // a custom login
			row{"email": "ctenar@domena.cz", "login": "ctenar@domena.cz", "disablesmtp": "y"},
			row{"email": "prijem@domena.cz", "login": "prijem@domena.cz", "disabledeliver": "y", "postfix": "n"},
			row{"email": "eva@off.cz", "login": "eva@off.cz"},
			row{"email": "zlodej@domena.cz", "login": "ctenar@domena.cz"}) // another's address as a login
		r.add("mail_forwarding",
			row{"source": "@domena.eu", "destination": "@domena.cz", "type": "aliasdomain", "active": "y"},
			row{"source": "@spi.cz", "destination": "@domena.cz", "type": "aliasdomain", "active": "n"},
			row{"source": "info@domena.cz", "destination": "jan@domena.cz", "type": "alias", "active": "y", "allow_send_as": "y"},
			row{"source": "jen.prijem@domena.cz", "destination": "jan@domena.cz", "type": "alias", "active": "y"},
			row{"source": "stary@domena.cz", "destination": "jan@domena.cz", "type": "alias", "active": "n", "allow_send_as": "y"},
			row{"source": "vsichni@domena.cz", "destination": "jan@domena.cz, petr@domena.cz, nekdo@seznam.cz", "type": "forward", "active": "y", "allow_send_as": "y"},
			row{"source": "@domena.cz", "destination": "jan@domena.cz", "type": "catchall", "active": "y", "allow_send_as": "y"})
		return known{
			enabled:  []string{"jan@domena.cz", "petr@domena.cz", "petr.novak@jinde.cz", "prijem@domena.cz", "zlodej@domena.cz"},
			disabled: []string{"ctenar@domena.cz", "eva@off.cz"},
			none:     []string{"info@domena.cz", "jan@domena.eu"},
			groups: map[string]string{
				"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "spi.cz": "spi.cz", "off.cz": "", "zaloha.cz": "",
			},
			addresses: map[string]string{"jan@domena.cz": "info@domena.cz vsichni@domena.cz", "petr@domena.cz": "vsichni@domena.cz", "ctenar@domena.cz": ""},
			local:     []string{"domena.cz", "domena.eu", "spi.cz", "zaloha.cz"}, foreign: []string{"off.cz", "nezaloha.cz", "seznam.cz"},
		}
	},
}
