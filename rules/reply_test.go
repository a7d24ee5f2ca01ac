package rules

import (
	"net/netip"
	"strings"
	"testing"
)

// The documented texts, to the byte (SPEC.md section 2).
func TestDocumentedReplies(t *testing.T) {
	const id = "0123456789ABCDEFGHIJKL"
	for rule, want := range map[Rule]string{
		RuleAuthFailed:     "550 5.1.0 0123456789ABCDEFGHIJKL authentication failed",
		RuleAuthRejected:   "550 5.1.0 0123456789ABCDEFGHIJKL authentication rejected",
		RuleAccessDisabled: "550 5.1.0 0123456789ABCDEFGHIJKL authentication rejected access disabled",
		RuleSender:         "550 5.1.0 <a@b.test> sender rejected",
		RuleThrottled:      "550 5.1.0 0123456789ABCDEFGHIJKL Connection refused from 112.67.35.229. Too many authorization failures from this IP, try again later.",
		RuleRelay:          "550 5.1.0 0123456789ABCDEFGHIJKL relay rejected",
		RuleQuota:          "450 4.7.1 0123456789ABCDEFGHIJKL sending limit reached, try again later",
		RuleDefer:          "451 4.3.0 0123456789ABCDEFGHIJKL temporary lookup failure, try again later",
	} {
		got := DefaultReplies().Render(rule, id, "a@b.test", netip.MustParseAddr("112.67.35.229")).String()
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", rule, got, want)
		}
	}
	if len(DefaultReplies()) != len(Rules) {
		t.Errorf("%d texts for %d rules", len(DefaultReplies()), len(Rules))
	}
}

func TestRenderIsOnePass(t *testing.T) {
	got := DefaultReplies().Render(RuleSender, "ID", "{ip}{id}@x", netip.MustParseAddr("2001:db8::1")).Text
	if got != "<{ip}{id}@x> sender rejected" {
		t.Errorf("got %q", got)
	}
	got = DefaultReplies().Render(RuleThrottled, "ID", "", netip.Addr{}).Text
	if !strings.Contains(got, "from unknown.") {
		t.Errorf("got %q", got)
	}
}

func TestPrintableSender(t *testing.T) {
	for in, want := range map[string]string{
		"jan@domena.cz":                "jan@domena.cz",
		"ü@domena.cz":                  "ü@domena.cz",
		"a\r\nb\x00c\x7f":              "a??b?c?",
		"\xff\xfe":                     "??",
		"a\u202eb\u00a0c":              "a?b?c",
		"user%evil.test":               "user%evil.test",
		`"a b"@x`:                      `"a b"@x`,
		strings.Repeat("a", 300):       strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "ü": strings.Repeat("a", 255),
	} {
		if got := PrintableSender(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestShownLogin(t *testing.T) {
	for in, want := range map[string]string{
		"":              "",
		"jan@domena.cz": "jan@domena.cz",
		"tajneheslo":    "t… (10 characters)",
		"žluťoučký":     "ž… (9 characters)",
	} {
		if got := ShownLogin(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestCanonicalLogin(t *testing.T) {
	for in, want := range map[string]string{
		"Jan.Novak@DOMENA.cz":  "jan.novak@domena.cz",
		"jiri@HÁČKY.cz":        "jiri@xn--hky-ela4t.cz",
		"jir\u030ci@domena.cz": "ji\u0159i@domena.cz",
		"STRASSE@domena.cz":    "strasse@domena.cz",
	} {
		if got, ok := (Logins{}).Canonical(in); got != want || !ok {
			t.Errorf("%q: got %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "jan", "@domena.cz", "jan@", "jan@a b", "jan@\xff"} {
		if got, ok := (Logins{}).Canonical(in); ok {
			t.Errorf("%q is a whole address: %q", in, got)
		}
	}
	if got, ok := (Logins{DefaultDomain: "domena.cz"}).Canonical("Jan"); got != "jan@domena.cz" || !ok {
		t.Errorf("default domain: got %q %v", got, ok)
	}
}

// FuzzSender holds mayUse against a plain reading: what passes is one address
// whose domain is the account's, letter by letter but for ASCII case and dot.
func FuzzSender(f *testing.F) {
	for _, s := range []string{"jan@domena.cz", "a%b@domena.cz", "a!b", `"x"@domena.cz`, "@a:b@domena.cz", "jan@domena.eu.", "ü@domena.cz", "jan@ｄomena.cz"} {
		f.Add(s)
	}
	p := newPolicy()
	f.Fuzz(func(t *testing.T, sender string) {
		d := p.Decide(request(StageMail, stranger, 587, "jan@domena.cz", sender), newWorld())
		if d.Action == Refuse || sender == "" {
			return
		}
		local, domain, _ := strings.Cut(sender, "@")
		domain = strings.TrimSuffix(strings.ToLower(domain), ".")
		if domain != "domena.cz" && domain != "domena.eu" {
			t.Errorf("%q passed", sender)
		}
		if local == "" || strings.ContainsAny(local, "%!\"\\@:<>()[],; \t\r\n\x00") {
			t.Errorf("%q passed", sender)
		}
	})
}
