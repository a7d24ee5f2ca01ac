package gate

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/rules"
)

func (f *fixture) facts(id string) Facts {
	f.t.Helper()
	var k Facts
	if err := json.Unmarshal(f.entry(id).Facts, &k); err != nil {
		f.t.Fatal(err)
	}
	return k
}

// A refusal after a POP grant has ended says when it was; one of a stranger, or
// of an address that stands for many people, does not.
func TestLapsedGrants(t *testing.T) {
	f := open(t)
	f.policy.Shared = []netip.Prefix{netip.MustParsePrefix("192.0.2.99/32")}
	for login, client := range map[string]string{"jan@domena.cz": "192.0.2.7", "old@domena.cz": "192.0.2.7", "far@domena.cz": "192.0.2.99"} {
		at := noon
		if login == "old@domena.cz" {
			at = noon.Add(-10 * time.Minute)
		}
		if err := f.Ledger.AddGrant(context.Background(), netip.MustParseAddr(client), rules.Grant{Login: login, Last: at}); err != nil {
			t.Fatal(err)
		}
	}
	d := f.mail("192.0.2.7", "", "jan@domena.cz", 90*time.Minute)
	k := f.facts(d.ID)
	if d.Rule != rules.RuleAuthFailed || len(k.Grants) != 0 || len(k.Lapsed) != 2 || k.Lapsed[0].Login != "jan@domena.cz" || !k.Lapsed[0].Last.Equal(noon) {
		t.Errorf("%+v: %+v", d, k)
	}
	// One still holds: only the other has lapsed.
	if d := f.mail("192.0.2.7", "", "nobody@far.test", 55*time.Minute); d.Rule != rules.RuleSender || len(f.facts(d.ID).Lapsed) != 0 {
		t.Errorf("%+v: %+v", d, f.facts(d.ID))
	}
	for client, after := range map[string]time.Duration{"192.0.2.8": 90 * time.Minute, "192.0.2.99": 90 * time.Minute, "192.0.2.7": time.Hour + LapsedFor + time.Minute} {
		if d := f.mail(client, "", "jan@domena.cz", after); len(f.facts(d.ID).Lapsed) > 0 {
			t.Errorf("%s after %s: %+v", client, after, f.facts(d.ID))
		}
	}
	f.policy.POP.Enabled = false
	if d := f.mail("192.0.2.7", "", "other@domena.cz", 95*time.Minute); len(f.facts(d.ID).Lapsed) > 0 {
		t.Errorf("without SMTP after POP: %+v", f.facts(d.ID))
	}
}

// The journal knows which failures were one password again, and never its hash.
func TestRepeatsAreNumbered(t *testing.T) {
	f := open(t)
	for i := range 11 {
		f.fail("192.0.2.7", "jan@domena.cz", time.Duration(i)*time.Second)
	}
	d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", 11*time.Second)
	k := f.facts(d.ID)
	if len(k.Failures) != 11 || slices.ContainsFunc(k.Failures, func(x FailureFact) bool { return x.Same != 1 }) {
		t.Errorf("%+v", k.Failures)
	}
	if body := string(f.entry(d.ID).Facts); strings.Contains(body, "021e") {
		t.Errorf("the hash is kept: %s", body)
	}
}

func TestRepeated(t *testing.T) {
	list := []rules.Failure{
		{Login: "a", Password: "1"},
		{Login: "b", Password: "1"},
		{Login: "a", Password: "1"},
		{Login: "a", Password: "2"},
		{Login: "a"},
		{Login: "a"},
		{Login: "b", Password: "3"},
		{Login: "b", Password: "3"},
		{Login: "b", Password: "1"},
	}
	if got := repeated(list); !slices.Equal(got, []int{1, 2, 1, 0, 0, 0, 3, 3, 2}) {
		t.Errorf("got %v", got)
	}
	if got := repeated(nil); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
