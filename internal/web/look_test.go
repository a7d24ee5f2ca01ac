package web

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

const anID = "0kHG086hcEUJCINrgXbGZl"

// What is put into the search box becomes a link.
func TestSearch(t *testing.T) {
	r := inside(t)
	for text, want := range map[string]string{
		"550 5.1.0 " + anID + " authentication failed": "id=" + anID + "&in=text&lang=en",
		anID:                "id=" + anID + "&lang=en",
		" " + anID + "\r\n": "id=" + anID + "&lang=en",
		"550 5.1.0 <jan@seznam.cz> sender rejected":                "in=text&lang=en&sender=jan%40seznam.cz",
		"2026-11-22 11:59 +0000\n<jan@seznam.cz> sender\nrejected": "at=2026-11-22T11%3A59%3A00Z&in=text&lang=en&sender=jan%40seznam.cz",
		"192.0.2.7":                       "lang=en&q=192.0.2.7",
		"  <jan@domena.cz>, ":             "lang=en&q=jan%40domena.cz",
		"2001:db8::/64":                   "lang=en&q=2001%3Adb8%3A%3A%2F64",
		"192.0.2.7.":                      "lang=en&q=192.0.2.7",
		"jan":                             "lang=en&q=jan",
		"a&b=c#d@x.cz":                    "lang=en&q=a%26b%3Dc%23d%40x.cz",
		"<mailto:jan@domena.cz>":          "lang=en&q=jan%40domena.cz",
		"\u202ajan@domena.cz\u202c\u200b": "lang=en&q=jan%40domena.cz",
	} {
		a := r.post("/look", url.Values{"text": {text}})
		if got := a.Header().Get("Location"); a.Code != http.StatusSeeOther || got != "look?"+want {
			t.Errorf("%q: %d %q, want %q", text, a.Code, got, want)
		}
	}
}

// A text without an id names what could be looked up instead.
func TestSearchWithoutID(t *testing.T) {
	r := inside(t)
	a := r.post("/look", url.Values{"text": {"Connection refused from 112.67.35.229. Too many failures, says jan@domena.cz (jan@domena.cz), at 12:30:45; 2001:db8::1"}})
	if a.Code != http.StatusOK {
		t.Fatalf("%d %q", a.Code, a.Header().Get("Location"))
	}
	page := a.Body.String()
	has(t, page, "There is no id in this text", `<a href="./look?q=112.67.35.229">`, `<a href="./look?q=jan%40domena.cz">`, `<a href="./look?q=2001%3adb8%3a%3a1">`, "Connection refused from")
	if n := strings.Count(page, `<li><a href="./look?q=`); n != 3 {
		t.Errorf("%d names in\n%s", n, page)
	}
	has(t, r.post("/look", url.Values{"text": {"the message could not be sent"}}).Body.String(), "There is no id in this text", "ask for the e-mail address or the IP address")
	has(t, r.post("/look", url.Values{"text": {" \r\n"}}).Body.String(), "There is no id in this text")
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("192.0.2.%d", i))
	}
	if got := namesIn(strings.Join(many, " ")); len(got) != maxNames {
		t.Errorf("%d names", len(got))
	}
}

// Long texts ask for a bounded number of things, and it is said.
func TestSearchIsBounded(t *testing.T) {
	r := inside(t)
	var text strings.Builder
	for range 60 {
		fmt.Fprintf(&text, "550 5.1.0 %s authentication failed\n", ids.Next(noon))
	}
	a := r.post("/look", url.Values{"text": {text.String()}})
	link := a.Header().Get("Location")
	page := r.page("/" + link)
	if n := len(r.backend.explained.IDs); n != maxIDs {
		t.Errorf("%d ids are asked for", n)
	}
	has(t, page, "The text names more than was looked up")
	if len(link) > 2000 {
		t.Errorf("the link has %d bytes", len(link))
	}
}

func TestExplanation(t *testing.T) {
	r := inside(t)
	e := refusal(time.Minute, func(e *journal.Entry) {
		e.Facts = []byte(`{"looked_at":"jan@seznam.cz","as":"jan@domena.cz","domains":{"domena.cz":["domena.cz","domena.eu"]}}`)
	})
	r.backend.answer.Found = []explain.Explanation{explained(t, e, explain.Czech)}
	page := r.page("/look?id=" + e.ID + "&lang=cs")
	x := r.backend.answer.Found[0]
	has(t, page, x.Title, x.CustomerCause, x.Customer[0], `lang="cs"`, x.When, "seznam.cz", "domena.eu", html.EscapeString(x.Remedies[0].Text), "In the hour around it",
		`<a href="./look?q=192.0.2.7">`, `<a href="./look?q=jan%40domena.cz">`, `<time datetime="2026-11-22T11:59:00Z">`)
	if strings.Index(page, x.CustomerCause) > strings.Index(page, "For the administrator") {
		t.Error("the customer's part does not come first")
	}
	want := admin.ExplainRequest{IDs: []string{e.ID}, Since: noon.Add(-senderSince), Lang: explain.Czech}
	if !reflect.DeepEqual(r.backend.explained, want) {
		t.Errorf("asked %+v, want %+v", r.backend.explained, want)
	}
	for _, l := range explain.Langs {
		has(t, page, fmt.Sprintf(`href="./look?id=%s&amp;lang=%s"`, e.ID, l.Lang))
	}
	r.page("/look?sender=jan%40seznam.cz&at=2026-11-22T11%3A59%3A00Z&at=nonsense")
	if got := r.backend.explained; !slices.Equal(got.Senders, []string{"jan@seznam.cz"}) || !slices.Equal(got.Times, []time.Time{noon.Add(-time.Minute)}) {
		t.Errorf("asked %+v", got)
	}
}

