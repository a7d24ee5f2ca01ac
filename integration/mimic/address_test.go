package mimic

import (
	"net/netip"
	"slices"
	"testing"
)

func addr(t *testing.T, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAddresses is FACTS.md 1.5: what the milter gets as typed, the policy
// service gets unquoted.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		rest, path, internal string
		arguments            []string
		bad                  bool
	}{
		{rest: "FROM:<a@b.cz> SIZE=1 BODY=8BITMIME", path: "<a@b.cz>", internal: "a@b.cz", arguments: []string{"SIZE=1", "BODY=8BITMIME"}},
		{rest: "from: <a@b.cz>", path: "<a@b.cz>", internal: "a@b.cz"},
		{rest: "FROM:<>", path: "<>", internal: ""},
		{rest: "FROM:a@b.cz", path: "a@b.cz", internal: "a@b.cz"},
		{rest: `FROM:<"a b>\" c"@b.cz> X`, path: `<"a b>\" c"@b.cz>`, internal: `a b>" c@b.cz`, arguments: []string{"X"}},
		{rest: `FROM:<"a@evil.test"@own.test>`, path: `<"a@evil.test"@own.test>`, internal: "a@evil.test@own.test"},
		{rest: "FROM:<@own.test:c@evil.test>", path: "<@own.test:c@evil.test>", internal: "c@evil.test"},
		{rest: "FROM:<user%evil.test>", path: "<user%evil.test>", internal: "user%evil.test"},
		{rest: "FROM:<evil.test!user>", path: "<evil.test!user>", internal: "evil.test!user"},
		{rest: "FROM:", bad: true},
		{rest: "FROM: ", bad: true},
		{rest: "TO:<a@b.cz>", bad: true},
		{rest: "<a@b.cz>", bad: true},
	} {
		path, arguments, ok := parsePath(tt.rest, "FROM:")
		if ok == tt.bad || path != tt.path || !slices.Equal(arguments, tt.arguments) {
			t.Errorf("%s: %q %q %v", tt.rest, path, arguments, ok)
		} else if got := Internal(path); got != tt.internal {
			t.Errorf("%s: internal %q, want %q", tt.rest, got, tt.internal)
		}
	}
}

func TestAuthDestination(t *testing.T) {
	for recipient, want := range map[string]bool{
		"a@domena.cz": true, "a@DOMENA.cz.": true, "postmaster": true, "a@mx.test": true,
		"a@far.test": false, "a@sub.domena.cz": false, "a%far.test@domena.cz": false, "far.test!a@domena.cz": false,
	} {
		if got := authDestination(recipient); got != want {
			t.Errorf("%s: %v", recipient, got)
		}
	}
}
