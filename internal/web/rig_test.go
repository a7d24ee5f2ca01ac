package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/journal"
	"portreeve/rules"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const goodToken = "0123456789abcdef"

// stub is a backend that answers what a test has put into it, and keeps what
// was asked.
type stub struct {
	status   admin.Status
	entries  []journal.Entry
	failures admin.FailuresAnswer
	blocks   []admin.Block
	usage    admin.UsageAnswer
	answer   admin.ExplainAnswer
	err      error
	wide     error // of Failures alone

	explained admin.ExplainRequest
	decisions []admin.DecisionsRequest
	changed   []string // what was changed
}

func (s *stub) Status(context.Context) (admin.Status, error) { return s.status, s.err }

func (s *stub) Explain(_ context.Context, r admin.ExplainRequest) (admin.ExplainAnswer, error) {
	s.explained = r
	return s.answer, s.err
}

func (s *stub) Decisions(_ context.Context, r admin.DecisionsRequest) ([]journal.Entry, error) {
	s.decisions = append(s.decisions, r)
	return s.entries[:min(len(s.entries), r.Limit)], s.err
}

func (s *stub) Failures(_ context.Context, r admin.FailuresRequest) (admin.FailuresAnswer, error) {
	f := s.failures
	f.Of = r.Of
	_, err := netip.ParseAddr(r.Of)
	f.Client = err == nil
	return f, errors.Join(s.err, s.wide)
}

func (s *stub) Blocks(context.Context, admin.BlocksRequest) ([]admin.Block, error) {
	return s.blocks, s.err
}

func (s *stub) Unblock(_ context.Context, r admin.UnblockRequest) ([]admin.Unblocked, error) {
	if s.err != nil {
		return nil, s.err
	}
	s.changed = append(s.changed, "unblock "+strings.Join(r.Addresses, " "))
	return []admin.Unblocked{{Address: r.Addresses[0], Lifted: r.Addresses}}, nil
}

func (s *stub) Usage(_ context.Context, r admin.UsageRequest) (admin.UsageAnswer, error) {
	u := s.usage
	u.Login = r.Login
	return u, s.err
}

func (s *stub) Reset(_ context.Context, r admin.UsageRequest) (admin.UsageAnswer, error) {
	s.changed = append(s.changed, "reset "+r.Login)
	return admin.UsageAnswer{Login: r.Login}, s.err
}

// rig is a page with a browser that keeps its cookie.
type rig struct {
	t       *testing.T
	now     time.Time
	token   string
	backend *stub
	hour    *Hour
	desk    http.Handler
	log     bytes.Buffer

	peer   string
	header map[string]string
	cookie *http.Cookie
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, now: noon, token: goodToken, backend: &stub{}, hour: NewHour(noon), peer: "192.0.2.10:40000", header: map[string]string{}}
	r.desk = NewDesk(DeskOptions{
		Backend: r.backend, Token: func() string { return r.token }, Hour: r.hour, Host: "mx1.domena.cz", Zone: time.UTC,
		Now: func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// inside is a rig whose browser is logged in.
func inside(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	if a := r.post("/login", url.Values{"token": {goodToken}}); a.Code != http.StatusSeeOther {
		t.Fatalf("log-in: %d %s", a.Code, a.Body)
	}
	return r
}

func (r *rig) do(request *http.Request) *httptest.ResponseRecorder {
	r.t.Helper()
	request.RemoteAddr = r.peer
	for key, value := range r.header {
		request.Header.Set(key, value)
	}
	if r.cookie != nil {
		request.AddCookie(r.cookie)
	}
	answer := httptest.NewRecorder()
	r.desk.ServeHTTP(answer, request)
	for _, c := range answer.Result().Cookies() {
		r.cookie = c
		if c.MaxAge < 0 {
			r.cookie = nil
		}
	}
	return answer
}

func (r *rig) get(path string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, nil))
}

func (r *rig) post(path string, form url.Values) *httptest.ResponseRecorder {
	r.t.Helper()
	request := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.do(request)
}

// page is a page that must be there, as text.
func (r *rig) page(path string) string {
	r.t.Helper()
	a := r.get(path)
	if a.Code != http.StatusOK {
		r.t.Fatalf("%s: %d %s", path, a.Code, a.Body)
	}
	return a.Body.String()
}

// has wants all of the words in a page.
func has(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(page, w) {
			t.Errorf("%q is not in\n%s", w, page)
		}
	}
}

// hasNot wants none of them.
func hasNot(t *testing.T, page string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(page, w) {
			t.Errorf("%q is in\n%s", w, page)
		}
	}
}

var ids = journal.NewIDs("mx1.domena.cz")

// refusal is an entry of the journal, some time before noon.
func refusal(before time.Duration, change func(*journal.Entry)) journal.Entry {
	at := noon.Add(-before)
	e := journal.Entry{
		ID: ids.Next(at).String(), Time: at, Last: at, Count: 1, Host: "mx1.domena.cz", Rule: "sender", Reason: string(rules.ReasonSenderDomain),
		Protocol: "milter", Stage: "mail", Reply: "550 5.1.0 <jan@seznam.cz> sender rejected", Client: "192.0.2.7", Port: 587,
		Login: "jan@domena.cz", Sender: "jan@seznam.cz", Recipients: []string{"eva@example.com"}, Facts: json.RawMessage("{}"),
	}
	if change != nil {
		change(&e)
	}
	return e
}

// explained is what package explain makes of an entry.
func explained(t *testing.T, e journal.Entry, lang explain.Lang) explain.Explanation {
	t.Helper()
	x, err := explain.Of(t.Context(), e, explain.Host{Now: noon, Lang: lang, Zone: time.UTC}, explain.Neighbours{Entries: []journal.Entry{refusal(time.Minute, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}
