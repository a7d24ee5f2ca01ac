package replay

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// suggested is a report's suggestions in short.
func suggested(r Report) string {
	var lines []string
	for _, s := range r.Suggestions {
		lines = append(lines, fmt.Sprintf("%s %s: %s (%d of %d)", s.Rule, s.Kind, s.Change, s.Removes, s.Of))
	}
	return strings.Join(lines, "\n")
}

// many writes n messages, a minute apart.
func (l *logText) many(n int, clock string, m mail) {
	for i := range n {
		l.mailAt(at(clock).Add(time.Duration(i)*time.Minute), m)
	}
}

func TestSuggestions(t *testing.T) {
	for name, c := range map[string]struct {
		settings, accounts string
		log                func(l *logText)
		want               string
		setting            string // that of the first
	}{
		"a missing alias": {
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
				l.many(2, "9:30", mail{port: 587, from: "192.0.2.2", login: "petr@domena.cz", sender: "petr@NOVA.cz"})
				l.many(2, "9:40", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@x"})
			},
			want:    "sender alias: add nova.cz to the aliases of domena.cz (8 of 10)\nsender alias: add x to the aliases of domena.cz (2 of 10)",
			setting: "[domains]\n\"domena.cz\" = { aliases = [\"domena.eu\", \"nova.cz\"] }",
		},
		"in a directory of another kind": {
			settings: "other",
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
			},
			want: "sender alias: add nova.cz to the aliases of domena.cz (6 of 6)",
		},
		"an alias of the alias's account": {
			accounts: cast + "\"petr@domena.eu\" = {}\n",
			log: func(l *logText) {
				l.many(3, "9:00", mail{port: 587, from: "192.0.2.1", login: "petr@domena.eu", sender: "petr@nova.cz"})
			},
			want: "sender alias: add nova.cz to the aliases of domena.cz (3 of 3)",
		},
		"freemail is nobody's alias": {
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
			},
			want: "sender inform: tell 1 account to send as their own addresses, or to keep theirs of seznam.cz as a sender in the webmail (`senders`) (0 of 6)",
		},
		"nor is what unrelated customers use": {
			log: func(l *logText) {
				l.many(2, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@malypostak.cz"})
				l.many(2, "9:10", mail{port: 587, from: "192.0.2.2", login: "karel@b.cz", sender: "karel@malypostak.cz"})
				l.many(2, "9:20", mail{port: 587, from: "192.0.2.3", login: "info@firma.cz", sender: "info@malypostak.cz"})
			},
			want: "sender inform: tell 3 accounts to send as their own addresses, or to keep theirs of malypostak.cz as a sender in the webmail (`senders`) (0 of 6)",
		},
		"nor another customer's domain, nor one below it": {
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@b.cz"})
				l.many(6, "9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: "root@www.domena.cz"})
			},
		},
		"too little of it all": {
			log: func(l *logText) {
				l.many(1, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
				for i := range 9 {
					l.many(1, "10:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: fmt.Sprintf("jan@s%d.b.cz", i)})
				}
			},
		},
		"a customer's mail server": {
			log: func(l *logText) {
				for i, domain := range []string{"partner.cz", "dalsi.cz", "treti.cz", "gmail.com"} {
					l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{port: 587, from: "192.0.2.1", login: "info@firma.cz", sender: "a@" + domain})
				}
			},
			want: "sender forward: let info@firma.cz pass on other servers' mail (forward), for 3 domains (3 of 4)",
			setting: "[accounts]\n\"info@firma.cz\" = { forward = true, senders = [\"@dalsi.cz\", \"@partner.cz\", \"@treti.cz\"] }" +
				"    # beside what its line has",
		},
		"a stolen account": {
			log: func(l *logText) {
				for i := range 30 {
					l.mailAt(at("9:00").Add(time.Duration(i)*time.Minute), mail{
						port: 587, from: fmt.Sprintf("192.0.2.%d", i+1), login: "info@firma.cz", sender: fmt.Sprintf("a@spam%d.example", i%10),
					})
				}
			},
		},
		"the webmail": {
			accounts: cast + "\"a@b.cz\" = { senders = [\"a@seznam.cz\"] }\n\"b@b.cz\" = { senders = [\"@seznam.cz\"] }\n",
			log: func(l *logText) {
				l.many(2, "9:00", mail{port: 587, from: "192.0.2.10", login: "info@firma.cz", sender: "majitel@seznam.cz"})
				l.many(2, "9:10", mail{port: 587, from: "192.0.2.10", login: "a@b.cz", sender: "A@seznam.cz"})
				l.many(2, "9:20", mail{port: 587, from: "192.0.2.10", login: "b@b.cz", sender: "c@seznam.cz"})
				l.many(2, "9:30", mail{port: 587, from: "192.0.2.1", login: "info@firma.cz", sender: "majitel@seznam.cz"}) // a phone
			},
			want:    "sender webmail: add 192.0.2.10 to networks.webmail (6 of 8)",
			setting: "[networks]\nwebmail = [\"192.0.2.10\"]",
		},
		"the webmail, with identities that the directory does not have": {
			accounts: cast + "\"a@b.cz\" = {}\n\"c@firma.cz\" = {}\n",
			log: func(l *logText) {
				for _, login := range []string{jan, "petr@domena.cz", "karel@b.cz", "a@b.cz", "c@firma.cz", "info@firma.cz"} {
					l.many(2, "9:00", mail{port: 587, from: "192.0.2.10", login: login, sender: login[:1] + "@seznam.cz"})
				}
			},
			want:    "sender webmail: add 192.0.2.10 to networks.webmail, and give its users' identities to their accounts as `senders` (12 of 12)",
			setting: "[networks]\nwebmail = [\"192.0.2.10\"]",
		},
		"identities of a webmail that is listed": {
			settings: "[networks]\nwebmail = [\"192.0.2.10\"]",
			accounts: cast + "\"a@b.cz\" = {}\n\"c@firma.cz\" = {}\n",
			log: func(l *logText) {
				for _, login := range []string{jan, "petr@domena.cz", "karel@b.cz", "a@b.cz", "c@firma.cz", "info@firma.cz"} {
					l.many(2, "9:00", mail{port: 587, from: "192.0.2.10", login: login, sender: login[:1] + "@seznam.cz"})
				}
			},
			want: "sender webmail: give its users' identities to their accounts as `senders` (12 of 12)",
		},
		"further addresses": {
			settings: "[sender]\nmatch = \"address\"",
			log: func(l *logText) {
				l.many(3, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "prodej@domena.cz"})
				l.many(3, "9:10", mail{port: 587, from: "192.0.2.1", login: jan, sender: "Sklad@domena.eu"})
			},
			want:    "sender addresses: give jan@domena.cz 2 further addresses (6 of 6)",
			setting: "[accounts]\n\"jan@domena.cz\" = { addresses = [\"prodej@domena.cz\", \"sklad@domena.eu\"] }    # beside what its line has",
		},
		"a server of one's own": {
			log: func(l *logText) {
				l.many(8, "9:00", mail{port: 25, from: "192.0.2.9", sender: jan})
				l.many(2, "9:10", mail{port: 25, from: "198.51.100.1", sender: jan})
			},
			want:    "auth_failed trusted: add 192.0.2.9 to networks.trusted (8 of 10)\nauth_failed trusted: add 198.51.100.1 to networks.trusted (2 of 10)",
			setting: "[networks]\ntrusted = [\"127.0.0.0/8\", \"::1\", \"192.0.2.9\"]",
		},
		"a network of one's own, no wider than it must be": {
			log: func(l *logText) {
				for i := range 4 {
					l.many(2, "9:00", mail{port: 587, from: fmt.Sprintf("192.0.2.%d", 32+i), sender: jan})
				}
				l.many(3, "9:30", mail{port: 587, from: "2001:db8::7", sender: jan})
			},
			want: "auth_failed trusted: add 192.0.2.32/30 to networks.trusted (8 of 11)\nauth_failed trusted: add 2001:db8::7 to networks.trusted (3 of 11)",
		},
		"a domain that Postfix takes mail for": {
			log: func(l *logText) {
				for i := range 6 {
					l.many(1, "9:00", mail{port: 25, from: fmt.Sprintf("198.51.%d.1", i), sender: "a@seznam.cz", to: []string{"x@Zapomenuta.cz"}})
				}
				l.many(1, "9:30", mail{port: 25, from: "192.0.2.9", sender: jan})
			},
			want:    "auth_failed local_domain: add zapomenuta.cz to relay.local_domains (6 of 7)",
			setting: "[relay]\nlocal_domains = [\"zapomenuta.cz\"]",
		},
		"a server that sends to such a domain is not trusted": {
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 25, from: "198.51.100.1", sender: "a@jinde.cz", to: []string{"x@zapomenuta.cz"}})
			},
		},
		"one that sends to several is": {
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 25, from: "198.51.100.1", sender: "a@jinde.cz", to: []string{"x@tam.cz"}})
				l.many(6, "9:30", mail{port: 25, from: "198.51.100.1", sender: "a@jinde.cz", to: []string{"x@jinam.cz"}})
			},
			want: "auth_failed trusted: add 198.51.100.1 to networks.trusted (12 of 12)",
		},
		"freemail is not local": {
			log: func(l *logText) {
				for i := range 6 {
					l.many(1, "9:00", mail{port: 25, from: fmt.Sprintf("198.51.%d.1", i), sender: "a@jinde.cz", to: []string{"x@gmail.com"}})
				}
			},
		},
		"logins without a domain": {
			log: func(l *logText) {
				l.many(3, "9:00", mail{port: 587, from: "192.0.2.1", login: "Jan", sender: "jan@domena.eu"})
				l.many(2, "9:10", mail{port: 587, from: "192.0.2.1", login: "petr", sender: "petr@domena.cz"})
				l.many(1, "9:20", mail{port: 587, from: "192.0.2.1", login: "www", sender: "www@domena.cz"})
				l.many(5, "9:30", mail{port: 587, from: "192.0.2.1", login: "karel@b.cz", sender: "karel@b.cz"})
			},
			want:    "auth_rejected default_domain: set login.default_domain to domena.cz (5 of 6)",
			setting: "[login]\ndefault_domain = \"domena.cz\"",
		},
		"accounts that are missing": {
			log: func(l *logText) {
				l.many(3, "9:00", mail{port: 587, from: "192.0.2.1", login: "new@domena.cz", sender: "new@domena.cz"})
				l.many(3, "9:10", mail{port: 587, from: "192.0.2.1", login: "b@domena.cz", sender: "b@domena.eu"})
				l.many(3, "9:20", mail{port: 587, from: "192.0.2.1", login: "a@nova.cz", sender: "a@nova.cz"})
				l.many(2, "9:30", mail{port: 587, from: "192.0.2.1", login: "a@nova.cz", sender: "a@seznam.cz"}) // would be refused all the same
			},
			want: "auth_rejected accounts: add 2 accounts of domena.cz to the directory (6 of 11)\n" +
				"auth_rejected accounts: add the domain nova.cz and its 1 account to the directory (3 of 11)",
			setting: "[accounts]\n\"new@domena.cz\" = {}\n\"b@domena.cz\" = {}",
		},
		"many accounts that are missing": {
			log: func(l *logText) {
				for i := range maxListed + 3 {
					login := fmt.Sprintf("new%02d@domena.cz", i)
					l.mail("9:00", mail{port: 587, from: "192.0.2.1", login: login, sender: login})
				}
			},
			want: "auth_rejected accounts: add 23 accounts of domena.cz to the directory (23 of 23)",
			setting: func() string {
				lines := []string{"[accounts]"}
				for i := range maxListed {
					lines = append(lines, fmt.Sprintf("\"new%02d@domena.cz\" = {}", i))
				}
				return strings.Join(append(lines, "# and 3 more"), "\n")
			}(),
		},
		"an office with one stale password": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 11, "192.0.2.1", "eva@domena.cz")
				l.fail("9:00", 11, "192.0.2.66", jan) // somebody who guesses
				for _, login := range []string{jan, "petr@domena.cz", "karel@b.cz"} {
					l.many(2, "9:20", mail{port: 587, from: "192.0.2.1", login: login, sender: login})
				}
				l.many(1, "9:40", mail{port: 587, from: "192.0.2.66", login: jan, sender: jan})
			},
			want: "", // eva is disabled: told, not counted
		},
		"an office": {
			settings: withAuth,
			log: func(l *logText) {
				l.fail("9:00", 11, "192.0.2.1", "petr@domena.cz")
				l.fail("9:00", 11, "192.0.2.66", jan)
				for _, login := range []string{jan, "petr@domena.cz", "karel@b.cz"} {
					l.many(2, "9:20", mail{port: 587, from: "192.0.2.1", login: login, sender: login})
				}
				l.many(3, "9:40", mail{port: 587, from: "192.0.2.66", login: jan, sender: jan})
			},
			want:    "throttled shared: add 192.0.2.1 to networks.shared (6 of 9)",
			setting: "[networks]\nshared = [\"192.0.2.1\"]",
		},
		"a rule that only observes": {
			settings: "observe = [\"sender\"]",
			log: func(l *logText) {
				l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
			},
			want: "sender alias: add nova.cz to the aliases of domena.cz (6 of 6)",
		},
		"there is one default domain": {
			log: func(l *logText) {
				l.many(4, "9:00", mail{port: 587, from: "192.0.2.1", login: "jan", sender: "jan@domena.cz"})
				l.many(3, "9:10", mail{port: 587, from: "192.0.2.2", login: "karel", sender: "karel@b.cz"})
			},
			want: "auth_rejected default_domain: set login.default_domain to domena.cz (4 of 7)",
		},
		"another rule would refuse it then": {
			accounts: "[domains]\n\"domena.cz\" = {}\n[accounts]\n\"jan@domena.cz\" = {}\n",
			settings: "[auth_failures]\nlimit = 1\nrefuse_at = \"mail\"",
			log: func(l *logText) {
				l.many(4, "9:00", mail{port: 587, from: "192.0.2.1", login: "nobody", sender: "jan@nova.cz"})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l logText
			c.log(&l)
			if c.accounts == "" {
				c.accounts = cast
			}
			other := c.settings == "other"
			if other {
				c.settings = ""
			}
			o := options(t, c.settings, c.accounts, l.String())
			o.InFiles = !other
			r := run(t, o)
			if got := suggested(r); got != c.want {
				t.Errorf("got\n%s\nwant\n%s\n%s", got, c.want, said(r))
			}
			if len(r.Suggestions) == 0 {
				return
			}
			first := r.Suggestions[0]
			if (c.setting != "" || other) && first.Setting != c.setting {
				t.Errorf("to copy:\n%s\nwant\n%s", first.Setting, c.setting)
			}
			if first.OnlyIf == "" || first.Concerns < first.Removes {
				t.Errorf("%+v", first)
			}
		})
	}
}

