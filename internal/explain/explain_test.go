package explain_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/rules"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	until  = noon.Add(time.Hour)
)

const blockID = "0kHG086hcEUJCINrgXbGZl"

// reasons reads the constants from the source of package rules, so that a new
// reason cannot be forgotten here.
func reasons(t *testing.T) map[string]rules.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../rules/decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]rules.Reason{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		for i, name := range spec.Names {
			value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[name.Name] = rules.Reason(value)
		}
		return true
	})
	if len(found) < 16 {
		t.Fatalf("only %d reasons found in rules/decision.go: has their declaration changed?", len(found))
	}
	return found
}

// entry is a refusal of that reason; change makes its facts those of a situation.
func entry(t *testing.T, reason rules.Reason, change func(*journal.Entry, *gate.Facts)) journal.Entry {
	t.Helper()
	f := gate.Facts{LookedAt: "jan@seznam.cz", As: "jan.novak@domena.cz"}
	e := journal.Entry{
		ID: blockID, Time: noon, Last: noon, Count: 1, Rule: "rule", Reason: string(reason), Stage: "mail",
		Client: "192.0.2.7", Port: 587, Login: "jan.novak@domena.cz", Sender: "jan@seznam.cz", Recipients: []string{"eva@example.com"},
	}
	if change != nil {
		change(&e, &f)
	}
	var err error
	if e.Facts, err = json.Marshal(f); err != nil {
		t.Fatal(err)
	}
	return e
}

func explainedOn(t *testing.T, e journal.Entry, h explain.Host) explain.Explanation {
	t.Helper()
	x, err := explain.Of(t.Context(), e, h, explain.Neighbours{})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// everySentence is what a person gets to read.
func everySentence(x explain.Explanation) []string {
	return slices.Concat([]string{x.Cause, x.CustomerCause, x.Compared.Text, x.Title, x.When}, x.Customer, x.Administrator)
}

// badWords finds what no sentence may have.
func badWords(s string) bool {
	return s == "" || strings.TrimSpace(s) != s || strings.Contains(s, "%!") || strings.Contains(s, `""`) ||
		strings.Contains(s, "<nil>") || strings.Contains(s, "  ") || strings.ContainsAny(s, "{}") && !strings.Contains(s, " write: ")
}

// Every reason is played by a situation, and says its cause and remedies in
// every language.
func TestEveryReasonIsExplained(t *testing.T) {
	for name, reason := range reasons(t) {
		if !slices.ContainsFunc(situations, func(s situation) bool { return s.reason == reason }) {
			t.Errorf("%s has no situation: add one, and its words to reasons", name)
		}
	}
	for _, s := range situations {
		for _, lang := range explain.Langs {
			x := s.played(t, lang.Lang)
			if x.Lang != lang.Lang || len(x.Customer) == 0 || len(x.Administrator) == 0 || len(x.Administrator) != len(x.Remedies) {
				t.Errorf("%s, %s: %+v", s.name, lang.Lang, x)
			}
			for _, sentence := range everySentence(x) {
				if badWords(sentence) {
					t.Errorf("%s, %s: bad words: %q", s.name, lang.Lang, sentence)
				}
			}
			if s.reason != "from-the-future" && strings.Contains(x.Cause, string(s.reason)) {
				t.Errorf("%s has no cause in words: %q", s.name, x.Cause)
			}
		}
	}
}

// Without policy, directory and blocks, as little as an old entry has, every
// reason still says something.
func TestNothingElseKnown(t *testing.T) {
	for name, reason := range reasons(t) {
		for _, lang := range explain.Langs {
			e := entry(t, reason, func(e *journal.Entry, f *gate.Facts) {
				*f = gate.Facts{}
				e.Login, e.Sender, e.Recipients, e.Client, e.Port = "", "", nil, "unknown", 0
			})
			x := explainedOn(t, e, explain.Host{Now: noon, Lang: lang.Lang, Zone: time.UTC})
			for _, sentence := range slices.Concat([]string{x.Cause, x.CustomerCause}, x.Customer, x.Administrator) {
				if badWords(sentence) {
					t.Errorf("%s, %s: bad words: %q", name, lang.Lang, sentence)
				}
			}
		}
	}
}

// render is an explanation as lines.
func render(title string, x explain.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "== %s\n%s\ncause: %s\ncompared: %s: %s; allowed %q\n  %s\n", title, x.Title, x.Cause,
		x.Compared.Fact, x.Compared.Found, x.Compared.Allowed, x.Compared.Text)
	fmt.Fprintf(&b, "said: %s\n", x.CustomerCause)
	for _, s := range x.Customer {
		fmt.Fprintf(&b, "customer: %s\n", s)
	}
	for _, s := range x.Administrator {
		fmt.Fprintf(&b, "administrator: %s\n", s)
	}
	if x.Block != nil {
		for _, s := range x.Block.Text {
			fmt.Fprintf(&b, "block: %s\n", s)
		}
	}
	return b.String() + "\n"
}

