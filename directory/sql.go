package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"portreeve/rules"
)

// Queries are the questions in SQL (SPEC.md section 7). Each ? is the value
// asked for. One that is empty has no answer: no addresses, no senders; without
// LocalDomain, the domains that Domains knows are local.
//
// MariaDB takes é for e and ß for ss in most of its collations. A row therefore
// had better say whose it is, in a column login: rows of others are left out, and
// for a login beyond ASCII only rows count that have the column.
type Queries struct {
	Account     string // login → login, smtp, messages_per_hour, recipients_per_hour, forward
	Domains     string // domain → every domain of its alias group, itself included
	Addresses   string // login → addresses; login
	Senders     string // login → addresses and @domains; login
	LocalDomain string // domain → a row where this server takes its mail
}

// SQL is a Directory in a database. It asks the database every time: put a
// Cache in front of it.
type SQL struct {
	db      *sql.DB
	secrets secrets

	account, domains, addresses, senders, local question
}

var _ Directory = (*SQL)(nil)

// OpenSQL makes a directory of a database. Nothing is connected yet. An error
// says what is wrong with the connection string or a query.
func OpenSQL(d Driver, dsn string, q Queries) (*SQL, error) {
	s := &SQL{}
	for _, one := range []struct {
		name string
		text string
		into *question
	}{
		{"account", q.Account, &s.account},
		{"domains", q.Domains, &s.domains},
		{"addresses", q.Addresses, &s.addresses},
		{"senders", q.Senders, &s.senders},
		{"local_domain", q.LocalDomain, &s.local},
	} {
		made, err := newQuestion(d, one.name, one.text)
		if err != nil {
			return nil, err
		}
		*one.into = made
	}
	db, hidden, err := open(d, dsn)
	if err != nil {
		return nil, err
	}
	s.db, s.secrets = db, hidden
	return s, nil
}

// Close waits for the queries under way and closes all connections.
func (s *SQL) Close() error { return s.secrets.hide(s.db.Close()) }

// Account implements Directory.
func (s *SQL) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if !askable(login) {
		return nil, false, nil
	}
	for _, written := range spellings(login) {
		var rows accountRows
		err := s.ask(ctx, s.account, written, accountColumns, func(columns []string, values []any) error {
			if !ascii(written) && !slices.Contains(columns, "login") {
				return nil // see Queries
			}
			return rows.add(login, columns, values)
		})
		if err != nil || rows.found {
			return rows.result(err)
		}
	}
	return nil, false, nil
}

// accountRows are the rows of one account. Joins may repeat it; rows that
// contradict one another are an error.
type accountRows struct {
	account rules.Account
	found   bool
}

func (a *accountRows) add(login string, columns []string, values []any) error {
	row, mine, err := accountRow(login, columns, values)
	switch {
	case !mine: // whatever it says
		return nil
	case err != nil:
		return err
	case a.found && a.account != row:
		return dataErrorf("the account query gives rows that contradict one another: let it give one row for a login")
	}
	a.account, a.found = row, true
	return nil
}

func (a *accountRows) result(err error) (*rules.Account, bool, error) {
	if err != nil {
		return nil, false, err
	}
	return &a.account, true, nil
}

// accountColumns finds a name that is not known: a flag that is misspelt would
// be one that never speaks.
func accountColumns(columns []string) error {
	for _, c := range columns {
		switch c {
		case "login", "smtp", "forward", "messages_per_hour", "recipients_per_hour":
		default:
			return fmt.Errorf("the account query gives a column %q: name it login, smtp, messages_per_hour, recipients_per_hour or forward (… AS smtp)", c)
		}
	}
	return nil
}

// accountRow reads one row. mine is false for a row of another login.
func accountRow(login string, columns []string, values []any) (a rules.Account, mine bool, err error) {
	a = rules.Account{Login: login, SMTP: true}
	mine = true
	for i, column := range columns {
		var wrong error
		switch column {
		case "login":
			written, ok := text(values[i])
			mine = mine && ok && sameLogin(written, login)
		case "smtp":
			a.SMTP, wrong = truth(column, values[i])
		case "forward":
			a.Forward, wrong = truth(column, values[i])
		case "messages_per_hour":
			a.MessagesPerHour, wrong = number(column, values[i])
		case "recipients_per_hour":
			a.RecipientsPerHour, wrong = number(column, values[i])
		}
		err = errors.Join(err, wrong)
	}
	return a, mine, err
}

