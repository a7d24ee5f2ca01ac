package directory

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestFillFilter(t *testing.T) {
	for _, tt := range []struct{ filter, name, want string }{
		{"(mail=%s)", "jan@domena.cz", "(mail=jan@domena.cz)"},
		{"(&(uid=%u)(dc=%d))", "jan@domena.cz", "(&(uid=jan)(dc=domena.cz))"},
		{"(dc=%d)", "domena.cz", "(dc=domena.cz)"},
		{"(a=100%%)(mail=%s)", "a@b.cz", "(a=100%)(mail=a@b.cz)"},
		{"(mail=%%s%s)", "a@b.cz", "(mail=%sa@b.cz)"},
		{"(mail=%s)", "*@b.cz", `(mail=\2a@b.cz)`},
		{"(mail=%s)", `a)(uid=*\@b.cz`, `(mail=a\29\28uid=\2a\5c@b.cz)`},
		{"(mail=%s)", "%u@b.cz", "(mail=%u@b.cz)"}, // what is filled in is not read again
		{"(mail=%s)", "иван@b.cz", `(mail=\d0\b8\d0\b2\d0\b0\d0\bd@b.cz)`},
	} {
		if got := fillFilter(tt.filter, tt.name); got != tt.want {
			t.Errorf("%s with %s: %s, want %s", tt.filter, tt.name, got, tt.want)
		}
	}
}

func TestCheckFilter(t *testing.T) {
	for _, tt := range []struct {
		filter string
		login  bool
		want   string
	}{
		{"(mail=%s)", true, ""},
		{"(&(uid=%u)(dc=%d)(x=%%))", true, ""},
		{"(dc=%d)", false, ""},
		{"(uid=%u)", false, `a % that means nothing ("%u")`},
		{"(mail=%m)", true, `a % that means nothing ("%m")`},
		{"(mail=%", true, `a % that means nothing ("%")`},
		{"(objectClass=*)", true, "has no %s"},
		{"(mail=%%s)", true, "has no %s"},
		{"mail=%s)", true, "is no LDAP filter"},
		{"(mail=%s", true, "is no LDAP filter"},
	} {
		m := CheckFilter(tt.filter, tt.login)
		if (m == nil) != (tt.want == "") || m != nil && (!strings.Contains(m.What, tt.want) || m.Remedy == "") {
			t.Errorf("%s: %v, want %q", tt.filter, m, tt.want)
		}
	}
}

func TestLDAPURLs(t *testing.T) {
	for url, want := range map[string]server{
		"ldap://h":                 {"tcp", "h:389", "h", false},
		"ldap://h:3890/":           {"tcp", "h:3890", "h", false},
		"ldaps://[2001:db8::1]":    {"tcp", "[2001:db8::1]:636", "2001:db8::1", true},
		"ldapi:///run/slapd/ldapi": {"unix", "/run/slapd/ldapi", "", false},
		"ldapi://%2Frun%2Fsl%20ap": {"unix", "/run/sl ap", "", false},
		"ldapi:///":                {"unix", "/run/slapd/ldapi", "", false},
		"ldapi://":                 {"unix", "/run/slapd/ldapi", "", false},
	} {
		if got, ok := parseLDAPURL(url); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", url, got, ok, want)
		}
	}
	for _, url := range []string{"", "h", "http://h", "ldap://", "ldap://h/dc=x", "ldap://u:p@h", "ldap://h?x", "ldapi://relative", "ldapi://%zz", "ldap://h:port"} {
		if m := CheckLDAPURL(url, false); m == nil || m.Remedy == "" {
			t.Errorf("%q is taken: %v", url, m)
		}
	}
	for url, needless := range map[string]bool{"ldap://h": false, "ldaps://h": true, "ldapi:///x": true} {
		if m := CheckLDAPURL(url, true); (m != nil) != needless {
			t.Errorf("StartTLS with %s: %v", url, m)
		}
	}
}

func TestOverheard(t *testing.T) {
	for _, tt := range []struct {
		url      string
		startTLS bool
		bindDN   string
		want     bool
	}{
		{"ldap://ldap.example.com", false, "cn=x", true},
		{"ldap://192.0.2.1", false, "cn=x", true},
		{"ldap://ldap.example.com", true, "cn=x", false},
		{"ldap://ldap.example.com", false, "", false},
		{"ldaps://ldap.example.com", false, "cn=x", false},
		{"ldapi:///run/slapd/ldapi", false, "cn=x", false},
		{"ldap://localhost", false, "cn=x", false},
		{"ldap://[::1]:3890", false, "cn=x", false},
	} {
		if got := (LDAPOptions{URL: tt.url, StartTLS: tt.startTLS, BindDN: tt.bindDN}).Overheard(); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// FuzzFillFilter: whatever a client calls itself, the filter stays what it was.
func FuzzFillFilter(f *testing.F) {
	for _, name := range []string{"jan@domena.cz", "*", ")(uid=*", `\2a`, "a\x00@b", "%s%d%u%%", "\xff@\xfe", ""} {
		f.Add(name)
	}
	shape := func(t *testing.T, name string) (string, string) {
		packet, err := ldap.CompileFilter(fillFilter("(&(mail=%s)(!(uid=%u))(dc=%d))", name))
		if err != nil {
			t.Fatalf("%q makes no filter: %v", name, err)
		}
		value := packet.Children[0].Children[1].Data.String()
		for _, c := range packet.Children[0].Children {
			c.Children = nil
		}
		return packet.Description + packet.Children[1].Description + packet.Children[2].Description, value
	}
	f.Fuzz(func(t *testing.T, name string) {
		want, _ := shape(t, "jan@domena.cz")
		got, value := shape(t, name)
		if got != want || value != name {
			t.Errorf("%q makes another filter, or asks for %q", name, value)
		}
	})
}
