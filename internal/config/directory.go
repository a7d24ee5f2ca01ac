package config

import (
	"fmt"
	"strings"

	"portreeve/directory"
	"portreeve/internal/tomlfile"
)

// directory checks who knows the accounts. Tables that are not in use are not
// looked at: they may wait there for a day on which they are.
func (k *checker) directory() {
	d := &k.c.Directory
	switch d.Source {
	case SourceFile:
		if d.File == "" {
			k.add("directory.file", "is empty", "name the file with the accounts")
		}
	case SourceSQL:
		k.sql(&d.SQL)
	case SourceLDAP:
		k.ldap(&d.LDAP)
	}
	if d.Senders != (SendersSource{}) {
		k.otherSenders(&d.Senders)
	}
}

// sql is [directory.sql].
func (k *checker) sql(s *SQL) {
	const at = "directory.sql."
	driver := directory.Driver(s.Driver)
	if k.missing(at+"driver", string(s.Driver)) {
		k.add(at+"driver", "is empty", `write "postgres", "mysql" (also for MariaDB) or "sqlite"`)
	}
	k.dsn(at+"dsn_file", s.DSNFile, driver, &s.DSN)
	k.mistake(at+"schema", fmt.Sprintf("= %q ", s.Schema), directory.CheckSchema(directory.Schemas, string(s.Schema), driver))
	for _, q := range []struct {
		key, text string
		needed    bool
	}{
		{"account", s.Account, true},
		{"domains", s.Domains, true},
		{"addresses", s.Addresses, false},
		{"senders", s.Senders, false},
		{"local_domain", s.LocalDomain, false},
	} {
		k.mistake(at+q.key, "", directory.CheckQuery(driver, q.text))
		if q.needed && k.missing(at+q.key, q.text) && k.missing(at+"schema", string(s.Schema)) {
			k.add(at+q.key, "is empty", "write a query, or set schema if other software keeps the tables")
		}
	}
}

// ldap is [directory.ldap].
func (k *checker) ldap(l *LDAP) {
	const at = "directory.ldap."
	for key, value := range map[string]string{"url": l.URL, "base": l.Base, "account_filter": l.AccountFilter, "domains_filter": l.DomainsFilter, "domains_attribute": l.DomainsAttribute} {
		if k.missing(at+key, value) {
			k.add(at+key, "is empty", map[string]string{
				"url": "write one such as ldap://ldap.example.com", "base": "write one such as dc=example,dc=com",
				"account_filter":    "write one such as (&(objectClass=inetOrgPerson)(mail=%s))",
				"domains_filter":    "write one that finds a domain and its aliases, such as (|(dc=%s)(associatedDomain=%s))",
				"domains_attribute": "name the attributes that have a domain and its aliases",
			}[key])
		}
	}
	if l.URL != "" {
		k.mistake(at+"url", fmt.Sprintf("= %q ", l.URL), directory.CheckLDAPURL(l.URL, l.StartTLS))
	}
	for _, f := range []struct {
		key, text string
		login     bool
	}{
		{"account_filter", l.AccountFilter, true},
		{"addresses_filter", l.AddressesFilter, true},
		{"senders_filter", l.SendersFilter, true},
		{"domains_filter", l.DomainsFilter, false},
		{"local_domain_filter", l.LocalFilter, false},
	} {
		if f.text != "" {
			k.mistake(at+f.key, fmt.Sprintf("= %q ", f.text), directory.CheckFilter(f.text, f.login))
		}
	}
	switch {
	case k.missing(at+"password_file", l.PasswordFile) && l.BindDN != "":
		k.add(at+"bind_dn", "needs password_file", "write the password to a file, and name that file in password_file")
	case k.missing(at+"bind_dn", l.BindDN) && l.PasswordFile != "":
		k.add(at+"password_file", "needs bind_dn", "write whose password it is, or remove password_file")
	}
	k.line(at+"password_file", l.PasswordFile, "the password", &l.Password)
	if l.CAFile != "" {
		text, err := readSmall(l.CAFile)
		if err != nil {
			k.add(at+"ca_file", fmt.Sprintf("= %q cannot be read (%s)", l.CAFile, tomlfile.Cause(err)), "correct the path, or let Portreeve's user read it")
		} else if l.CA = string(text); !directory.IsCA(text) {
			k.add(at+"ca_file", fmt.Sprintf("= %q has no certificate in it", l.CAFile), "name a file in PEM, with BEGIN CERTIFICATE")
		}
	}
}

// otherSenders is [directory.senders].
func (k *checker) otherSenders(s *SendersSource) {
	const at = "directory.senders."
	driver := directory.Driver(s.Driver)
	if k.missing(at+"driver", string(s.Driver)) {
		k.add(at+"driver", "is empty", `write "postgres", "mysql" (also for MariaDB) or "sqlite"`)
	}
	k.dsn(at+"dsn_file", s.DSNFile, driver, &s.DSN)
	k.mistake(at+"query", "", directory.CheckQuery(driver, s.Query))
	if k.missing(at+"query", s.Query) && k.missing(at+"schema", string(s.Schema)) {
		k.add(at+"query", "is empty", `write a query, or schema = "roundcube"`)
	}
}

// missing tells whether a key of a table within a table was left empty, not
// merely misspelt.
func (k *checker) missing(key, value string) bool {
	inner := key[:strings.LastIndexByte(key, '.')]
	return value == "" && !k.broken[key] && !k.broken[inner] && !k.unreadable(key)
}

// mistake reports what another package has found, if it has.
func (k *checker) mistake(key, value string, m *tomlfile.Mistake) {
	if m != nil {
		k.add(key, value+m.What, m.Remedy)
	}
}

// dsn reads a connection string.
func (k *checker) dsn(key, path string, d directory.Driver, into *Secret) {
	if k.missing(key, path) {
		k.add(key, "is empty", "write the connection string to a file, and name that file")
	}
	if k.line(key, path, "the connection string", into); *into != "" && d != "" {
		k.mistake(key, fmt.Sprintf("= %q ", path), directory.CheckDSN(d, string(*into)))
	}
}

// line reads the one line of a file that holds a secret.
func (k *checker) line(key, path, what string, into *Secret) {
	if path == "" {
		return
	}
	text, err := readSmall(path)
	if err != nil {
		k.add(key, fmt.Sprintf("= %q cannot be read (%s)", path, tomlfile.Cause(err)), "correct the path, or let Portreeve's user read it")
		return
	}
	switch line := strings.TrimRight(string(text), "\r\n"); {
	case strings.TrimSpace(line) == "":
		k.add(key, fmt.Sprintf("= %q is an empty file", path), "write "+what+" to it")
	case strings.ContainsAny(line, "\r\n\x00"):
		k.add(key, fmt.Sprintf("= %q holds more than one line", path), "leave "+what+" in it, and nothing else")
	default:
		*into = Secret(line)
	}
}

// SecretFiles are the files in use that hold a password.
func (d Directory) SecretFiles() []string {
	var list []string
	switch {
	case d.Source == SourceSQL && d.SQL.Driver != SQLDriver(directory.SQLite):
		list = append(list, d.SQL.DSNFile)
	case d.Source == SourceLDAP && d.LDAP.PasswordFile != "":
		list = append(list, d.LDAP.PasswordFile)
	}
	if d.Senders.DSNFile != "" && d.Senders.Driver != SQLDriver(directory.SQLite) {
		list = append(list, d.Senders.DSNFile)
	}
	return list
}
