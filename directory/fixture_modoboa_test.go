package directory_test

import (
	"fmt"
	"strings"
	"time"

	"portreeve/directory"
	"portreeve/directory/directorytest"
)

const modoboaDDL = `
CREATE TABLE core_user (id IDENT, username varchar(254) NOT NULL UNIQUE, email varchar(254) NOT NULL, is_active BOOL NOT NULL, password varchar(256) NOT NULL) CHARS;
CREATE INDEX core_user_email ON core_user (email);
CREATE TABLE admin_domain (id IDENT, name varchar(253) NOT NULL UNIQUE, enabled BOOL NOT NULL, type varchar(20) NOT NULL, message_limit integer) CHARS;
CREATE TABLE admin_domainalias (id IDENT, name varchar(100) NOT NULL UNIQUE, enabled BOOL NOT NULL, target_id integer NOT NULL) CHARS;
CREATE TABLE admin_mailbox (id IDENT, address varchar(252) NOT NULL, message_limit integer, is_send_only BOOL NOT NULL, domain_id integer NOT NULL, user_id integer NOT NULL UNIQUE) CHARS;
CREATE TABLE admin_alias (id IDENT, address varchar(254) NOT NULL, enabled BOOL NOT NULL, internal BOOL NOT NULL, expire_at MOMENT, domain_id integer) CHARS;
CREATE TABLE modoboa_admin_aliasrecipient (id IDENT, address varchar(254) NOT NULL, alias_id integer NOT NULL, r_mailbox_id integer, r_alias_id integer) CHARS;
CREATE TABLE admin_senderaddress (id IDENT, address varchar(254) NOT NULL, mailbox_id integer NOT NULL) CHARS;
`

// modoboaTables has the columns of Modoboa 2.9.3 that a mail server reads.
var modoboaTables = fixture{
	name:    "modoboa",
	queries: directory.Schemas["modoboa"].Queries,
	lacks:   directorytest.Features{Forward: true, Limits: true, AliasAccounts: true},
	tables: map[directory.Driver]string{
		directory.Postgres: strings.NewReplacer("IDENT", "integer PRIMARY KEY", "BOOL", "boolean", "MOMENT", "timestamp with time zone", " CHARS", "").Replace(modoboaDDL),
		directory.MySQL:    strings.NewReplacer("IDENT", "integer PRIMARY KEY", "BOOL", "bool", "MOMENT", "datetime(6)", "CHARS", "CHARSET utf8mb4").Replace(modoboaDDL),
		directory.SQLite:   strings.NewReplacer("IDENT", "integer PRIMARY KEY", "BOOL", "bool", "MOMENT", "datetime", " CHARS", "").Replace(modoboaDDL),
	},
	grants: []string{"core_user (id, email, is_active)", "admin_mailbox (id, user_id, domain_id)", "admin_domain (id, name, enabled)", "admin_domainalias (name, target_id, enabled)", "admin_alias (id, address, enabled, expire_at)", "modoboa_admin_aliasrecipient (alias_id, r_mailbox_id)", "admin_senderaddress (mailbox_id, address)"},
	fill: func(r rows, w directorytest.World) {
		m := &modoboaRows{rows: r}
		for _, d := range w.Domains {
			target := m.domain(d.Name, true, "domain")
			for _, a := range d.Aliases {
				m.alias(a, target, true)
			}
		}
		for _, a := range w.Accounts {
			mailbox := m.mailbox(a.Login, !a.Disabled)
			for _, address := range a.Addresses {
				m.address(address, mailbox, a.Login, row{})
			}
			for _, sender := range a.Senders {
				r.add("admin_senderaddress", row{"id": m.id(), "address": sender, "mailbox_id": mailbox})
			}
		}
	},
	life: func(r rows) known {
		m := &modoboaRows{rows: r}
		target := m.domain("domena.cz", true, "domain")
		m.alias("domena.eu", target, true)
		m.alias("spi.eu", target, false)
		m.alias("off.eu", m.domain("off.cz", false, "domain"), true)
		m.domain("zaloha.cz", true, "relaydomain")
		jan := m.mailbox("jan@domena.cz", true)
		m.mailbox("off@domena.cz", false)
		m.mailbox("eva@off.cz", true)
		r.add("core_user", row{"id": m.id(), "username": "admin", "email": "admin@domena.cz", "is_active": r.flag(true), "password": "x"}) // no mailbox
		m.address("info@domena.cz", jan, "jan@domena.cz", row{})
		m.address("stary@domena.cz", jan, "jan@domena.cz", row{"enabled": r.flag(false)})
		m.address("jednou@domena.cz", jan, "jan@domena.cz", row{"expire_at": moment(r, -48*time.Hour)})
		m.address("akce@domena.cz", jan, "jan@domena.cz", row{"expire_at": moment(r, 48*time.Hour)})
		m.address("@domena.cz", jan, "jan@domena.cz", row{}) // a catch-all
		for _, address := range []string{"jan@seznam.cz", "@firma.cz"} {
			r.add("admin_senderaddress", row{"id": m.id(), "address": address, "mailbox_id": jan})
		}
		return known{
			enabled: []string{"jan@domena.cz"}, disabled: []string{"off@domena.cz", "eva@off.cz"},
			none: []string{"admin@domena.cz", "info@domena.cz", "jan@domena.eu"},
			groups: map[string]string{
				"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "spi.eu": "", "off.cz": "", "off.eu": "",
			},
			addresses: map[string]string{"jan@domena.cz": "akce@domena.cz info@domena.cz jan@domena.cz jan@seznam.cz", "off@domena.cz": "off@domena.cz"},
			senders:   map[string]string{"jan@domena.cz": "@firma.cz jan@seznam.cz", "off@domena.cz": ""},
			local:     []string{"domena.cz", "domena.eu", "zaloha.cz"}, foreign: []string{"off.cz", "off.eu", "spi.eu"},
		}
	},
}

