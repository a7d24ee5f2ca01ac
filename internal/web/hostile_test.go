package web

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
)

// What clients send to whoever looks at the page.
const (
	markup  = `<script>alert(1)</script><img src=x onerror=alert(1)>"'><b>&amp;`
	turned  = "evil\u202egpj.exe\u2066\u200f\u061c@x.cz" // shown from right to left
	control = "a\x1b[31m\x00\x07\rb\u0085\ufeff\u200b\u2028"
	broken  = "caf\xe9 \xff\xc0"
)

var nasty = []string{markup, turned, control, broken, "javascript:alert(1)", "{{.Token}}", "' onmouseover='alert(1)", "</textarea><script>alert(1)</script>", "../../x?y#z"}

// hostileTo puts it into everything that a client chooses.
func hostileTo(t *testing.T, r *rig, text string) {
	t.Helper()
	e := refusal(time.Minute, func(e *journal.Entry) {
		e.Login, e.Sender, e.Helo, e.Recipients, e.QueueID = text, text, text, []string{text, text}, text
		e.Reply, e.Client, e.Rule, e.Host, e.Count = "550 5.1.0 <"+text+"> sender rejected", text, "sender", text, 3
	})
	x := explained(t, e, explain.Czech)
	x.Cause, x.CustomerCause, x.Customer, x.Title = text, text, []string{text}, text
	x.Compared = explain.Compared{Fact: text, Found: text, Allowed: []string{text}}
	x.Remedies = []explain.Remedy{{Text: text, File: text, Table: text, Line: text, Command: text}}
	x.Block = &explain.Block{Prefix: text, Text: []string{text}}
	x.LastFailedLogin = text
	fact := gate.FailureFact{Time: noon, Client: text, Login: text, Service: text, Counted: true}
	x.Around.Failures, x.Around.Text = []gate.FailureFact{fact}, []string{text}
	x.Around.Refusals = []explain.Nearby{{ID: text, Time: noon, Client: text, Login: text, Sender: text, Title: text}}
	r.backend.entries = []journal.Entry{e}
	r.backend.answer = admin.ExplainAnswer{Found: []explain.Explanation{x}, Missing: []explain.Missing{{What: text, Text: text, Command: text}}}
	r.backend.blocks = []admin.Block{{Prefix: text, ID: text, Since: noon, Until: noon, Logins: []admin.LoginCount{{Login: text, Count: 11}}}}
	r.backend.failures = admin.FailuresAnswer{Failures: []gate.FailureFact{fact}, ID: text}
	r.backend.status = admin.Status{
		Mode: text, Observe: []string{text}, Warnings: []string{text},
		Store: admin.StoreStatus{Error: text}, Guesses: []admin.Guess{{Login: text, ID: text}},
	}
}

// harmless holds a page against everything that a browser or an eye could be
// fooled by.
func harmless(t *testing.T, name, page string) {
	t.Helper()
	if !utf8.ValidString(page) {
		t.Errorf("%s is no UTF-8", name)
	}
	for i, c := range page {
		if hidden(c) {
			t.Errorf("%s has %U at %d: %q", name, c, i, page[max(0, i-40):min(len(page), i+40)])
			break
		}
	}
	for _, bad := range []string{"<script>", "<img src=x", "<b>", "onerror=alert(1)>", `href="javascript:`, "' onmouseover='", goodToken} {
		if strings.Contains(page, bad) {
			t.Errorf("%s has %q", name, bad)
		}
	}
}

func TestHostileText(t *testing.T) {
	r := inside(t)
	for _, text := range nasty {
		hostileTo(t, r, text)
		for _, path := range append([]string{
			"/look?id=" + url.QueryEscape(text) + "&sender=" + url.QueryEscape(text) + "&lang=" + url.QueryEscape(text),
			"/look?q=" + url.QueryEscape(text), "/login?next=" + url.QueryEscape(text),
			"/decisions?login=" + url.QueryEscape(text) + "&sender=" + url.QueryEscape(text) + "&ip=" + url.QueryEscape(text) + "&rule=" + url.QueryEscape(text),
			"/blocks?ip=" + url.QueryEscape(text) + "&login=" + url.QueryEscape(text) + "&lifted=" + url.QueryEscape(text),
		}, pages...) {
			a := r.get(path)
			harmless(t, path, a.Body.String())
		}
		harmless(t, "a pasted text", r.post("/look", url.Values{"text": {"words and " + text + " words"}}).Body.String())
		harmless(t, "a wrong token", r.post("/login", url.Values{"token": {text}, "next": {text}}).Body.String())
		r.now = r.now.Add(triesWindow)
	}
}

// It is not hidden either: a help desk must see that there is something.
func TestHiddenIsShown(t *testing.T) {
	r := inside(t)
	for text, want := range map[string]string{
		turned: `evil\u202egpj.exe\u2066\u200f\u061c@x.cz`, "a\x1b[31m": `a\u001b[31m`, "b\xff": `b\xff`,
		"tag\U000e0041": `tag\U000e0041`, markup: `&lt;script&gt;alert(1)&lt;/script&gt;`, "\ufeffx": `\ufeffx`,
	} {
		hostileTo(t, r, text)
		for _, path := range []string{"/", "/look?id=0kHG086hcEUJCINrgXbGZl", "/decisions"} {
			has(t, r.page(path), want)
		}
	}
}

// Letters of every script stay what they are.
func TestLettersStay(t *testing.T) {
	r := inside(t)
	for _, text := range []string{"žluťoučký@kůň.cz", "øl@blåbær.no", "łódź@pl", "דואר@il", "用户@例え.jp", "👩@x"} {
		hostileTo(t, r, text)
		has(t, r.page("/decisions"), "<bdi>"+text+"</bdi>")
	}
}

// A pasted text comes back as it was, line by line.
func TestTextComesBack(t *testing.T) {
	r := inside(t)
	a := r.post("/look", url.Values{"text": {"first line\r\nsecond\tline"}})
	has(t, a.Body.String(), ">first line\nsecond\tline</textarea>")
}

func FuzzVisible(f *testing.F) {
	for _, text := range nasty {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		out := string(visible(page))
		if !utf8.ValidString(out) || strings.ContainsFunc(out, hidden) {
			t.Errorf("%q became %q", page, out)
		}
		if string(visible([]byte(out))) != out {
			t.Errorf("%q is changed again", out)
		}
	})
}
