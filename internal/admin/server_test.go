package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/ledger"
)

// daemon answers what a test wants, and keeps what it was asked.
type daemon struct {
	asked []string
	err   error
}

func (d *daemon) hear(call string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	d.asked = append(d.asked, call+" "+string(body))
	return d.err
}

func (d *daemon) Status(context.Context) (Status, error) {
	return Status{Version: "1", Mode: "enforce", Listeners: map[string]string{"policy": "unix:/p"}}, d.hear("status", nil)
}

func (d *daemon) Explain(_ context.Context, r ExplainRequest) (ExplainAnswer, error) {
	return ExplainAnswer{Unknown: r.IDs}, d.hear("explain", r)
}

func (d *daemon) Decisions(_ context.Context, r DecisionsRequest) ([]journal.Entry, error) {
	return []journal.Entry{{ID: "x", Rule: r.Rule, Facts: json.RawMessage("{}")}}, d.hear("decisions", r)
}

func (d *daemon) Failures(_ context.Context, r FailuresRequest) (FailuresAnswer, error) {
	return FailuresAnswer{Of: r.Of, Count: 3}, d.hear("failures", r)
}

func (d *daemon) Blocks(_ context.Context, r BlocksRequest) ([]Block, error) {
	return []Block{{Prefix: "2001:db8::/64", Failures: 11}}, d.hear("blocks", r)
}

func (d *daemon) Unblock(_ context.Context, r UnblockRequest) ([]Unblocked, error) {
	return []Unblocked{{Address: "192.0.2.1", Lifted: []string{"192.0.2.1"}}}, d.hear("unblock", r)
}

func (d *daemon) Reload(context.Context) (Reloaded, error) {
	return Reloaded{Problems: []string{"a", "b"}}, d.hear("reload", nil)
}

func (d *daemon) Usage(_ context.Context, r UsageRequest) (UsageAnswer, error) {
	return UsageAnswer{Login: r.Login, Usage: ledger.Usage{Messages: 3}}, d.hear("usage", r)
}

func (d *daemon) Reset(_ context.Context, r UsageRequest) (UsageAnswer, error) {
	return UsageAnswer{Login: r.Login}, d.hear("reset", r)
}

func (d *daemon) Test(_ context.Context, r TestRequest) (Tested, error) {
	return Tested{Action: "pass", Client: r.ClientIP}, d.hear("test", r)
}

// serve is one request to a handler; it returns what it answers and logs.
func serve(d *daemon, r *http.Request) (*httptest.ResponseRecorder, string) {
	var log bytes.Buffer
	w := httptest.NewRecorder()
	Handler(d, slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, r)
	return w, log.String()
}

// What is not answered with 200 has one sentence that ends in what to do, and
// never reaches the daemon.
func TestRequestsThatMakeNoSense(t *testing.T) {
	long := `{"addresses":["` + strings.Repeat("x", maxBody) + `"]}`
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"GET":                {"GET", "/v1/status", "", 405, "/v1/status takes no GET: send a POST"},
		"PUT":                {"PUT", "/v1/unblock", "{}", 405, "send a POST"},
		"DELETE":             {"DELETE", "/v1/blocks", "", 405, "send a POST"},
		"OPTIONS":            {"OPTIONS", "/v1/unblock", "", 405, "send a POST"},
		"HEAD":               {"HEAD", "/v1/status", "", 405, "send a POST"},
		"unknown call":       {"POST", "/v1/shutdown", "{}", 404, `there is no call "/v1/shutdown" here: ask with`},
		"root":               {"GET", "/", "", 404, `there is no call "/" here: ask with`},
		"below a call":       {"POST", "/v1/status/x", "{}", 404, "there is no call"},
		"unknown key":        {"POST", "/v1/unblock", `{"adresses":["192.0.2.1"]}`, 400, `unknown field "adresses": ask with`},
		"key of no use":      {"POST", "/v1/reload", `{"path":"/etc/passwd"}`, 400, `unknown field "path"`},
		"unknown nested key": {"POST", "/v1/test", `{"message":{"Trial":[]}}`, 400, `unknown field "Trial"`},
		"wrong type":         {"POST", "/v1/unblock", `{"addresses":"192.0.2.1"}`, 400, "reading the request: json: "},
		"no object":          {"POST", "/v1/unblock", `["192.0.2.1"]`, 400, "reading the request: json: "},
		"port out of range":  {"POST", "/v1/test", `{"port":65536}`, 400, "reading the request: json: "},
		"no JSON":            {"POST", "/v1/unblock", "addresses=192.0.2.1", 400, "reading the request: invalid character"},
		"cut short":          {"POST", "/v1/unblock", `{"addresses":["192.0.2.1"`, 400, "unexpected EOF"},
		"two values":         {"POST", "/v1/unblock", `{"addresses":[]}{"addresses":["192.0.2.1"]}`, 400, "something follows the JSON value"},
		"rubbish after it":   {"POST", "/v1/unblock", `{"addresses":[]}]`, 400, "after the JSON value: "},
		"too long":           {"POST", "/v1/unblock", long, 413, "request body too large: ask with"},
		"too long after it":  {"POST", "/v1/unblock", "{}" + strings.Repeat(" ", maxBody), 413, "request body too large: ask with"},
	} {
		d := &daemon{}
		w, _ := serve(d, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.status || len(d.asked) > 0 {
			t.Errorf("%s: %d, want %d; the daemon was asked %q", name, w.Code, tt.status, d.asked)
		}
		if allow := w.Header().Get("Allow"); (allow == "POST") != (tt.status == 405) {
			t.Errorf("%s: Allow: %q", name, allow)
		}
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || !strings.Contains(p.Error, tt.want) || strings.Contains(p.Error, "\n") {
			t.Errorf("%s: %q, want %q (%v)", name, w.Body, tt.want, err)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: Content-Type %q", name, kind)
		}
	}
}

