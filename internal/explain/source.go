package explain

import (
	"fmt"
	"strings"
)

// Source is where the accounts are when they are not in accounts.toml. What has to
// be changed there is said in the terms of [directory], for Portreeve does not
// write it.
type Source struct {
	Kind     string // "sql", "ldap"
	Software string // that keeps the database, by directory.sql.schema
	Senders  bool   // external senders have a database of their own: [directory.senders]
	// Attributes are the names that [directory.ldap] has for facts.
	Attributes map[string]string
}

// fact is something that the directory must know once a remedy is carried out:
// the account, domain, address or sender, or a column of an account.
type fact struct{ of, key, value string }

// The keys of facts: the questions to a directory, and the columns of an account.
const (
	factAccount    = "account"
	factDomains    = "domains"
	factAddresses  = "addresses"
	factSenders    = "senders"
	factSMTP       = "smtp"
	factForward    = "forward"
	factMessages   = "messages_per_hour"
	factRecipients = "recipients_per_hour"
)

// softwares are the names of directory.sql.schema as people know them.
var softwares = map[string]string{
	"postfixadmin": "PostfixAdmin", "iredmail": "iRedMail", "ispconfig": "ISPConfig", "mailcow": "mailcow", "modoboa": "Modoboa",
}

// change says what must be changed in the source, as whole sentences.
func (s Source) change(facts []fact) string {
	var list []string
	for _, f := range facts {
		if !plain(f.of) || !plain(f.value) {
			continue
		}
		switch s.Kind {
		case "sql":
			list = append(list, s.inDatabase(f))
		case "ldap":
			list = append(list, s.inLDAP(f))
		}
	}
	if len(list) == 0 {
		return " Make the change where the directory has its data."
	}
	where := "In the database of [directory.sql]"
	switch {
	case s.Kind == "ldap":
		where = "In the LDAP directory"
	case s.Software != "":
		where = "In the database of " + firstOf(softwares[s.Software], s.Software)
	}
	return fmt.Sprintf(" %s: %s.", where, strings.Join(list, ", and "))
}

// inDatabase names the query that has to find the fact.
func (s Source) inDatabase(f fact) string {
	query := "directory.sql." + f.key
	switch f.key {
	case factAccount:
		return fmt.Sprintf("%s must return a row for %s", query, f.of)
	case factDomains:
		return fmt.Sprintf("%s must return %s for %s, and all of the group for each of them", query, f.value, f.of)
	case factAddresses:
	case factSenders:
		if s.Senders {
			query = "directory.senders.query"
		}
	default:
		own := ""
		if s.Software != "" && f.key != factSMTP {
			own = " (with a query of your own: this database has no such column)"
		}
		return fmt.Sprintf("directory.sql.account must return %s = %s for %s%s", f.key, f.value, f.of, own)
	}
	return fmt.Sprintf("%s must return %s for %s", query, f.value, f.of)
}

// inLDAP names the attribute that has to have the fact.
func (s Source) inLDAP(f fact) string {
	if f.key == factAccount {
		return fmt.Sprintf("directory.ldap.account_filter must find %s", f.of)
	}
	if f.key == factSenders && s.Senders {
		return s.inDatabase(f)
	}
	attribute := s.Attributes[f.key]
	if attribute == "" {
		return fmt.Sprintf("the entry of %s needs an attribute for %s = %s, and directory.ldap.%s_attribute its name", f.of, f.key, f.value, f.key)
	}
	return fmt.Sprintf("the entry of %s must have %s: %s", f.of, attribute, f.value)
}