// modoboaRows writes rows that name one another by number.
type modoboaRows struct {
	rows
	last    int
	domains map[string]int
}

func (m *modoboaRows) id() int {
	m.last++
	return m.last
}

func (m *modoboaRows) domain(name string, enabled bool, kind string) int {
	id := m.id()
	m.add("admin_domain", row{"id": id, "name": name, "enabled": m.flag(enabled), "type": kind, "message_limit": 1000})
	if m.domains == nil {
		m.domains = map[string]int{}
	}
	m.domains[name] = id
	return id
}

func (m *modoboaRows) alias(name string, target int, enabled bool) {
	m.add("admin_domainalias", row{"id": m.id(), "name": name, "enabled": m.flag(enabled), "target_id": target})
}

// mailbox makes a user with a mailbox, and the internal alias that Modoboa
// gives each.
func (m *modoboaRows) mailbox(login string, active bool) int {
	local, domain := split(login)
	user, mailbox := m.id(), m.id()
	m.add("core_user", row{"id": user, "username": login, "email": login, "is_active": m.flag(active), "password": "{SHA512-CRYPT}x"})
	m.add("admin_mailbox", row{"id": mailbox, "address": local, "message_limit": 100, "is_send_only": m.flag(false), "domain_id": m.domains[domain], "user_id": user})
	m.address(login, mailbox, login, row{"internal": m.flag(true)})
	return mailbox
}

func (m *modoboaRows) address(address string, mailbox int, login string, more row) {
	id := m.id()
	one := row{"id": id, "address": address, "enabled": m.flag(true), "internal": m.flag(false)}
	for column, v := range more {
		one[column] = v
	}
	m.add("admin_alias", one)
	m.add("modoboa_admin_aliasrecipient", row{"id": m.id(), "address": login, "alias_id": id, "r_mailbox_id": mailbox})
}

// moment is a time as Django writes it: UTC.
func moment(r rows, from time.Duration) any {
	at := time.Now().Add(from).UTC()
	if r.driver == directory.Postgres {
		return at
	}
	return fmt.Sprint(at.Format("2006-01-02 15:04:05"))
}
