//go:build real

package directory_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"portreeve/directory"
	"portreeve/directory/directorytest"
	"portreeve/integration/servers"
)

// slapdOptions: a tree with attributes for everything that Portreeve can ask,
// and a user that may only read it.
var slapdOptions = servers.SlapdOptions{
	Suffix: "dc=test", Password: password,
	Schema: ldapAttributes("1.3.6.1.4.1.1466.115.121.1.15", "caseIgnoreMatch", "mailLogin", "mailDomainName", "mailDomainAlias", "mailOwnAddress", "mailSender") +
		ldapAttributes("1.3.6.1.4.1.1466.115.121.1.7", "booleanMatch", "mailSmtp", "mailForward") +
		ldapAttributes("1.3.6.1.4.1.1466.115.121.1.27", "integerMatch", "mailMessages", "mailRecipients") +
		ldapAttributes("1.3.6.1.4.1.1466.115.121.1.26", "caseIgnoreIA5Match", "shadowAddress", "accountStatus", "domainStatus", "enabledService", "domainName", "domainAliasName", "domainBackupMX") +
		"objectclass ( 1.3.6.1.4.1.4203.666.2.2 NAME 'mailUser' SUP top STRUCTURAL MUST mail MAY ( shadowAddress $ accountStatus $ domainStatus $ enabledService ) )\n" +
		"objectclass ( 1.3.6.1.4.1.4203.666.2.3 NAME 'mailDomain' SUP top STRUCTURAL MUST domainName MAY ( domainAliasName $ accountStatus $ enabledService $ domainBackupMX ) )\n" +
		"objectclass ( 1.3.6.1.4.1.4203.666.2.1 NAME 'mailThing' SUP top STRUCTURAL MUST cn MAY ( mailLogin $ mailDomainName $ mailDomainAlias $ mailOwnAddress $ mailSender $ mailSmtp $ mailForward $ mailMessages $ mailRecipients ) )",
	Access: `access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=portreeve,dc=test" read by * none`,
}

// ldapAttributes defines attributes of one syntax.
func ldapAttributes(syntax, equality string, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		sum := 0
		for _, c := range name { // an experimental number of its own
			sum = sum*31%100_000 + int(c)
		}
		fmt.Fprintf(&b, "attributetype ( 1.3.6.1.4.1.4203.666.1.%d NAME '%s' EQUALITY %s SYNTAX %s )\n", sum, name, equality, syntax)
	}
	return b.String()
}

func newSlapd(t *testing.T) *servers.Slapd {
	s, err := servers.NewSlapd(t.Context(), place(t, "slapd"), slapdOptions)
	mine(t, s, err)
	entry(t, s, "cn=portreeve,dc=test", map[string][]string{"objectClass": {"organizationalRole", "simpleSecurityObject"}, "userPassword": {password}})
	return s
}

func entry(t *testing.T, s *servers.Slapd, dn string, attributes map[string][]string) {
	t.Helper()
	if err := s.Add(slapdOptions, dn, attributes); err != nil {
		t.Fatalf("adding %s: %v", dn, err)
	}
}

// ldapOptions are for the tree below a base.
func ldapOptions(s *servers.Slapd, base string) directory.LDAPOptions {
	return directory.LDAPOptions{
		URL: s.LDAP(), StartTLS: true, CA: s.CA, BindDN: "cn=portreeve,dc=test", Password: password, Base: base,
		AccountFilter: "(&(objectClass=mailThing)(mailLogin=%s))",
		DomainsFilter: "(&(objectClass=mailThing)(|(mailDomainName=%d)(mailDomainAlias=%d)))",
		SMTP:          "mailSmtp", Forward: "mailForward", Messages: "mailMessages", Recipients: "mailRecipients",
		Domains: "mailDomainName, mailDomainAlias", Addresses: "mailOwnAddress", Senders: "mailSender",
	}
}

