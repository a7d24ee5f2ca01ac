package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

// pages are all that somebody who is logged in can open.
var pages = []string{"/", "/look?q=192.0.2.7", "/look?q=jan@domena.cz", "/look?id=0kHG086hcEUJCINrgXbGZl", "/decisions", "/decisions?live=on", "/blocks"}

// actions change something.
var actions = map[string]url.Values{
	"/unblock": {"address": {"192.0.2.7"}, "back": {"./blocks"}},
	"/reset":   {"login": {"jan@domena.cz"}},
}

func TestOffWithoutToken(t *testing.T) {
	r := newRig(t)
	r.token = ""
	for _, path := range append(slices.Clone(pages), "/login", "/assets/style.css", "/nosuch") {
		a := r.get(path)
		if a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
		has(t, a.Body.String(), "The help-desk page is off", "web.token_file")
	}
	if a := r.post("/login", url.Values{"token": {""}}); a.Code != http.StatusNotFound || r.cookie != nil {
		t.Errorf("an empty token logs in: %d", a.Code)
	}
	r.token = goodToken // a reload
	has(t, r.page("/login"), "Token")
}

// Without a session nothing is shown and the backend is not asked.
func TestNothingForStrangers(t *testing.T) {
	r := newRig(t)
	r.backend.err = errors.New("the backend was asked")
	for _, path := range pages {
		a := r.get(path)
		if a.Code != http.StatusSeeOther || a.Body.Len() > 0 {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
	for path, form := range actions {
		if a := r.post(path, form); a.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.Code)
		} else {
			has(t, a.Body.String(), "You are not logged in any more")
		}
	}
	if a := r.post("/look", url.Values{"text": {"jan@domena.cz"}}); a.Code != http.StatusForbidden {
		t.Errorf("/look: %d", a.Code)
	}
	if len(r.backend.changed)+len(r.backend.decisions) > 0 || strings.Contains(r.log.String(), "asked") {
		t.Errorf("the backend was asked: %q %s", r.backend.changed, r.log.String())
	}
}

func TestOtherSitesChangeNothing(t *testing.T) {
	for name, header := range map[string]map[string]string{
		"another site":      {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"},
		"a sister site":     {"Sec-Fetch-Site": "same-site", "Origin": "https://www.example.com"},
		"an old browser":    {"Origin": "https://evil.test"},
		"a page of no site": {"Origin": "null"},
	} {
		r := inside(t)
		r.header = header
		for path, form := range actions {
			if a := r.post(path, form); a.Code != http.StatusForbidden {
				t.Errorf("%s, %s: %d", name, path, a.Code)
			}
		}
		for _, path := range []string{"/login", "/logout", "/look"} {
			if a := r.post(path, nil); a.Code != http.StatusForbidden {
				t.Errorf("%s, %s: %d", name, path, a.Code)
			}
		}
		if len(r.backend.changed) > 0 {
			t.Errorf("%s changed %q", name, r.backend.changed)
		}
	}
	r := inside(t)
	r.header = map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://example.com"}
	for path, form := range actions {
		if a := r.post(path, form); a.Code != http.StatusSeeOther {
			t.Errorf("our own page, %s: %d", path, a.Code)
		}
	}
	if want := []string{"reset jan@domena.cz", "unblock 192.0.2.7"}; !slices.Equal(slices.Sorted(slices.Values(r.backend.changed)), want) {
		t.Errorf("changed %q, want %q", r.backend.changed, want)
	}
}

func TestGetChangesNothing(t *testing.T) {
	r := inside(t)
	for path, form := range actions {
		if a := r.get(path + "?" + form.Encode()); a.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, a.Code)
		}
	}
	for _, path := range append(slices.Clone(pages), "/look?q=jan@domena.cz&reset=done", "/blocks?lifted=192.0.2.7", "/login") {
		r.page(path)
	}
	if len(r.backend.changed) > 0 {
		t.Errorf("changed %q", r.backend.changed)
	}
	r.page("/") // and nobody was logged out
}

func TestHeaders(t *testing.T) {
	r := inside(t)
	for _, path := range append(slices.Clone(pages), "/login", "/nosuch", "/assets/style.css", "/assets/nosuch") {
		h := r.get(path).Header()
		for key, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
				"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if h.Get(key) != want {
				t.Errorf("%s: %s is %q, want %q", path, key, h.Get(key), want)
			}
		}
	}
}