// A block that is in force can be lifted where it is explained.
func TestExplainedBlock(t *testing.T) {
	r := inside(t)
	until := noon.Add(time.Hour)
	facts := gate.FailureFact{Time: noon, Client: "192.0.2.7", Login: "jan@domena.cz", Counted: true}
	e := refusal(0, func(e *journal.Entry) {
		e.Rule, e.Reason = "throttled", string(rules.ReasonBlocked)
		e.Facts = marshal(t, gate.Facts{Prefix: "192.0.2.7", Count: 11, Limit: 10, BlockedUntil: &until, Failures: []gate.FailureFact{facts}})
	})
	for _, inForce := range []bool{true, false} {
		h := explain.Host{Now: noon, Zone: time.UTC}
		if inForce {
			h.Blocks = []ledger.Block{{ID: e.ID, Until: until}}
		}
		x, err := explain.Of(t.Context(), e, h, explain.Neighbours{})
		if err != nil {
			t.Fatal(err)
		}
		r.backend.answer.Found = []explain.Explanation{x}
		page := r.page("/look?id=" + e.ID)
		has(t, page, html.EscapeString(x.Block.Text[0]))
		if got := strings.Contains(page, `name="address" value="192.0.2.7"`); got != inForce {
			t.Errorf("in force %v, button %v", inForce, got)
		}
	}
}

func TestNotFound(t *testing.T) {
	r := inside(t)
	doubtful := explain.Missing{What: "AAAAAAAAAAAAAAAAAAAAA1", Text: "Its time is no likely one.", Doubtful: true}
	missing := explain.Missing{What: anID, Text: "Another host made it. Ask there.", Command: "portreeve explain " + anID}
	r.backend.answer.Missing = []explain.Missing{doubtful, missing}
	has(t, r.page("/look?id=x&in=text"), doubtful.Text, missing.Text, missing.Command)
	r.backend.answer.Found = []explain.Explanation{explained(t, refusal(0, nil), explain.English)}
	page := r.page("/look?id=x&in=text")
	has(t, page, missing.Text)
	hasNot(t, page, doubtful.Text) // a word of the text that only looks like an id
	r.backend.answer.Missing = []explain.Missing{doubtful, missing}
	has(t, r.page("/look?id=x"), doubtful.Text) // typed as such
}

func TestCandidates(t *testing.T) {
	r := inside(t)
	one, other := explained(t, refusal(0, nil), explain.English), explained(t, refusal(time.Hour, nil), explain.English)
	one.Candidate, other.Candidate = true, true
	r.backend.answer.Found = []explain.Explanation{one}
	has(t, r.page("/look?sender=jan@seznam.cz"), "This reply carries no id. One refusal showed this address")
	r.backend.answer.Found = append(r.backend.answer.Found, other)
	has(t, r.page("/look?sender=jan@seznam.cz"), "2 refusals showed this address", `<a href="#`+one.ID+`">`, `<a href="#`+other.ID+`">`)
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct {
		asked, accepted string
		want            explain.Lang
	}{
		{"", "", "en"},
		{"cs", "de", "cs"},
		{"xx", "de-AT,en;q=0.5", "de"},
		{"", "nb-NO", "no"},
		{"", "nn", "no"},
		{"", "fr, pl;q=0.7, en;q=0.3", "pl"},
		{"", "fr", "en"},
		{"", "*;;;q=x", "en"},
	} {
		r := inside(t)
		r.header["Accept-Language"] = c.accepted
		r.page("/look?id=" + anID + "&lang=" + c.asked)
		if got := r.backend.explained.Lang; got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.asked, c.accepted, got, c.want)
		}
	}
}

func FuzzSearch(f *testing.F) {
	for _, text := range append(nasty, "550 5.1.0 "+anID+" authentication failed", "<a@b> sender rejected 1/2/2026 12:00", "192.0.2.1 jan@domena.cz") {
		f.Add(text)
	}
	var one *rig // its templates are read once
	f.Fuzz(func(t *testing.T, text string) {
		if one == nil {
			one = inside(t)
		}
		r := &rig{t: t, desk: one.desk, peer: one.peer, cookie: one.cookie}
		a := r.post("/look", url.Values{"text": {text}})
		switch link, err := url.Parse(a.Header().Get("Location")); {
		case a.Code == http.StatusOK:
			harmless(t, "the page", a.Body.String())
		case a.Code != http.StatusSeeOther || err != nil || link.Path != "look" || link.Host != "":
			t.Errorf("%d %q", a.Code, a.Header().Get("Location"))
		default:
			harmless(t, "the page it leads to", r.page("/"+link.String()))
		}
	})
}