// Domains implements Directory.
func (s *SQL) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if !askableDomain(domain) {
		return nil, false, nil
	}
	for _, written := range spellings(domain) {
		list, err := s.list(ctx, s.domains, written, "")
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
func (s *SQL) Addresses(ctx context.Context, login string) ([]string, error) {
	return s.addressList(ctx, s.addresses, login, rules.CanonicalAddress)
}

// Senders implements Directory.
func (s *SQL) Senders(ctx context.Context, login string) ([]string, error) {
	return s.addressList(ctx, s.senders, login, canonicalSender)
}

func (s *SQL) addressList(ctx context.Context, q question, login string, canonical func(string) (string, bool)) ([]string, error) {
	if !askable(login) {
		return nil, nil
	}
	for _, written := range spellings(login) {
		list, err := s.list(ctx, q, written, login)
		if err != nil {
			return nil, err
		}
		if found := canonicalList(list, canonical); len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// Local implements Directory. A row whose value is no is none: a query that
// counts gives one for every domain. A row that names a domain must name the one
// that was asked for.
func (s *SQL) Local(ctx context.Context, domain string) (bool, error) {
	if s.local.text == "" {
		_, found, err := s.Domains(ctx, domain)
		return found, err
	}
	if !askableDomain(domain) {
		return false, nil
	}
	for _, written := range spellings(domain) {
		ours := false
		err := s.ask(ctx, s.local, written, anyColumns, func(_ []string, values []any) error {
			name, isText := text(values[0])
			if isText && strings.Contains(name, ".") || !ascii(written) {
				d, err := rules.CanonicalDomain(strings.TrimSpace(name))
				ours = ours || err == nil && d == domain
				return nil
			}
			ours = ours || !isNo(values[0])
			return nil
		})
		if err != nil || ours {
			return ours && err == nil, err
		}
	}
	return false, nil
}

func anyColumns([]string) error { return nil }

// list is the one column of a query beside login, without NULLs.
func (s *SQL) list(ctx context.Context, q question, value, login string) ([]string, error) {
	var list []string
	owner := -1
	check := func(columns []string) error {
		if login != "" { // of a domain: canonicalDomains looks itself
			owner = slices.Index(columns, "login")
		}
		if n := len(columns); n != 1 && (n != 2 || owner < 0) {
			return fmt.Errorf("the %s query gives %d columns: let it give one, and login", q.name, n)
		}
		return nil
	}
	err := s.ask(ctx, q, value, check, func(_ []string, values []any) error {
		if login != "" {
			whose, ok := value, ascii(value)
			if owner >= 0 {
				whose, ok = text(values[owner])
			}
			if !ok || !sameLogin(whose, login) {
				return nil
			}
		}
		at := 0
		if owner == 0 {
			at = len(values) - 1
		}
		if written, ok := text(values[at]); ok {
			list = append(list, written)
		}
		return nil
	})
	return list, err
}

// ask runs a query, if there is one, and hands out its rows. All errors are fit to
// be shown.
func (s *SQL) ask(ctx context.Context, q question, value string, check func([]string) error, each func([]string, []any) error) error {
	if q.text == "" {
		return nil
	}
	err := q.run(ctx, s.db, value, check, each)
	if err == nil || !ascii(value) && unstorable(err) && s.answers(ctx, q) {
		return nil
	}
	if _, ok := errors.AsType[*dataError](err); ok {
		return fmt.Errorf("directory: %w", err)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // a driver's words for it are many
	}
	return fmt.Errorf("asking the database (%s): %w", q.name, s.secrets.hide(err))
}

// answers tells whether a query works with a value that every table can hold:
// MariaDB uses the same errors for tables whose collations differ, and those fail
// for everybody.
func (s *SQL) answers(ctx context.Context, q question) bool {
	return q.run(ctx, s.db, nobody, anyColumns, func([]string, []any) error { return nil }) == nil
}
