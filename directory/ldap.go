package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"portreeve/rules"
)

// LDAPOptions are [directory.ldap]. A filter that is empty is that of the
// account for addresses and senders, and that of the domains for local domains.
type LDAPOptions struct {
	URL      string
	StartTLS bool
	CA       []byte // certificates in PEM that the server's is checked by; nil: the system's
	BindDN   string // empty: anonymous
	Password string
	Base     string

	AccountFilter, DomainsFilter, AddressesFilter, SendersFilter, LocalFilter string

	// Names of attributes; empty: there is none. The last three may be several,
	// with commas between them.
	SMTP, Forward, Messages, Recipients string
	Domains, Addresses, Senders         string
}

// LDAP is a Directory on an LDAP server. It asks the server every time: put a
// Cache in front of it.
type LDAP struct {
	o       LDAPOptions
	pool    *ldapPool
	secrets secrets
}

var _ Directory = (*LDAP)(nil)

// OpenLDAP makes a directory of an LDAP server. Nothing is connected yet.
func OpenLDAP(o LDAPOptions) (*LDAP, error) {
	pool, err := newLDAPPool(o)
	if err != nil {
		return nil, err
	}
	for into, other := range map[*string]string{
		&o.AddressesFilter: o.AccountFilter, &o.SendersFilter: o.AccountFilter, &o.LocalFilter: o.DomainsFilter,
	} {
		if *into == "" {
			*into = other
		}
	}
	return &LDAP{o: o, pool: pool, secrets: newSecrets(o.Password)}, nil
}

// Close closes the idle connections; those in use are closed after their answer.
func (l *LDAP) Close() error {
	l.pool.close()
	return nil
}

// Account implements Directory. A flag that is configured and not in the entry
// is no: an access rule of the server may hide it.
func (l *LDAP) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if !distinct(login) {
		return nil, false, nil
	}
	attributes := present(l.o.SMTP, l.o.Forward, l.o.Messages, l.o.Recipients)
	for _, written := range spellings(login) {
		entries, err := l.ask(ctx, "account", l.o.AccountFilter, written, 2, attributes)
		switch {
		case err != nil:
			return nil, false, err
		case len(entries) > 1:
			return nil, false, dataErrorf("the account filter finds two entries for one login: let it find one")
		case len(entries) == 1:
			a, err := l.account(login, entries[0])
			return a, err == nil, err
		}
	}
	return nil, false, nil
}

func (l *LDAP) account(login string, e *ldap.Entry) (*rules.Account, error) {
	a := &rules.Account{Login: login, SMTP: true}
	var errs [4]error
	if l.o.SMTP != "" {
		a.SMTP, errs[0] = truth(l.o.SMTP, first(e, l.o.SMTP))
	}
	a.Forward, errs[1] = truth(l.o.Forward, first(e, l.o.Forward))
	a.MessagesPerHour, errs[2] = number(l.o.Messages, first(e, l.o.Messages))
	a.RecipientsPerHour, errs[3] = number(l.o.Recipients, first(e, l.o.Recipients))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return a, nil
}

// Domains implements Directory.
func (l *LDAP) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if !askableDomain(domain) {
		return nil, false, nil
	}
	for _, written := range spellings(domain) {
		list, err := l.list(ctx, "domains", l.o.DomainsFilter, written, l.o.Domains)
		if err != nil {
			return nil, false, err
		}
		if group := canonicalDomains(list, domain); group != nil {
			return group, true, nil
		}
	}
	return nil, false, nil
}

// Addresses implements Directory.
func (l *LDAP) Addresses(ctx context.Context, login string) ([]string, error) {
	return l.addressList(ctx, "addresses", l.o.AddressesFilter, l.o.Addresses, login, rules.CanonicalAddress)
}

// Senders implements Directory.
func (l *LDAP) Senders(ctx context.Context, login string) ([]string, error) {
	return l.addressList(ctx, "senders", l.o.SendersFilter, l.o.Senders, login, canonicalSender)
}

func (l *LDAP) addressList(ctx context.Context, name, filter, attributes, login string, canonical func(string) (string, bool)) ([]string, error) {
	if attributes == "" || !distinct(login) {
		return nil, nil
	}
	for _, written := range spellings(login) {
		list, err := l.list(ctx, name, filter, written, attributes)
		if err != nil {
			return nil, err
		}
		if found := canonicalList(list, canonical); len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// Local implements Directory.
func (l *LDAP) Local(ctx context.Context, domain string) (bool, error) {
	if l.o.LocalFilter == l.o.DomainsFilter {
		_, found, err := l.Domains(ctx, domain)
		return found, err
	}
	if !askableDomain(domain) {
		return false, nil
	}
	for _, written := range spellings(domain) {
		entries, err := l.ask(ctx, "local_domain", l.o.LocalFilter, written, maxRows, nil)
		if err != nil || len(entries) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// list is every value of the attributes, of every entry.
func (l *LDAP) list(ctx context.Context, question, filter, name, attributes string) ([]string, error) {
	names := present(strings.Split(attributes, ",")...)
	entries, err := l.ask(ctx, question, filter, name, maxRows, names)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		for _, attribute := range names {
			list = append(list, e.GetEqualFoldAttributeValues(attribute)...)
		}
	}
	if len(list) > maxRows {
		return nil, dataErrorf("the %s filter gives more than %d values: see that it compares with %%s", question, maxRows)
	}
	return list, nil
}

// ask searches below the base, for at most so many entries. All errors are fit
// to be shown.
func (l *LDAP) ask(ctx context.Context, question, filter, name string, most int, attributes []string) ([]*ldap.Entry, error) {
	if len(attributes) == 0 {
		attributes = []string{"1.1"} // none (RFC 4511 section 4.5.1.8)
	}
	r := ldap.NewSearchRequest(l.o.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, most, 0, false, fillFilter(filter, name), attributes, nil)
	result, err := l.pool.search(ctx, r)
	switch {
	case err == nil:
		return result.Entries, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, dataErrorf("the %s filter finds more than %d entries, or the server shows no more: see that it compares with %%s", question, most)
	}
	return nil, fmt.Errorf("asking the LDAP server (%s): %w", question, l.secrets.hide(err))
}

// present are the names that are not empty.
func present(names ...string) []string {
	var list []string
	for _, n := range names {
		if n = strings.TrimSpace(n); n != "" {
			list = append(list, n)
		}
	}
	return list
}

// first is the first value of an attribute, or nil: NULL.
func first(e *ldap.Entry, attribute string) any {
	if attribute == "" {
		return nil
	}
	if values := e.GetEqualFoldAttributeValues(attribute); len(values) > 0 {
		return values[0]
	}
	return nil
}