// golden holds text against a file that somebody has read.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	lines, wanted := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i, line := range lines {
		if i >= len(wanted) || line != wanted[i] {
			t.Fatalf("not as in %s, line %d:\n%s\nlook at the difference after go test ./internal/explain -update", path, i+1, line)
		}
	}
	t.Fatalf("%s has more: look at the difference after go test ./internal/explain -update", path)
}

func TestGolden(t *testing.T) {
	var english, spoken strings.Builder
	for _, s := range situations {
		english.WriteString(render(s.name, s.played(t, explain.English)))
		fmt.Fprintf(&spoken, "== %s\n", s.name)
		for _, lang := range explain.Langs[1:] {
			x := s.played(t, lang.Lang)
			fmt.Fprintf(&spoken, "%s: %s %s\n", lang.Lang, x.CustomerCause, strings.Join(x.Customer, " | "))
		}
		spoken.WriteString("\n")
	}
	golden(t, "testdata/explanations.txt", english.String())
	golden(t, "testdata/spoken.txt", spoken.String())
}

// The block ends at that moment, not after it.
func TestBlockOverOrNot(t *testing.T) {
	e := entry(t, rules.ReasonBlocked, blockedBy(times(11, "jan.novak@domena.cz", 0)))
	for now, over := range map[time.Time]bool{noon: false, until.Add(-1): false, until: true, until.Add(24 * time.Hour): true} {
		x := explainedOn(t, e, thisHost(t, now))
		all := strings.Join(slices.Concat(x.Customer, x.Administrator), "\n")
		if x.Block.Over != over || strings.Contains(all, "portreeve unblock 192.0.2.7") == over || strings.Contains(all, "has ended by itself") != over {
			t.Errorf("at %s:\n%s", now, all)
		}
	}
}

// Failures that were under way when the block began move its end.
func TestBlockEndsWhenTheLedgerSays(t *testing.T) {
	h := thisHost(t, noon)
	h.Blocks[0].Until = until.Add(10 * time.Minute)
	x := explainedOn(t, entry(t, rules.ReasonBlocked, blockedBy(times(11, "a@domena.cz", 0))), h)
	if !x.Block.Until.Equal(until.Add(10*time.Minute)) || !strings.Contains(x.Cause, "13:10:00") {
		t.Errorf("%+v: %s", x.Block, x.Cause)
	}
}

func TestUnblockIsForAddressesOnly(t *testing.T) {
	e := entry(t, rules.ReasonBlocked, func(e *journal.Entry, f *gate.Facts) {
		blockedBy(times(11, "a@domena.cz", 0))(e, f)
		e.Client = "unknown"
	})
	if x := explainedOn(t, e, thisHost(t, noon)); strings.Contains(fmt.Sprint(x.Administrator), "unblock") {
		t.Errorf("a command that fails: %q", x.Administrator)
	}
}

