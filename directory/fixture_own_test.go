package directory_test

import (
	"portreeve/directory"
	"portreeve/directory/directorytest"
)

// own is a database of a postmaster's own, and the queries of docs/directory.md
// for it.
var own = fixture{
	name: "own",
	queries: directory.Queries{
		Account: `SELECT a.login, a.smtp, a.messages_per_hour, a.recipients_per_hour, a.forward
			FROM accounts a WHERE a.login = ? -- what about "?"`,
		Domains: `SELECT b.name FROM domains a JOIN domains b ON b.customer = a.customer
			WHERE a.name = ? /* each domain of the customer's */`,
		Addresses:   `SELECT login, address FROM addresses WHERE login = ? AND kind <> 'external?'`,
		Senders:     `SELECT address, login FROM addresses WHERE login = ? AND kind = 'external?'`,
		LocalDomain: `SELECT name FROM domains WHERE name = ?`,
	},
	tables: map[directory.Driver]string{
		directory.Postgres: `
CREATE TABLE domains (name varchar(255) PRIMARY KEY, customer varchar(255) NOT NULL);
CREATE TABLE accounts (login text PRIMARY KEY, smtp boolean, forward char(1), messages_per_hour integer, recipients_per_hour numeric);
CREATE TABLE addresses (login text NOT NULL, address text, kind text NOT NULL);
`,
		directory.MySQL: `
CREATE TABLE domains (name varchar(255) PRIMARY KEY, customer varchar(255) NOT NULL) CHARSET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE accounts (login varchar(255) PRIMARY KEY, smtp tinyint, forward char(1), messages_per_hour int, recipients_per_hour decimal(10,2)) CHARSET utf8mb4;
CREATE TABLE addresses (login varchar(255) NOT NULL, address varchar(255), kind varchar(20) NOT NULL) CHARSET utf8mb4;
`,
		directory.SQLite: `
CREATE TABLE domains (name PRIMARY KEY, customer NOT NULL);
CREATE TABLE accounts (login PRIMARY KEY, smtp, forward, messages_per_hour, recipients_per_hour);
CREATE TABLE addresses (login NOT NULL, address, kind NOT NULL);
`,
	},
	grants: []string{"domains (name, customer)", "accounts (login, smtp, forward, messages_per_hour, recipients_per_hour)", "addresses (login, address, kind)"},
	fill: func(r rows, w directorytest.World) {
		for _, d := range w.Domains {
			for _, name := range append([]string{d.Name}, d.Aliases...) {
				r.add("domains", row{"name": name, "customer": d.Name})
			}
		}
		for _, a := range w.Accounts {
			one := row{"login": a.Login, "smtp": r.flag(!a.Disabled), "forward": yn(a.Forward)}
			if a.MessagesPerHour > 0 { // the others are NULL
				one["messages_per_hour"], one["recipients_per_hour"] = a.MessagesPerHour, a.RecipientsPerHour
			}
			r.add("accounts", one)
			for kind, list := range map[string][]string{"own": a.Addresses, "external?": a.Senders} {
				for _, address := range list {
					r.add("addresses", row{"login": a.Login, "address": address, "kind": kind})
				}
			}
		}
	},
	// What tables without rules collect.
	life: func(r rows) known {
		r.add("domains", row{"name": "domena.cz", "customer": "1"}, row{"name": "DOMENA.eu.", "customer": "1"}, row{"name": "no domain", "customer": "1"})
		r.add("accounts",
			row{"login": "jan@domena.cz", "smtp": r.flag(true)},
			row{"login": "null@domena.cz", "smtp": nil},
			row{"login": "off@domena.cz", "smtp": r.flag(false), "messages_per_hour": 7, "recipients_per_hour": 9})
		r.add("addresses",
			row{"login": "jan@domena.cz", "address": nil, "kind": "own"},
			row{"login": "jan@domena.cz", "address": " Prodej@Domena.CZ ", "kind": "own"},
			row{"login": "jan@domena.cz", "address": "prodej@domena.cz", "kind": "own"},
			row{"login": "jan@domena.cz", "address": "@domena.cz", "kind": "own"},
			row{"login": "jan@domena.cz", "address": "", "kind": "external?"},
			row{"login": "jan@domena.cz", "address": "a%b@seznam.cz", "kind": "external?"},
			row{"login": "jan@domena.cz", "address": "@Seznam.cz", "kind": "external?"})
		return known{
			enabled: []string{"jan@domena.cz"}, disabled: []string{"null@domena.cz", "off@domena.cz"}, none: []string{"eva@domena.cz"},
			groups:    map[string]string{"domena.cz": "domena.cz domena.eu", "jinde.cz": ""},
			addresses: map[string]string{"jan@domena.cz": "prodej@domena.cz", "eva@domena.cz": ""},
			senders:   map[string]string{"jan@domena.cz": "@seznam.cz"},
			local:     []string{"domena.cz"}, foreign: []string{"jinde.cz"},
			limits: map[string][2]int{"off@domena.cz": {7, 9}},
		}
	},
}