// What is suggested does what it says: the same log under the changed
// configuration has as many refusals less.
func TestSuggestionsHold(t *testing.T) {
	var l logText
	l.many(6, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
	l.many(2, "9:30", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@seznam.cz"})
	for i := range 4 {
		l.many(2, "10:00", mail{port: 587, from: fmt.Sprintf("192.0.2.%d", 32+i), sender: jan})
	}
	l.many(3, "11:00", mail{port: 587, from: "192.0.2.1", login: "petr", sender: "petr@domena.cz"})
	log := l.String()
	before := run(t, options(t, "", cast, log))
	want := before.Messages.Refused
	settings, accounts := "", cast
	for _, s := range before.Suggestions {
		want -= s.Removes
		switch s.Kind {
		case "alias":
			accounts = strings.Replace(accounts, `"domena.cz" = { aliases = ["domena.eu"] }`, strings.TrimPrefix(s.Setting, "[domains]\n"), 1)
		case "trusted", "default_domain":
			settings += s.Setting + "\n"
		}
	}
	after := run(t, options(t, settings, accounts, log))
	if after.Messages.Refused != want || want != 2 {
		t.Errorf("%d were refused, then %d, want %d\n%s\n%s", before.Messages.Refused, after.Messages.Refused, want, suggested(before), settings+accounts)
	}
}

// Suggestions for one list build upon each other: whoever copies them all has one
// line with everything in it.
func TestSuggestionsAddUp(t *testing.T) {
	var l logText
	l.many(4, "9:00", mail{port: 587, from: "192.0.2.1", login: jan, sender: "jan@nova.cz"})
	l.many(3, "9:30", mail{port: 587, from: "192.0.2.1", login: "petr@domena.cz", sender: "petr@stara.cz"})
	for i, client := range []string{"192.0.2.8", "192.0.2.9"} {
		l.fail("10:00", 11, client, jan)
		for _, login := range []string{jan, "petr@domena.cz", "karel@b.cz"} {
			l.many(3-i, "10:10", mail{port: 587, from: client, login: login, sender: login})
		}
	}
	r := run(t, options(t, "", cast, l.String()))
	var last []string
	for _, s := range r.Suggestions {
		if s.Removes == 0 {
			t.Errorf("%+v", s)
		}
		last = append(last, s.Setting)
	}
	want := []string{
		"[domains]\n\"domena.cz\" = { aliases = [\"domena.eu\", \"nova.cz\"] }",
		"[domains]\n\"domena.cz\" = { aliases = [\"domena.eu\", \"nova.cz\", \"stara.cz\"] }",
		"[networks]\nshared = [\"192.0.2.8\"]",
		"[networks]\nshared = [\"192.0.2.8\", \"192.0.2.9\"]",
	}
	if !slices.Equal(last, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(last, "\n"), strings.Join(want, "\n"))
	}
}

func TestFreemail(t *testing.T) {
	for domain, want := range map[string]bool{
		"gmail.com": true, "seznam.cz": true, "yahoo.co.uk": true, "yahoo.com": true, "gmx.at": true, "hotmail.no": true, "yahoo.com.br": true,
		"domena.cz": false, "yahoo.domena.cz": false, "www.seznam.cz": false, "live.domena.com": false, "gmx": false, "": false,
	} {
		if got := freemail(domain); got != want {
			t.Errorf("%q: %v", domain, got)
		}
	}
}

// Beyond its bounds a table counts, and tells nobody apart.
func TestTablesAreBounded(t *testing.T) {
	var n names
	for i := range maxNames + 10 {
		n.add(itoa(i), Example{})
	}
	n.add("0", Example{})
	n.add("", Example{})
	top := n.top(3)
	if top.Distinct != maxNames || top.Others != 10 || len(top.List) != 3 || top.List[0].Name != "0" || top.List[0].Count != 2 {
		t.Errorf("%+v", top)
	}
}
