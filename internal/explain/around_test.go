package explain_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

func remembered(login, client string, after time.Duration) rules.Failure {
	return rules.Failure{Time: noon.Add(after), Client: netip.MustParseAddr(client), Login: login, Shown: login, Protocol: "smtp", Counted: true}
}

func around(t *testing.T, n explain.Neighbours, change func(*explain.Host)) explain.Around {
	t.Helper()
	h := thisHost(t, noon)
	h.Blocks = nil
	if change != nil {
		change(&h)
	}
	e := entry(t, rules.ReasonSenderDomain, sentAs("jan@seznam.cz"))
	x, err := explain.Of(t.Context(), e, h, n)
	if err != nil {
		t.Fatal(err)
	}
	return x.Around
}

func TestAroundShowsOtherRefusals(t *testing.T) {
	other := func(id string, after time.Duration, change func(*journal.Entry)) journal.Entry {
		e := journal.Entry{
			ID: id, Time: noon.Add(after), Last: noon.Add(after), Count: 1, Rule: "sender", Reason: string(rules.ReasonSenderDomain),
			Client: "192.0.2.7", Login: "jan.novak@domena.cz", Sender: "a\x1b@seznam.cz",
		}
		if change != nil {
			change(&e)
		}
		return e
	}
	a := around(t, explain.Neighbours{Entries: []journal.Entry{
		other(blockID, 0, nil), // the entry itself
		other("0kHG0AcyIIbExUtW9fWnYa", -time.Minute, nil),
		other("0kHG0AcyIIbExUtW9fWnYb", time.Minute, func(e *journal.Entry) {
			e.Client, e.Login, e.Count, e.Observed, e.Reason, e.Sender = "192.0.2.9", "eva@domena.cz", 3, true, "from-the-future", ""
		}),
	}}, nil)
	want := []string{
		"2026-11-22 11:59:00 UTC sender: The sender is not of the account, sender <a?@seznam.cz>, 0kHG0AcyIIbExUtW9fWnYa",
		"2026-11-22 12:01:00 UTC sender: from-the-future (observed only), client 192.0.2.9, login eva@domena.cz, 3 times, 0kHG0AcyIIbExUtW9fWnYb",
	}
	if len(a.Refusals) != 2 || a.Refusals[0].ID != "0kHG0AcyIIbExUtW9fWnYa" || a.More || strings.Join(a.Text, "\n") != strings.Join(want, "\n") {
		t.Errorf("%+v\n%s", a.Refusals, strings.Join(a.Text, "\n"))
	}
	if !a.Since.Equal(noon.Add(-time.Hour)) || !a.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("from %s to %s", a.Since, a.Until)
	}
}

// Failed logins of the hour around it: bounded, the nearest first.
func TestAroundShowsFailures(t *testing.T) {
	list := []rules.Failure{
		remembered("jan.novak@domena.cz", "192.0.2.7", -time.Minute), remembered("jan.novak@domena.cz", "192.0.2.7", -5*time.Minute),
		remembered("jan.novak@domena.cz", "2001:db8::1", 3*time.Minute), remembered("eva@domena.cz", "192.0.2.7", -61*time.Minute),
	}
	a := around(t, explain.Neighbours{Failures: list}, nil)
	want := []string{
		`2 failed logins for "jan.novak@domena.cz" from 192.0.2.7: 11:55:00 to 2026-11-22 11:59:00 UTC`,
		`1 failed login for "jan.novak@domena.cz" from 2001:db8::1: 2026-11-22 12:03:00 UTC`,
	}
	if len(a.Failures) != 3 || !a.Failures[0].Time.Equal(noon.Add(-time.Minute)) || strings.Join(a.Text, "\n") != strings.Join(want, "\n") {
		t.Errorf("%+v\n%s", a.Failures, strings.Join(a.Text, "\n"))
	}
	var many []rules.Failure
	for i := range 100 {
		many = append(many, remembered(fmt.Sprintf("a%d@domena.cz", i), "192.0.2.7", time.Duration(i)*time.Second))
	}
	a = around(t, explain.Neighbours{Failures: many}, nil)
	if len(a.Failures) != 20 || !a.More || a.Failures[0].Login != "a0@domena.cz" || len(a.Text) != 21 || !strings.Contains(a.Text[20], "more") {
		t.Errorf("%d failures, more %t:\n%s", len(a.Failures), a.More, strings.Join(a.Text, "\n"))
	}
	if a := around(t, explain.Neighbours{More: true}, nil); !a.More || len(a.Text) != 1 {
		t.Errorf("%+v", a)
	}
}

