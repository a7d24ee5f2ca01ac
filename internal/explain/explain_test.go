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
	update = flag.Bool("update", false, "write the golden file")
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	until  = noon.Add(time.Hour)
)

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

// entry is a refusal of that reason with all that the gate could know.
func entry(t *testing.T, reason rules.Reason, change func(*journal.Entry, *gate.Facts)) journal.Entry {
	t.Helper()
	f := gate.Facts{
		LookedAt: "jan@seznam.cz", As: "jan.novak@domena.cz", Limit: 10, Count: 11, BlockedSince: &noon, BlockedUntil: &until,
		Prefix: "192.0.2.7", Domains: map[string][]string{"domena.cz": {"domena.cz", "domena.eu"}},
		Failures: []gate.FailureFact{
			{Time: noon, Client: "192.0.2.7", Login: "info@firma.cz", Service: "smtp", Counted: true},
			{Time: noon, Client: "192.0.2.7", Login: "eva@domena.cz", Service: "smtp", Counted: true},
			{Time: noon, Client: "192.0.2.7", Login: "eva@domena.cz", Service: "smtp", Counted: true},
			{Time: noon, Client: "192.0.2.7", Login: "", Service: "smtp", Counted: true},
		},
	}
	e := journal.Entry{
		ID: "0kHG086hcEUJCINrgXbGZl", Time: noon, Last: noon, Count: 1, Rule: "rule", Reason: string(reason),
		Client: "192.0.2.7", Port: 587, Login: "jan.novak@domena.cz", Sender: "jan@seznam.cz", Recipients: []string{"eva@example.com"},
	}
	if reason == rules.ReasonForwarded {
		f.LookedAt = "from mail.example.com by mx1 with ESMTP"
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

func explained(t *testing.T, e journal.Entry, now time.Time) explain.Explanation {
	t.Helper()
	x, err := explain.Of(e, now)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestEveryReasonHasWords(t *testing.T) {
	for name, reason := range reasons(t) {
		x := explained(t, entry(t, reason, nil), noon)
		if x.Cause == "" || strings.Contains(x.Cause, string(reason)) {
			t.Errorf("%s has no cause in words: %q: add it to texts", name, x.Cause)
		}
		if len(x.Customer) == 0 || len(x.Administrator) == 0 {
			t.Errorf("%s has no remedies: customer %q, administrator %q", name, x.Customer, x.Administrator)
		}
		for _, s := range slices.Concat([]string{x.Cause}, x.Customer, x.Administrator) {
			if strings.Contains(s, "%!") || strings.Contains(s, `""`) || strings.TrimSpace(s) != s {
				t.Errorf("%s: bad words: %q", name, s)
			}
		}
	}
}

// render is an explanation as lines.
func render(title string, x explain.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "== %s\ncause: %s\n", title, x.Cause)
	for _, s := range x.Customer {
		fmt.Fprintf(&b, "customer: %s\n", s)
	}
	for _, s := range x.Administrator {
		fmt.Fprintf(&b, "administrator: %s\n", s)
	}
	return b.String() + "\n"
}

func TestGolden(t *testing.T) {
	const golden = "testdata/explanations.txt"
	var got strings.Builder
	all := []string{}
	for _, reason := range reasons(t) {
		all = append(all, string(reason))
	}
	slices.Sort(all)
	for _, reason := range all {
		got.WriteString(render(reason, explained(t, entry(t, rules.Reason(reason), nil), noon)))
	}
	over := entry(t, rules.ReasonBlocked, nil)
	got.WriteString(render("too-many-failures, over", explained(t, over, until)))
	observed := entry(t, rules.ReasonSenderDomain, func(e *journal.Entry, _ *gate.Facts) { e.Observed = true })
	got.WriteString(render("sender-domain-not-of-account, observed", explained(t, observed, noon)))
	bare := entry(t, rules.ReasonNoAuth, func(e *journal.Entry, f *gate.Facts) { e.Login, *f = "", gate.Facts{} })
	got.WriteString(render("no-auth, nothing known", explained(t, bare, noon)))
	got.WriteString(render("a reason of another version", explained(t, entry(t, "from-the-future", nil), noon)))
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("not as in %s: look at the difference, then run go test ./internal/explain -update\n%s", golden, got.String())
	}
}

// The block ends at that moment, not after it.
func TestBlockOverOrNot(t *testing.T) {
	e := entry(t, rules.ReasonBlocked, nil)
	for now, over := range map[time.Time]bool{noon: false, until.Add(-1): false, until: true, until.Add(24 * time.Hour): true} {
		x := explained(t, e, now)
		all := strings.Join(slices.Concat(x.Customer, x.Administrator), "\n")
		if strings.Contains(all, "portreeve unblock 192.0.2.7") == over || strings.Contains(all, "Nothing any more") != over {
			t.Errorf("at %s:\n%s", now, all)
		}
	}
}

func TestUnblockIsForAddressesOnly(t *testing.T) {
	e := entry(t, rules.ReasonBlocked, func(e *journal.Entry, _ *gate.Facts) { e.Client = "unknown" })
	if x := explained(t, e, noon); strings.Contains(fmt.Sprint(x.Administrator), "unblock") {
		t.Errorf("a command that fails: %q", x.Administrator)
	}
}

func TestLastFailedLogin(t *testing.T) {
	if x := explained(t, entry(t, rules.ReasonNoAuth, nil), noon); x.LastFailedLogin != "info@firma.cz" {
		t.Errorf("got %q", x.LastFailedLogin)
	}
	// Who was not logged in is spoken of by what he tried.
	e := entry(t, rules.ReasonNoAuthUnknownLogin, func(e *journal.Entry, f *gate.Facts) { e.Login, f.As = "", "" })
	if x := explained(t, e, noon); !strings.Contains(x.Cause, `"info@firma.cz"`) {
		t.Errorf("got %q", x.Cause)
	}
}

// A subdomain's sender, and an account whose alias group is not known.
func TestDomainsWithoutLookUp(t *testing.T) {
	e := entry(t, rules.ReasonSenderDomain, func(_ *journal.Entry, f *gate.Facts) { f.Domains, f.LookedAt = nil, "a@b.domena.cz" })
	x := explained(t, e, noon)
	if !strings.Contains(x.Cause, "may send as domena.cz; b.domena.cz is none of these") {
		t.Errorf("got %q", x.Cause)
	}
}

func TestUnreadableFacts(t *testing.T) {
	e := entry(t, rules.ReasonNoAuth, nil)
	e.Facts = json.RawMessage("[]")
	if _, err := explain.Of(e, noon); err == nil || !strings.Contains(err.Error(), e.ID) {
		t.Errorf("got %v", err)
	}
	e.Facts = json.RawMessage("null") // what the gate writes when it has none
	explained(t, e, noon)
}

// The JSON has what the command promises (SPEC.md section 5).
func TestJSON(t *testing.T) {
	body, err := json.Marshal(explained(t, entry(t, rules.ReasonSenderDomain, nil), noon))
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
	} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no %q in %s", key, body)
		}
	}
}
