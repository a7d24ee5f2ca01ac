package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func someBlocks(n int) []admin.Block {
	var list []admin.Block
	for i := range n {
		list = append(list, admin.Block{
			Prefix: fmt.Sprintf("192.0.2.%d", i+1), ID: anID, Since: noon, Until: noon.Add(time.Hour), Failures: 11,
			Logins: []admin.LoginCount{{Login: "jan@domena.cz", Count: 9}, {Login: "", Count: 2}},
		})
	}
	return list
}

func TestHome(t *testing.T) {
	r := inside(t)
	r.backend.status = admin.Status{
		Mode: "enforce", Store: admin.StoreStatus{Up: true}, Warnings: []string{"nobody shows message headers"},
		Guesses: []admin.Guess{{Login: "eva@domena.cz", ID: anID, Failures: 4321}},
	}
	r.backend.blocks = someBlocks(homeBlocks + 1)
	r.backend.entries = []journal.Entry{
		refusal(time.Minute, nil),
		refusal(25*time.Hour, func(e *journal.Entry) { e.Observed, e.Count = true, 1234 }),
		refusal(400*24*time.Hour, func(e *journal.Entry) { e.Rule, e.Reply, e.Sender, e.Stage = "login_failures", "", "", "auth" }),
	}
	page := r.page("/")
	has(t, page, "1 note for the administrator", "nobody shows message headers", "Somebody is guessing", "4,321 failed logins",
		"jan@domena.cz</bdi> 9×", "a name with forbidden characters</bdi> 2×", fmt.Sprintf("The latest %d of %d.", homeBlocks, homeBlocks+1),
		">11:59:00</time>", ">21 Nov 11:00</time>", "18 Oct 2025</time>", ">would be refused</span>", "1,234×", ">delayed</span>", "as &lt;<bdi>jan@seznam.cz</bdi>&gt;")
	hasNot(t, page, "Observing only", "Observed only", "store cannot be written")
	r.backend.status.Mode = "observe"
	has(t, r.page("/"), "Observing only")
	r.backend.status.Mode, r.backend.status.Observe = "enforce", []string{"sender", "quota"}
	has(t, r.page("/"), "Observed only", "<code>sender</code>, <code>quota</code>")
	r.backend.status.Store = admin.StoreStatus{Error: "disk full"}
	has(t, r.page("/"), "The store cannot be written:", "disk full")
}

func TestBlocks(t *testing.T) {
	r := inside(t)
	has(t, r.page("/blocks"), "Nobody is blocked.")
	for _, filter := range []string{"ip=192.0.2.0/24", "login=jan"} {
		page := r.page("/blocks?" + filter)
		has(t, page, "No such client is blocked.")
		hasNot(t, page, "Nobody is blocked.")
	}
	r.backend.blocks = someBlocks(250)
	page := r.page("/blocks?ip=192.0.2.0/24")
	if n := strings.Count(page, `action="./unblock"`); n != pageBlocks {
		t.Errorf("%d buttons", n)
	}
	has(t, page, "The latest 200 of 250.", `name="back" value="./blocks?ip=192.0.2.0/24"`, `name="ip" value="192.0.2.0/24"`)
	r.backend.status.Blocked, r.backend.blocks = mostBlocks+1, nil
	for _, path := range []string{"/", "/blocks", "/look?q=jan@domena.cz"} {
		has(t, r.page(path), "20,001 clients are blocked: too many to list.")
	}
}

func TestUnblock(t *testing.T) {
	r := inside(t)
	until := noon.Add(time.Hour)
	r.backend.failures = admin.FailuresAnswer{Count: 11, Limit: 10, Until: &until, ID: anID}
	has(t, r.page("/look?q=192.0.2.7"), "Blocked</strong> until", "22 Nov 2026, 13:00:00 UTC", "Unblock 192.0.2.7", `href="./look?id=`+anID)
	a := r.post("/unblock", url.Values{"address": {"192.0.2.7"}, "back": {"./blocks?ip=192.0.2.7"}})
	if want := "./blocks?ip=192.0.2.7&lifted=192.0.2.7"; a.Header().Get("Location") != want {
		t.Errorf("leads to %q, want %q", a.Header().Get("Location"), want)
	}
	has(t, r.log.String(), `msg="unblocked on the help-desk page" client=192.0.2.7`, "by=192.0.2.10/32")
	hasNot(t, r.page("/blocks?lifted=192.0.2.7"), "is not blocked any more") // for it is
	r.backend.failures = admin.FailuresAnswer{Limit: 10}
	has(t, r.page("/blocks?lifted=192.0.2.7"), "<bdi>192.0.2.7</bdi></strong> is not blocked any more")
	has(t, r.page("/look?q=192.0.2.7"), "Not blocked.", "0 of the 10 failed logins")
	if a := r.post("/unblock", url.Values{"address": {"192.0.2.7"}, "back": {"https://evil.test/"}}); a.Header().Get("Location") != "./?lifted=192.0.2.7" {
		t.Errorf("leads to %q", a.Header().Get("Location"))
	}
}