// Blocks in force of the client, and those that the login has led to.
func TestAroundShowsBlocks(t *testing.T) {
	block := func(id, prefix string, logins ...string) ledger.Block {
		b := ledger.Block{ID: id, Prefix: netip.MustParsePrefix(prefix), Since: noon.Add(-time.Minute), Until: until, Count: 11}
		for _, l := range logins {
			b.Failures = append(b.Failures, remembered(l, "192.0.2.7", 0))
		}
		return b
	}
	a := around(t, explain.Neighbours{}, func(h *explain.Host) {
		h.Blocks = []ledger.Block{
			block("1", "192.0.2.0/24"), block("2", "198.51.100.1/32", "x@y.cz", "jan.novak@domena.cz"), block("3", "203.0.113.1/32", "x@y.cz"),
			block("", "192.0.2.7/32"), block(blockID, "192.0.2.7/32"),
		}
	})
	want := []string{
		"192.0.2.0/24 is blocked since 2026-11-22 11:59:00 UTC until 2026-11-22 13:00:00 UTC (1)",
		"198.51.100.1 is blocked since 2026-11-22 11:59:00 UTC until 2026-11-22 13:00:00 UTC (2)",
		"192.0.2.7 is blocked since 2026-11-22 11:59:00 UTC until 2026-11-22 13:00:00 UTC (nobody was told yet)",
	}
	if len(a.Blocks) != 3 || strings.Join(a.Text, "\n") != strings.Join(want, "\n") {
		t.Errorf("%+v\n%s", a.Blocks, strings.Join(a.Text, "\n"))
	}
}

// Times stand in the zone of the host, with its name, and the customer's texts
// in that zone, too.
func TestLocalTime(t *testing.T) {
	h := thisHost(t, noon)
	h.Zone, h.Lang = time.FixedZone("CET", 3600), explain.Czech
	x := explainedOn(t, entry(t, rules.ReasonBlocked, blockedBy(times(11, "jan.novak@domena.cz", 0))), h)
	if x.When != "22. listopadu 2026, 13:00 (CET)" || !strings.Contains(x.Cause, "2026-11-22 14:00:00 CET") ||
		!strings.Contains(x.Customer[1], "22. listopadu 2026, 14:00 (CET), tedy za 60 min.") {
		t.Errorf("%s\n%s\n%q", x.When, x.Cause, x.Customer)
	}
	// What is told is never before the end.
	h.Blocks[0].Until = until.Add(time.Second)
	h.Now = noon.Add(30 * time.Second)
	x = explainedOn(t, entry(t, rules.ReasonBlocked, blockedBy(times(11, "jan.novak@domena.cz", 0))), h)
	if !strings.Contains(x.Customer[1], "14:01 (CET), tedy za 60 min.") {
		t.Errorf("%q", x.Customer)
	}
}