// The policy forbids what stands in a page itself.
func TestNothingInline(t *testing.T) {
	r := inside(t)
	for _, path := range pages {
		page := r.page(path)
		hasNot(t, page, "<style", " style=", " onclick=", "javascript:", "http://", "https://")
		if strings.Count(page, "<script") != strings.Count(page, `<script src="assets/desk.js?v=`) {
			t.Errorf("%s has a script of its own", path)
		}
	}
}

func TestAssets(t *testing.T) {
	r := newRig(t)
	for name, kind := range assetTypes {
		link, err := assetLink(name)
		if err != nil {
			t.Fatal(err)
		}
		a := r.get("/" + link)
		if a.Code != http.StatusOK || a.Header().Get("Content-Type") != kind || a.Body.Len() == 0 {
			t.Errorf("%s: %d %q", link, a.Code, a.Header().Get("Content-Type"))
		}
		if got := a.Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: Cache-Control %q", link, got)
		}
	}
	for _, path := range []string{"/assets/", "/assets/web.go", "/assets/..%2fweb.go", "/templates/home.html"} {
		if a := r.get(path); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
}

func TestFormsAreBounded(t *testing.T) {
	r := inside(t)
	a := r.post("/look", url.Values{"text": {strings.Repeat("x ", maxForm)}})
	if a.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long text: %d", a.Code)
	}
	has(t, a.Body.String(), "This text is too long")
	if a := r.post("/login", url.Values{"token": {strings.Repeat("x", maxLogin)}}); a.Code != http.StatusBadRequest {
		t.Errorf("a long token: %d", a.Code)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/look", strings.NewReader("text=%zz"))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := r.do(request); a.Code != http.StatusBadRequest {
		t.Errorf("a broken form: %d", a.Code)
	}
}

// slow answers when it is let go.
type slow struct {
	*stub
	let chan struct{}
}

func (s slow) Decisions(context.Context, admin.DecisionsRequest) ([]journal.Entry, error) {
	<-s.let
	return nil, nil
}

// More pages than are made at a time wait, and give up with a sentence.
func TestPagesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := slow{&stub{}, make(chan struct{})}
		h := NewDesk(DeskOptions{Backend: backend, Token: func() string { return goodToken }, Hour: NewHour(noon), Now: func() time.Time { return noon }})
		r := &rig{t: t, desk: h, peer: "192.0.2.10:4000"}
		r.post("/login", url.Values{"token": {goodToken}})
		codes := make(chan int, pagesAtOnce)
		for range pagesAtOnce {
			go func() { codes <- r.get("/decisions").Code }()
		}
		synctest.Wait()
		began := time.Now()
		a := r.get("/decisions")
		if a.Code != http.StatusServiceUnavailable || time.Since(began) != pageTime {
			t.Errorf("one too many: %d after %s", a.Code, time.Since(began))
		}
		has(t, a.Body.String(), "Too many pages are being looked at")
		close(backend.let)
		for range pagesAtOnce {
			if code := <-codes; code != http.StatusOK {
				t.Errorf("%d", code)
			}
		}
		if a := r.get("/decisions"); a.Code != http.StatusOK {
			t.Errorf("afterwards: %d", a.Code)
		}
	})
}

// What fails is said on the page and logged; the daemon's own words are not shown.
func TestBackendFails(t *testing.T) {
	r := inside(t)
	r.backend.err = errors.New("disk on fire")
	for _, path := range pages {
		a := r.get(path)
		has(t, a.Body.String(), "This cannot be shown now")
		hasNot(t, a.Body.String(), "disk on fire")
	}
	has(t, r.log.String(), "disk on fire")
	for path, form := range actions {
		if a := r.post(path, form); a.Code != http.StatusInternalServerError {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	r.backend.err = fmt.Errorf("%q is no IP address: give one such as 192.0.2.1%w", "x", admin.ErrRequest)
	a := r.post("/unblock", url.Values{"address": {"x"}})
	if a.Code != http.StatusBadRequest {
		t.Errorf("an address that is none: %d", a.Code)
	}
	has(t, a.Body.String(), "is no IP address: give one such as 192.0.2.1.")
	r.backend.err = fmt.Errorf("reading the journal: %w", context.DeadlineExceeded)
	has(t, r.page("/decisions"), "This took too long: choose a shorter time.")
}
