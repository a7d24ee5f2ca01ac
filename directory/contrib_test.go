package directory_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"portreeve/directory"
)

// throttleQueries are those of contrib/directory/iredmail-throttle.toml.
func throttleQueries(t *testing.T) directory.Queries {
	t.Helper()
	var c struct {
		Directory struct {
			SQL struct{ Driver, Schema, Account string }
		}
	}
	if _, err := toml.DecodeFile("../contrib/directory/iredmail-throttle.toml", &c); err != nil {
		t.Fatal(err)
	}
	q := c.Directory.SQL
	if m := directory.CheckQuery(directory.Driver(q.Driver), q.Account); m != nil || q.Schema != "iredmail" {
		t.Fatalf("schema %q: %v", q.Schema, m)
	}
	return directory.Queries{Account: q.Account}.Or(directory.Schemas[q.Schema].Queries)
}

func TestThrottleQueries(t *testing.T) { throttleQueries(t) }

// iredmailLDAP is contrib/directory/iredmail-ldap.toml.
func iredmailLDAP(t *testing.T) directory.LDAPOptions {
	t.Helper()
	var c struct {
		Directory struct{ LDAP map[string]string }
	}
	if _, err := toml.DecodeFile("../contrib/directory/iredmail-ldap.toml", &c); err != nil {
		t.Fatal(err)
	}
	l := c.Directory.LDAP
	for key, login := range map[string]bool{"account_filter": true, "addresses_filter": true, "domains_filter": false, "local_domain_filter": false} {
		if m := directory.CheckFilter(l[key], login); m != nil {
			t.Errorf("%s: %v", key, m)
		}
	}
	return directory.LDAPOptions{
		URL: l["url"], BindDN: l["bind_dn"], Base: l["base"], AccountFilter: l["account_filter"], AddressesFilter: l["addresses_filter"],
		DomainsFilter: l["domains_filter"], LocalFilter: l["local_domain_filter"], Domains: l["domains_attribute"], Addresses: l["addresses_attribute"],
	}
}

func TestIRedMailLDAP(t *testing.T) { iredmailLDAP(t) }

// docs/directory.md has for each schema what its reader must be allowed to read,
// and these very grants are used by the tests on real servers.
func TestGrantsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	docs := string(data)
	check := func(name string, grants []string) {
		_, part, found := strings.Cut(docs, "\n### "+name+"\n")
		part, _, _ = strings.Cut(part, "\n### ")
		if !found {
			t.Errorf("docs/directory.md has no section %s", name)
		}
		for _, g := range grants {
			if !strings.Contains(part, "`"+g+"`") {
				t.Errorf("docs/directory.md, %s: %s is not there", name, g)
			}
		}
	}
	for _, f := range fixtures {
		if f.name != "own" {
			check(f.name, f.grants)
		}
	}
	check("roundcube", roundcubeGrants)
	for name := range directory.Schemas {
		if !slices.ContainsFunc(fixtures, func(f fixture) bool { return f.name == name }) {
			t.Errorf("the schema %s has no fixture", name)
		}
	}
}
