package directory

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"portreeve/internal/tomlfile"
	"portreeve/rules"
)

// fileForm is accounts.toml as it is written.
type fileForm struct {
	Domains  map[string]domainForm  `toml:"domains"`
	Accounts map[string]accountForm `toml:"accounts"`
}

type domainForm struct {
	Aliases []string `toml:"aliases"`
}

type accountForm struct {
	Addresses         []string `toml:"addresses"`
	Senders           []string `toml:"senders"`
	SMTP              *bool    `toml:"smtp"` // nil: true
	Forward           bool     `toml:"forward"`
	MessagesPerHour   int      `toml:"messages_per_hour"`
	RecipientsPerHour int      `toml:"recipients_per_hour"`
}

// builder turns the written form into a File and collects what is wrong.
type builder struct {
	doc      *tomlfile.Document
	logins   rules.Logins
	file     *File
	problems []tomlfile.Problem
	broken   map[string]bool // keys whose value could not be read
}

func build(doc *tomlfile.Document, logins rules.Logins) (*File, []tomlfile.Problem) {
	var form fileForm
	b := &builder{doc: doc, logins: logins, problems: doc.Decode(&form), broken: map[string]bool{}}
	for _, p := range b.problems {
		b.broken[p.Key] = true
	}
	b.file = &File{
		accounts:  make(map[string]*rules.Account, len(form.Accounts)),
		addresses: map[string][]string{},
		senders:   map[string][]string{},
		groups:    map[string][]string{},
	}
	b.domains(form.Domains)
	b.accounts(form.Accounts)
	if len(b.problems) > 0 {
		tomlfile.Sort(b.problems)
		return nil, b.problems
	}
	return b.file, nil
}

// add reports a problem; what goes on after the key.
func (b *builder) add(what, remedy string, at ...string) {
	b.problems = append(b.problems, b.doc.Problem(tomlfile.Path(at).String()+" "+what, remedy, at...))
}

const domainRemedy = `write a plain domain, such as "example.com"`

// domains fills in the alias groups. The domains come first, so that an alias
// can be told from a domain of its own wherever it stands.
func (b *builder) domains(form map[string]domainForm) {
	owners := map[string]string{} // canonical domain → the key that it comes from
	for _, key := range slices.Sorted(maps.Keys(form)) {
		domain, err := rules.CanonicalDomain(key)
		if err != nil {
			b.add("is not a domain", domainRemedy, "domains", key)
			continue
		}
		if first, twice := owners[domain]; twice {
			b.duplicate("domain", "domains", first, key)
			continue
		}
		owners[domain] = key
		b.file.groups[domain] = []string{domain}
	}
	own := maps.Clone(owners)
	for _, key := range slices.Sorted(maps.Keys(form)) {
		if domain, err := rules.CanonicalDomain(key); err == nil && own[domain] == key {
			b.aliases(key, domain, form[key].Aliases, owners)
		}
	}
}

// aliases adds the aliases of one domain to its group.
func (b *builder) aliases(key, domain string, aliases []string, owners map[string]string) {
	group := []string{domain}
	for i, written := range aliases {
		at := tomlfile.Path{"domains", key, "aliases", tomlfile.Index(i)}
		if len(b.broken) > 0 && b.broken[at.String()] {
			continue
		}
		alias, err := rules.CanonicalDomain(written)
		value := fmt.Sprintf("= %q ", written)
		owner, taken := owners[alias]
		switch {
		case err != nil:
			b.add(value+"is not a domain", domainRemedy, at...)
		case alias == domain:
			b.add(value+"is the domain itself", "remove it", at...)
		case !taken:
			owners[alias] = key
			group = append(group, alias)
		case owner == key:
			b.add(value+"stands here twice", "remove one of them", at...)
		case len(b.file.groups[alias]) > 0 && b.file.groups[alias][0] == alias:
			b.add(value+"is a domain of its own, too", fmt.Sprintf("remove %q from [domains], or from these aliases", owner), at...)
		default:
			b.add(value+fmt.Sprintf("is an alias of %q, too", owner), "leave it with one of them; domains that share an alias are one group", at...)
		}
	}
	for _, d := range group {
		b.file.groups[d] = group
	}
}