// A web page cannot set these headers, and cannot keep its browser from it.
func TestWebPagesMayNotAsk(t *testing.T) {
	for name, value := range map[string]string{"Origin": "http://evil.test", "Sec-Fetch-Site": "same-origin"} {
		d := &daemon{}
		r := httptest.NewRequest(http.MethodPost, "/v1/unblock", strings.NewReader(`{"addresses":["192.0.2.1"]}`))
		r.Header.Set("Content-Type", "text/plain")
		r.Header.Set(name, value)
		w, log := serve(d, r)
		if w.Code != http.StatusForbidden || len(d.asked) > 0 || !strings.Contains(w.Body.String(), "use the portreeve command") {
			t.Errorf("%s: %d %q, asked %q", name, w.Code, w.Body, d.asked)
		}
		if !strings.Contains(log, "level=WARN") {
			t.Errorf("%s: logged %q", name, log)
		}
	}
	d := &daemon{}
	r := httptest.NewRequest(http.MethodPost, "/v1/status", nil) // as curl asks, without any of them
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if w, _ := serve(d, r); w.Code != http.StatusOK || len(d.asked) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// An error that the asker can mend is his, and anything else the daemon's, which
// is logged.
func TestErrorsOfTheDaemon(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		text   string
		logged bool
	}{
		"the asker's":  {fmt.Errorf("%q is no IP address: give one%w", "x", ErrRequest), 400, `"x" is no IP address: give one`, false},
		"the daemon's": {errors.New("disk full\nor so"), 500, "disk full\nor so", true},
	} {
		d := &daemon{err: tt.err}
		w, log := serve(d, httptest.NewRequest(http.MethodPost, "/v1/blocks", http.NoBody))
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != tt.status || p.Error != tt.text {
			t.Errorf("%s: %d %q %v", name, w.Code, w.Body, err)
		}
		if logged := strings.Contains(log, `level=ERROR msg="admin request failed" path=/v1/blocks error="disk full\nor so"`); logged != tt.logged {
			t.Errorf("%s: logged %q", name, log)
		}
	}
}

// broken is an asker that has hung up.
type broken struct{ *httptest.ResponseRecorder }

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAnswerThatNobodyTakes(t *testing.T) {
	var log bytes.Buffer
	h := Handler(&daemon{}, slog.New(slog.NewTextHandler(&log, nil)))
	h.ServeHTTP(broken{httptest.NewRecorder()}, httptest.NewRequest(http.MethodPost, "/v1/status", http.NoBody))
	if !strings.Contains(log.String(), `msg="admin answer not delivered"`) {
		t.Errorf("logged %q", log.String())
	}
}

// Scripts read these keys (SPEC.md section 5).
func TestJSONKeys(t *testing.T) {
	for want, v := range map[string]any{
		`"id" "time" "action" "rule" "reason" "observed" "reply" "client" "port" "login" "sender" "recipients" "facts" "offline" "steps"`: Tested{},
		`"prefix" "id" "since" "until" "failures" "logins" "attempts"`:                                                                    Block{},
		`"address" "lifted"`:          Unblocked{},
		`"problems" "needs_restart"`:  Reloaded{},
		`"kind" "path" "up"`:          StoreStatus{},
		`"found" "unknown" "missing"`: ExplainAnswer{},
		`"of" "client" "failures" "count" "limit" "until" "id" "shared"`: FailuresAnswer{},
		`"login" "id" "since" "until" "failures"`:                        Guess{},
		`"login" "count"`:                                        LoginCount{},
		`"stage" "action" "facts" "rules"`:                       TestStep{},
		`"ids" "senders" "since"`:                                ExplainRequest{Since: time.Now()},
		`"client_ip" "port" "login" "tls" "sender" "recipients"`: TestRequest{},
	} {
		body, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(body, &keys); err != nil {
			t.Fatal(err)
		}
		names := strings.Fields(want)
		for _, name := range names {
			if _, ok := keys[strings.Trim(name, `"`)]; !ok {
				t.Errorf("%T has no %s", v, name)
			}
		}
		if len(keys) != len(names) {
			t.Errorf("%T is %s, want %s", v, body, want)
		}
	}
}
