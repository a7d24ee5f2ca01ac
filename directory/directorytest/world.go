// Package directorytest is the suite that every directory.Directory passes.
package directorytest

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
		},
	}
}