// accounts fills in everything about accounts. They stand in one block of
// memory: there may be a million.
func (b *builder) accounts(form map[string]accountForm) {
	block := make([]rules.Account, 0, len(form))
	written := make(map[string]string, len(form)) // canonical login → the key that it comes from
	for _, key := range slices.Sorted(maps.Keys(form)) {
		login, ok := b.login(key)
		if !ok {
			continue
		}
		if first, twice := written[login]; twice {
			b.duplicate("account", "accounts", first, key)
			continue
		}
		written[login] = key
		a := form[key]
		b.quota(key, "messages_per_hour", a.MessagesPerHour)
		b.quota(key, "recipients_per_hour", a.RecipientsPerHour)
		block = append(block, rules.Account{
			Login: login, SMTP: a.SMTP == nil || *a.SMTP, Forward: a.Forward,
			MessagesPerHour: a.MessagesPerHour, RecipientsPerHour: a.RecipientsPerHour,
		})
		b.file.accounts[login] = &block[len(block)-1]
		if list := b.list(key, "addresses", a.Addresses, rules.CanonicalAddress); list != nil {
			b.file.addresses[login] = list
		}
		if list := b.list(key, "senders", a.Senders, canonicalSender); list != nil {
			b.file.senders[login] = list
		}
	}
}

// login checks the name of an account.
func (b *builder) login(key string) (login string, ok bool) {
	login, ok = b.logins.Canonical(key)
	if ok {
		// What the default domain completed has to be plain, too.
		_, ok = rules.CanonicalAddress(login)
	}
	if !ok {
		b.add("is not a whole address", `write it as "name@domain", without quotes, %, ! and spaces`, "accounts", key)
		return "", false
	}
	domain := rules.DomainOf(login)
	if _, known := b.file.groups[domain]; !known && !b.noDomains() {
		b.add("is in a domain that is not in [domains]",
			fmt.Sprintf("add %q = {} to [domains], or the domain to the aliases of another", domain), "accounts", key)
		return "", false
	}
	return login, true
}

// noDomains tells whether [domains] is misspelt or of a wrong type: that is said
// once, not for every account again.
func (b *builder) noDomains() bool {
	return len(b.file.groups) == 0 && len(b.broken) > 0
}

func (b *builder) quota(account, key string, n int) {
	if n < 0 {
		b.add(fmt.Sprintf("= %d is below 0", n), "write a number from 1, or leave it out for the default of [quota]", "accounts", account, key)
	}
}

// list is the canonical form of a list of addresses; nil if it is empty.
func (b *builder) list(account, key string, written []string, canonical func(string) (string, bool)) []string {
	var list []string
	for i, s := range written {
		at := tomlfile.Path{"accounts", account, key, tomlfile.Index(i)}
		if len(b.broken) > 0 && b.broken[at.String()] {
			continue
		}
		address, ok := canonical(s)
		if !ok {
			remedy := `write it as "name@domain", without quotes, %, ! and spaces`
			if key == "senders" {
				remedy += `, or "@domain" for all of a domain`
			}
			b.add(fmt.Sprintf("= %q is not a plain address", s), remedy, at...)
			continue
		}
		list = append(list, address)
	}
	return list
}

// duplicate reports two keys that mean the same, at the later of them.
func (b *builder) duplicate(kind, table, first, second string) {
	lines := []int{b.doc.Line(table, first), b.doc.Line(table, second)}
	if lines[0] > lines[1] {
		first, second = second, first
		slices.Reverse(lines)
	}
	remedy := "keep one of them"
	if strings.EqualFold(first, second) {
		remedy += "; upper and lower case are the same"
	}
	b.add(fmt.Sprintf("is the same %s as %q in line %d", kind, first, lines[0]), remedy, table, second)
}
