// Package directorytest is the suite that every directory.Directory passes.
package directorytest

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// World is what a directory is to know, in no source's own form. Logins, domains
// and aliases are canonical, since that is how a source is asked for them.
// Addresses and Senders are spelt as people spell them: they are answers, which
// every implementation has to make canonical.
type World struct {
	Domains  []Domain
	Accounts []Account
}

// Domain is a domain of this server with its aliases.
type Domain struct {
	Name    string
	Aliases []string
}

// Account is one account; the zero values are the defaults of every source.
type Account struct {
	Login             string
	Disabled          bool // access to SMTP is
	Forward           bool
	MessagesPerHour   int
	RecipientsPerHour int
	Addresses         []string
	Senders           []string
}

// Small is the world that the suite asks about: the one of SPEC.md section 4,
// with a domain and addresses beyond ASCII.
func Small() World {
	return World{
		Domains: []Domain{
			{Name: "domena.cz", Aliases: []string{"domena.eu", "xn--domna-dsa.cz"}},
			{Name: "firma.cz"},
			{Name: "xn--e1afmkfd.xn--p1ai"}, // пример.рф
		},
		Accounts: []Account{
			{Login: "jan.novak@domena.cz", Addresses: []string{"prodej@domena.cz", "Nákup@DOMÉNA.cz"}},
			{Login: "eva@domena.cz", Disabled: true},
			{Login: "petr@domena.eu"},
			{Login: "info@firma.cz", Senders: []string{"Majitel@Seznam.CZ", "@example.com"}},
			{Login: "mta@firma.cz", Forward: true, MessagesPerHour: 5000, RecipientsPerHour: 20000},
			{Login: "o'hara+tag@firma.cz"},
			{Login: "иван@xn--e1afmkfd.xn--p1ai"},
			{Login: "jméno@domena.cz"},
		},
	}
}

// Without is the world of a source that lacks something.
func (w World) Without(f Features) World {
	v := World{Domains: w.Domains}
	aliases := map[string]bool{}
	for _, d := range w.Domains {
		for _, a := range d.Aliases {
			aliases[a] = true
		}
	}
	for _, a := range w.Accounts {
		local, domain, _ := strings.Cut(a.Login, "@")
		if f.AliasAccounts && aliases[domain] || f.Unicode && !latin(local) {
			continue
		}
		a.Forward = a.Forward && !f.Forward
		if f.Limits {
			a.MessagesPerHour, a.RecipientsPerHour = 0, 0
		}
		if f.Addresses {
			a.Addresses = nil
		}
		if f.Senders {
			a.Senders = nil
		}
		v.Accounts = append(v.Accounts, a)
	}
	return v
}

func latin(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0xff }) < 0
}

// inOwnLetters is the world with U-labels in place of A-labels, as people write
// domains. It is what sources hold, never what they are asked for.
func (w World) inOwnLetters(t *testing.T) World {
	t.Helper()
	own := func(name string) string {
		local, domain, whole := strings.Cut(name, "@")
		if !whole {
			local, domain = "", name
		}
		u, err := idna.ToUnicode(domain)
		if err != nil {
			t.Fatal(err)
		}
		if whole {
			return local + "@" + u
		}
		return u
	}
	var v World
	for _, d := range w.Domains {
		spelt := Domain{Name: own(d.Name)}
		for _, a := range d.Aliases {
			spelt.Aliases = append(spelt.Aliases, own(a))
		}
		v.Domains = append(v.Domains, spelt)
	}
	v.Accounts = slices.Clone(w.Accounts)
	for i := range v.Accounts {
		v.Accounts[i].Login = own(v.Accounts[i].Login)
	}
	return v
}