func TestSubject(t *testing.T) {
	r := inside(t)
	r.backend.entries = []journal.Entry{refusal(time.Minute, nil)}
	r.backend.failures.Failures = []gate.FailureFact{{Time: noon, Client: "198.51.100.3", Login: "jan@domena.cz", Service: "smtp", Same: 1}}
	r.backend.usage = admin.UsageAnswer{Limits: rules.Limits{Messages: 200}, Usage: ledger.Usage{Messages: 174, Recipients: 12345, ReservedMessages: 2}}
	r.backend.blocks = someBlocks(1)
	page := r.page("/look?q=jan%40domena.cz")
	has(t, page, "<strong>174</strong> of 200", `width="87"`, "and 2 on the way", "<strong>12,345</strong> <span class=\"muted\">(no limit)",
		"Begin its hour afresh", "198.51.100.3", "not counted", "same password", "192.0.2.1", "since=30d&amp;login=jan%40domena.cz")
	if n := strings.Count(page, "as &lt;<bdi>jan@seznam.cz</bdi>&gt;"); n != 1 {
		t.Errorf("a refusal that is found twice is shown %d times", n)
	}
	if asked := r.backend.decisions; len(asked) != 2 || asked[0].Login != "jan@domena.cz" || asked[1].Sender != "jan@domena.cz" || !asked[0].Since.Equal(noon.Add(-subjectBack)) {
		t.Errorf("asked %+v", asked)
	}
	r.backend.failures.Shared = true
	hasNot(t, r.page("/look?q=192.0.2.7"), "Sending limits")
	has(t, r.page("/look?q=192.0.2.7"), "This address stands for many people")
	until := noon.Add(time.Hour)
	r.backend.failures = admin.FailuresAnswer{Count: 40, Limit: 30, Until: &until}
	has(t, r.page("/look?q=jan%40domena.cz"), "Slowed down", "40 failed logins from all addresses; 30 are allowed")
	r.backend.err = errors.Join(errors.New(`"jan" is no whole login: give it as name@domain`), admin.ErrRequest)
	has(t, r.page("/look?q=jan"), "is no whole login: give it as name@domain")
}

// A network of many blocks is never said not to be blocked.
func TestWideNetwork(t *testing.T) {
	r := inside(t)
	r.backend.wide = errors.Join(errors.New(`"192.0.2.0/24" is wider than what failed logins are counted by`), admin.ErrRequest)
	page := r.page("/look?q=192.0.2.0/24")
	has(t, page, "No client in it is blocked.", "is wider than what failed logins are counted by", "Refusals of the last 24 hours")
	r.backend.blocks = someBlocks(50)
	page = r.page("/look?q=192.0.2.0/24")
	has(t, page, "Blocked clients in it", "The latest 30 of 50.", `href="./blocks?ip=192.0.2.0/24"`, `name="back" value="./look?q=192.0.2.0%2F24"`)
	hasNot(t, page, "Not blocked", "Sending limits")
	hasNot(t, r.page("/blocks?lifted=192.0.2.0/24"), "is not blocked any more")
}

func TestReset(t *testing.T) {
	r := inside(t)
	a := r.post("/reset", url.Values{"login": {"jan@domena.cz"}})
	if want := "./look?q=jan%40domena.cz&reset=done"; a.Header().Get("Location") != want {
		t.Errorf("leads to %q, want %q", a.Header().Get("Location"), want)
	}
	has(t, r.page("/look?q=jan%40domena.cz&reset=done"), "hour has begun afresh")
	r.backend.usage.Messages = 5
	hasNot(t, r.page("/look?q=jan%40domena.cz&reset=done"), "hour has begun afresh") // a link that somebody made
}

func TestDecisions(t *testing.T) {
	r := inside(t)
	for i := range pageRefusals + 1 {
		r.backend.entries = append(r.backend.entries, refusal(time.Duration(i)*time.Second, nil))
	}
	page := r.page("/decisions?login=jan%40domena.cz&ip=192.0.2.0/24&sender=%3Cjan%40seznam.cz%3E&rule=sender&outcome=observed&since=7d")
	if n := strings.Count(page, `class="when"`); n != pageRefusals {
		t.Errorf("%d rows", n)
	}
	asked := r.backend.decisions[0]
	if asked.Login != "jan@domena.cz" || asked.Client != "192.0.2.0/24" || asked.Sender != "jan@seznam.cz" || asked.Rule != "sender" ||
		asked.Observed == nil || !*asked.Observed || !asked.Since.Equal(noon.Add(-7*24*time.Hour)) || !asked.Until.IsZero() || asked.Limit != pageRefusals+1 {
		t.Errorf("asked %+v", asked)
	}
	has(t, page, `<option selected>sender</option>`, `<option value="observed" selected>`, `<option value="7d" selected>`, "Older refusals")
	// The link to what is older begins where this page ends.
	last := noon.Add(-(pageRefusals - 1) * time.Second)
	has(t, page, fmt.Sprintf("before=%d&amp;ip=", last.UnixNano()))
	older := r.page(fmt.Sprintf("/decisions?before=%d&live=on", last.UnixNano()))
	if got := r.backend.decisions[1].Until; !got.Equal(last) {
		t.Errorf("asked until %s, want %s", got, last)
	}
	hasNot(t, older, `http-equiv="refresh"`, "data-every")
}

func TestLive(t *testing.T) {
	r := inside(t)
	page := r.page("/decisions?rule=sender")
	hasNot(t, page, `http-equiv="refresh"`, "data-every")
	has(t, page, `href="./decisions?live=on&amp;rule=sender"`)
	page = r.page("/decisions?live=on&rule=sender")
	has(t, page, `<noscript><meta http-equiv="refresh" content="5"></noscript>`, `id="live" data-every="5"`, "renewed at 12:00:00", `href="./decisions?rule=sender">Stop renewing`)
}

func TestUnknownPages(t *testing.T) {
	r := inside(t)
	for _, path := range []string{"/nosuch", "/look/more", "/decisions/"} {
		if a := r.get(path); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	if a := r.get("/look"); a.Code != http.StatusSeeOther || a.Header().Get("Location") != "./" {
		t.Errorf("nothing to look up: %d", a.Code)
	}
}