func TestUnknownIDs(t *testing.T) {
	h := thisHost(t, noon)
	id := func(host string, at time.Time) string { return journal.NewIDs(host).Next(at).String() }
	for name, tt := range map[string]struct {
		id, host, text, command string
		here                    bool
	}{
		"this host":    {id("mx1.test", noon.Add(-time.Hour)), "mx1.test", "This host made this id at 2026-11-22 11:00:00 UTC, but", "journalctl -u portreeve --utc --since '2026-11-22 10:59:00' --until '2026-11-22 12:00:00' --grep ", true},
		"too old":      {id("mx1.test", noon.Add(-721*time.Hour)), "mx1.test", "its journal keeps entries for 720h", "journalctl ", true},
		"a peer":       {id("mx2.test", noon.Add(-time.Hour)), "mx2.test", "the host mx2.test made it at 2026-11-22 11:00:00 UTC. Ask there.", "portreeve explain ", false},
		"another host": {id("mx3.test", noon), "", fmt.Sprintf("another host made it at 2026-11-22 12:00:00 UTC, the one where `printf %%s \"$(uname -n)\" | sha256sum | cut -c1-4` prints %04x.", journal.HostNumber("mx3.test")), "portreeve explain ", false},
		"the future":   {id("mx1.test", noon.Add(24*time.Hour)), "mx1.test", "is no likely one: check that it was copied whole", "portreeve explain ", true},
		"a word":       {"0000000000000000000000", "", "(1970-01-01 00:00:00 UTC) is no likely one", "portreeve explain ", false},
	} {
		m := explain.UnknownID(tt.id, &h)
		if m.What != tt.id || m.Host != tt.host || m.Here != tt.here || !strings.Contains(m.Text, tt.text) || !strings.HasPrefix(m.Command, tt.command) || m.Time == nil || m.HostNumber == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if m := explain.UnknownID("no id", &h); m.Time != nil || m.Command != "" || !strings.Contains(m.Text, "no id: an id has 22") {
		t.Errorf("%+v", m)
	}
	if m := explain.UnknownSender("a\x1b@x.cz", noon, &h); m.What != "<a\x1b@x.cz>" || !strings.Contains(m.Text, "No reply of this host has shown <a?@x.cz> since 2026-11-22 12:00:00 UTC") {
		t.Errorf("%+v", m)
	}
	if m := explain.TooMany("a@x.cz"); m.What != "<a@x.cz>" || m.Text == "" {
		t.Errorf("%+v", m)
	}
}

func TestNearestAccounts(t *testing.T) {
	near := func(login string, change func(*journal.Entry, *explain.Host)) []string {
		h := thisHost(t, noon)
		e := entry(t, rules.ReasonLoginUnknown, func(e *journal.Entry, f *gate.Facts) {
			e.Login, e.Sender, *f = login, "", gate.Facts{As: login}
		})
		if change != nil {
			change(&e, &h)
		}
		return explainedOn(t, e, h).Compared.Allowed
	}
	for login, want := range map[string]string{
		"jan.novka@domena.cz": "[jan.novak@domena.cz]", "jan.nova@domena.cz": "[jan.novak@domena.cz]", "jann.novak@domena.cz": "[jan.novak@domena.cz]",
		"jan.novák@domena.cz": "[jan.novak@domena.cz]", "jan.novak@domnea.cz": "[jan.novak@domena.cz]", "jan.novak@domena.eu": "[jan.novak@domena.cz]",
		"petr@domena.cz": "[petr@domena.eu]", "nobody@firma.cz": "[]", "@": "[]", "a@": "[]", "x@y": "[]", strings.Repeat("a", 500) + "@firma.cz": "[]",
	} {
		if got := fmt.Sprint(near(login, nil)); got != want {
			t.Errorf("%s: %s, want %s", login, got, want)
		}
	}
	// The sender tells what the login should have been, where it resembles it.
	withSender := func(e *journal.Entry, _ *explain.Host) { e.Sender = "Jan.Novak@domena.cz" }
	if got := fmt.Sprint(near("novak.jan@domena.cz", withSender)); got != "[jan.novak@domena.cz]" {
		t.Errorf("by its sender: %s", got)
	}
	if got := fmt.Sprint(near("info@jinde.cz", withSender)); got != "[]" {
		t.Errorf("a sender of another: %s", got)
	}
	// A database is asked a few questions, not thousands.
	database := func(_ *journal.Entry, h *explain.Host) { h.Accounts = "" }
	if got := fmt.Sprint(near("jan.novka@domena.cz", database)); got != "[]" {
		t.Errorf("of a database: %s", got)
	}
	if got := fmt.Sprint(near("petr@domena.cz", database)); got != "[petr@domena.eu]" {
		t.Errorf("of a database, in the alias: %s", got)
	}
}