func openLDAP(t *testing.T, o directory.LDAPOptions) *directory.LDAP {
	t.Helper()
	d, err := directory.OpenLDAP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// loadLDAP writes a world below a base of its own.
func loadLDAP(t *testing.T, s *servers.Slapd, w directorytest.World) (base string) {
	base = fmt.Sprintf("ou=%d,dc=test", host.n.Add(1))
	ou, _, _ := strings.Cut(strings.TrimPrefix(base, "ou="), ",")
	entry(t, s, base, map[string][]string{"objectClass": {"organizationalUnit"}, "ou": {ou}})
	add := func(cn string, more map[string][]string) {
		more["objectClass"], more["cn"] = []string{"mailThing"}, []string{cn}
		for name, values := range more {
			if len(values) == 0 {
				delete(more, name)
			}
		}
		entry(t, s, fmt.Sprintf("cn=%s,%s", ldap.EscapeDN(cn), base), more)
	}
	for _, d := range w.Domains {
		add(d.Name, map[string][]string{"mailDomainName": {d.Name}, "mailDomainAlias": d.Aliases})
	}
	for _, a := range w.Accounts {
		more := map[string][]string{
			"mailLogin": {a.Login}, "mailSmtp": {strings.ToUpper(fmt.Sprint(!a.Disabled))},
			"mailOwnAddress": a.Addresses, "mailSender": a.Senders,
		}
		if a.Forward {
			more["mailForward"] = []string{"TRUE"}
		}
		if a.MessagesPerHour > 0 {
			more["mailMessages"], more["mailRecipients"] = []string{fmt.Sprint(a.MessagesPerHour)}, []string{fmt.Sprint(a.RecipientsPerHour)}
		}
		add(a.Login, more)
	}
	return base
}

func TestRealLDAP(t *testing.T) {
	s := newSlapd(t)
	for name, change := range map[string]func(o *directory.LDAPOptions){
		"StartTLS": func(*directory.LDAPOptions) {},
		"ldaps":    func(o *directory.LDAPOptions) { o.URL, o.StartTLS = s.LDAPS(), false },
		"ldapi":    func(o *directory.LDAPOptions) { o.URL, o.StartTLS = s.LDAPI(), false },
	} {
		t.Run(name, func(t *testing.T) {
			directorytest.Run(t, directorytest.Source{Open: func(t *testing.T, w directorytest.World) directory.Directory {
				o := ldapOptions(s, loadLDAP(t, s, w))
				change(&o)
				return openLDAP(t, o)
			}})
		})
	}
	t.Run("Life", func(t *testing.T) { ldapLife(t, s) })
	t.Run("IRedMail", func(t *testing.T) { ldapIRedMail(t, s) })
	t.Run("People", func(t *testing.T) { ldapPeople(t, s) })
}

// ldapLife is what a tree collects.
func ldapLife(t *testing.T, s *servers.Slapd) {
	base := loadLDAP(t, s, directorytest.World{Domains: []directorytest.Domain{{Name: "domena.cz", Aliases: []string{"DOMENA.eu"}}}})
	for cn, more := range map[string]map[string][]string{
		"jan":   {"mailLogin": {"Jan@Domena.cz"}, "mailSmtp": {"TRUE"}, "mailOwnAddress": {"Prodej@domena.cz", "@domena.cz"}, "mailMessages": {"7"}},
		"petr":  {"mailLogin": {"petr@domena.cz"}}, // without the flag
		"one":   {"mailLogin": {"two@domena.cz"}, "mailSmtp": {"TRUE"}},
		"other": {"mailLogin": {"two@domena.cz"}, "mailSmtp": {"TRUE"}},
		"star":  {"mailLogin": {"a*b(c)@domena.cz"}, "mailSmtp": {"TRUE"}},
	} {
		more["objectClass"], more["cn"] = []string{"mailThing"}, []string{cn}
		entry(t, s, "cn="+cn+","+base, more)
	}
	d := openLDAP(t, ldapOptions(s, base))
	known{
		enabled: []string{"jan@domena.cz"}, disabled: []string{"petr@domena.cz"}, none: []string{"a*@domena.cz", "*@domena.cz", "jan@domena.eu"},
		groups:    map[string]string{"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "seznam.cz": ""},
		addresses: map[string]string{"jan@domena.cz": "prodej@domena.cz", "petr@domena.cz": ""},
		limits:    map[string][2]int{"jan@domena.cz": {7, 0}},
		local:     []string{"domena.eu"}, foreign: []string{"seznam.cz"},
	}.check(t, d)
	if a, found, err := d.Account(context.Background(), "two@domena.cz"); found || err == nil || !strings.Contains(err.Error(), "finds two entries") {
		t.Errorf("an account with two entries is %v, %v, %v", a, found, err)
	}
}

// ldapIRedMail is contrib/directory/iredmail-ldap.toml, with entries as iRedMail's
// users have them.
func ldapIRedMail(t *testing.T, s *servers.Slapd) {
	base := loadLDAP(t, s, directorytest.World{})
	domain := func(name string, more map[string][]string) {
		one := map[string][]string{"objectClass": {"mailDomain"}, "domainName": {name}, "accountStatus": {"active"}, "enabledService": {"mail", "domainalias"}}
		maps.Copy(one, more)
		entry(t, s, "domainName="+name+","+base, one)
	}
	user := func(mail string, more map[string][]string) {
		one := map[string][]string{"objectClass": {"mailUser"}, "mail": {mail}, "accountStatus": {"active"}, "enabledService": {"mail", "smtp", "imap"}}
		maps.Copy(one, more)
		entry(t, s, "mail="+mail+","+base, one)
	}
	domain("domena.cz", map[string][]string{"domainAliasName": {"domena.eu"}})
	domain("off.cz", map[string][]string{"accountStatus": {"disabled"}})
	domain("zaloha.cz", map[string][]string{"domainBackupMX": {"yes"}})
	user("jan@domena.cz", map[string][]string{"shadowAddress": {"prodej@domena.cz", "jan@domena.eu"}})
	user("off@domena.cz", map[string][]string{"accountStatus": {"disabled"}})
	user("ctenar@domena.cz", map[string][]string{"enabledService": {"mail", "imap"}})
	user("eva@off.cz", map[string][]string{"domainStatus": {"disabled"}})
	o := iredmailLDAP(t)
	o.URL, o.BindDN, o.Password, o.Base = s.LDAP(), "cn=portreeve,dc=test", password, base
	known{
		enabled: []string{"jan@domena.cz"}, none: []string{"off@domena.cz", "ctenar@domena.cz", "eva@off.cz", "prodej@domena.cz"},
		groups:    map[string]string{"domena.cz": "domena.cz domena.eu", "domena.eu": "domena.cz domena.eu", "off.cz": "", "zaloha.cz": ""},
		addresses: map[string]string{"jan@domena.cz": "jan@domena.eu prodej@domena.cz"},
		local:     []string{"domena.cz", "domena.eu", "zaloha.cz"}, foreign: []string{"off.cz", "seznam.cz"},
	}.check(t, openLDAP(t, o))
}

// ldapPeople is the example of docs/directory.md: a company's inetOrgPersons.
func ldapPeople(t *testing.T, s *servers.Slapd) {
	base := loadLDAP(t, s, directorytest.World{})
	for uid, mail := range map[string][]string{"jan": {"jan@firma.cz", "jan.novak@firma.cz"}, "eva": {"eva@firma.cz"}} {
		entry(t, s, "uid="+uid+","+base, map[string][]string{"objectClass": {"inetOrgPerson"}, "cn": {uid}, "sn": {uid}, "mail": mail})
	}
	entry(t, s, "dc=firma,"+base, map[string][]string{"objectClass": {"domain"}, "dc": {"firma"}, "associatedName": {"dc=test"}, "description": {"firma.cz", "firma.eu"}})
	o := ldapOptions(s, base)
	o.AccountFilter, o.DomainsFilter = "(&(objectClass=inetOrgPerson)(mail=%s))", "(&(objectClass=domain)(description=%s))"
	o.SMTP, o.Forward, o.Messages, o.Recipients, o.Senders = "", "", "", "", ""
	o.Domains, o.Addresses = "description", "mail"
	known{
		enabled: []string{"jan@firma.cz", "jan.novak@firma.cz", "eva@firma.cz"}, none: []string{"info@firma.cz"},
		groups:    map[string]string{"firma.eu": "firma.cz firma.eu", "cz": ""},
		addresses: map[string]string{"jan@firma.cz": "jan.novak@firma.cz jan@firma.cz"},
		local:     []string{"firma.cz"}, foreign: []string{"jinde.cz"},
	}.check(t, openLDAP(t, o))
}