// What same_password = "once" would have counted, and when it would have spared.
func TestRepeatsOfOnePassword(t *testing.T) {
	same := func(n, group int, login string) []gate.FailureFact { return times(n, login, group) }
	uncounted := failed("a@domena.cz", 1, 0)
	uncounted.Counted = false
	for name, tt := range map[string]struct {
		failures []gate.FailureFact
		limit    int
		once     int
		spared   bool
	}{
		"all the same":            {same(11, 1, "a@domena.cz"), 10, 1, true},
		"none the same":           {same(11, 0, "a@domena.cz"), 10, 11, false},
		"two programs":            {append(same(6, 1, "a@domena.cz"), same(6, 2, "b@domena.cz")...), 10, 2, true},
		"one repeat only":         {append(same(2, 1, "a@domena.cz"), same(10, 0, "b@domena.cz")...), 10, 11, false},
		"just at the limit":       {append(same(2, 1, "a@domena.cz"), same(9, 0, "b@domena.cz")...), 10, 10, true},
		"two passwords of one":    {append(same(3, 1, "a@domena.cz"), same(8, 2, "a@domena.cz")...), 3, 2, true},
		"what does not count":     {append(same(10, 0, "b@domena.cz"), failed("a@domena.cz", 1, 0), uncounted, uncounted), 10, 11, false},
		"above it even when once": {append(same(9, 1, "a@domena.cz"), same(9, 0, "b@domena.cz")...), 5, 10, false},
	} {
		counts := 0
		for _, f := range tt.failures {
			if f.Counted {
				counts++
			}
		}
		x := explainedOn(t, entry(t, rules.ReasonBlocked, func(e *journal.Entry, f *gate.Facts) {
			blockedBy(tt.failures)(e, f)
			f.Limit, f.Count = tt.limit, counts
		}), thisHost(t, noon))
		if x.Block.CountOnce != tt.once || x.Block.Spared != tt.spared {
			t.Errorf("%s: once %d, spared %t", name, x.Block.CountOnce, x.Block.Spared)
		}
		if said := strings.Contains(fmt.Sprint(x.Administrator), `same_password = "once"`); said != tt.spared {
			t.Errorf("%s: %q", name, x.Administrator)
		}
	}
	h := thisHost(t, noon)
	h.Policy.Throttle.Once = true // since
	x := explainedOn(t, entry(t, rules.ReasonBlocked, blockedBy(times(11, "a@domena.cz", 1))), h)
	if strings.Contains(fmt.Sprint(x.Administrator), "same_password") {
		t.Errorf("it is set already: %q", x.Administrator)
	}
}

func TestLastFailedLogin(t *testing.T) {
	e := entry(t, rules.ReasonNoAuth, notLoggedIn(587, failed("info@firma.cz", 0, 0), failed("eva@domena.cz", 0, -1)))
	if x := explainedOn(t, e, thisHost(t, noon)); x.LastFailedLogin != "info@firma.cz" {
		t.Errorf("got %q", x.LastFailedLogin)
	}
	// Who was not logged in is spoken of by what he tried.
	e = entry(t, rules.ReasonNoAuthUnknownLogin, notLoggedIn(587, failed("hana@firma.cz", 0, 0)))
	if x := explainedOn(t, e, thisHost(t, noon)); !strings.Contains(x.Cause, `"hana@firma.cz"`) {
		t.Errorf("got %q", x.Cause)
	}
}

func TestUnreadableFacts(t *testing.T) {
	e := entry(t, rules.ReasonNoAuth, nil)
	e.Facts = json.RawMessage("[]")
	if _, err := explain.Of(t.Context(), e, explain.Host{Now: noon}, explain.Neighbours{}); err == nil || !strings.Contains(err.Error(), e.ID) {
		t.Errorf("got %v", err)
	}
	e.Facts = json.RawMessage("null") // what the gate writes when it has none
	explainedOn(t, e, thisHost(t, noon))
}

// The JSON has what the command promises (SPEC.md section 5).
func TestJSON(t *testing.T) {
	body, err := json.Marshal(explainedOn(t, entry(t, rules.ReasonSenderDomain, nil), thisHost(t, noon)))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(body, &keys); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"id", "time", "rule", "observed", "reply", "client", "port", "login", "sender", "facts",
		"last_failed_login", "cause", "customer", "administrator",
		"candidate", "lang", "title", "when", "compared", "customer_cause", "remedies", "around",
	} {
		if value, ok := keys[key]; !ok || string(value) == "null" {
			t.Errorf("no %q in %s", key, body)
		}
	}
	for _, empty := range []string{`"refusals":[]`, `"failures":[]`, `"blocks":[]`} {
		if !strings.Contains(string(keys["around"]), empty) {
			t.Errorf("empty lists must be lists in JSON: %s", keys["around"])
		}
	}
}
