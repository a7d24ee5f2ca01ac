package authpolicy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/authpolicy"
	"portreeve/rules"
)

var testTime = time.Date(2025, 11, 18, 10, 0, 0, 0, time.UTC)

const token = "s3cret"

// gate refuses by login, and keeps what it was asked and told.
type gate struct {
	mu    sync.Mutex
	asked []rules.Request
	told  []rules.Event
	fail  error
}

func (g *gate) Decide(_ context.Context, r *rules.Request) rules.Decision {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, *r)
	refuse := func(text string) rules.Decision {
		return rules.Decision{Action: rules.Refuse, Reply: rules.Reply{Code: 550, Enhanced: "5.1.0", Text: text}}
	}
	switch r.Login {
	case "blocked":
		return refuse(`0123456789abcdefABCDEF Connection refused from 192.0.2.1. "Too" <many>`)
	case "foreign":
		return refuse("odmítnuto\r\nX: y\x00\xff")
	case "guessed":
		return rules.Decision{Slowed: rules.Finding{Rule: rules.RuleLoginFailures, Delay: 5 * time.Second}}
	case "observed":
		return rules.Decision{Observed: []rules.Finding{{Rule: rules.RuleThrottled}}}
	case "panic":
		panic("a bug")
	default:
		return rules.Decision{}
	}
}

func (g *gate) Tell(_ context.Context, e rules.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = append(g.told, e)
	return g.fail
}

// meter counts as text.
type meter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (m *meter) add(s string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = make(map[string]int)
	}
	m.counts[s]++
}

func (m *meter) ProtocolError(p rules.Protocol)     { m.add("error " + string(p)) }
func (m *meter) AuthReport(protocol, result string) { m.add(protocol + " " + result) }
func (m *meter) ConnOpened(p rules.Protocol)        { m.add("opened " + string(p)) }
func (m *meter) ConnClosed(p rules.Protocol)        { m.add("closed " + string(p)) }

type rig struct {
	http.Handler
	gate  gate
	meter meter
	log   bytes.Buffer
	token string
}

func newRig() *rig {
	r := &rig{token: token}
	r.Handler = authpolicy.New(authpolicy.Options{
		Token: func() string { return r.token }, Gate: &r.gate, Meter: &r.meter,
		Now: func() time.Time { return testTime }, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	return r
}

// post returns the status and the body without its line end.
func (r *rig) post(command, body string, change ...func(*http.Request)) (int, string) {
	q := httptest.NewRequest(http.MethodPost, "/any/path?command="+command, strings.NewReader(body))
	q.Header.Set("X-Api-Key", token)
	for _, f := range change {
		f(q)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w.Code, strings.TrimSuffix(w.Body.String(), "\n")
}

const goOn = `{"status":0,"msg":""}`

// TestFixtures replays what Dovecot 2.3 and 2.4 sent.
func TestFixtures(t *testing.T) {
	data, err := os.ReadFile("testdata/dovecot-auth-policy.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	replayed := 0
	for line := range bytes.Lines(data) {
		var f struct {
			Case, Dovecot, Command string
			Body                   json.RawMessage
		}
		if err := json.Unmarshal(line, &f); err != nil {
			t.Fatal(err)
		}
		var sent map[string]any
		if err := json.Unmarshal(f.Body, &sent); err != nil {
			t.Fatal(err)
		}
		r := newRig()
		if status, answer := r.post(f.Command, string(f.Body)); status != 200 || answer != goOn {
			t.Errorf("%s: %d %s", f.Case, status, answer)
		}
		remote := sent["remote"].(string)
		if remote == "" {
			remote = "invalid IP"
		}
		var got, want string
		if f.Command == "allow" {
			want = fmt.Sprintf("auth auth_policy %v %v %v %v %v", sent["protocol"], remote, sent["login"], sent["tls"], testTime)
			for _, q := range r.gate.asked {
				got += fmt.Sprintf("%v %v %v %v %v %v %v", q.Stage, q.Protocol, q.Service, q.Client, q.Login, q.TLS, q.Time)
			}
		} else if sent["policy_reject"] == false {
			kind := rules.LoginFailed
			if sent["success"] == true {
				kind = rules.LoginSucceeded
			}
			hash, _ := sent["pwhash"].(string) // not among the attributes of every fixture
			if sent["login"] == "" {
				hash = "" // of nothing: not the same wrong password again
			}
			want = fmt.Sprintf("%v %v %v %v %v %v %v %v", kind, sent["protocol"], remote, sent["login"], hash,
				false, sent["tls"], sent["session_id"])
			for _, e := range r.gate.told {
				got += fmt.Sprintf("%v %v %v %v %v %v %v %v", e.Kind, e.Service, e.Client, e.Login, e.Password, e.Internal, e.TLS, e.Session)
			}
		}
		if got != want || len(r.gate.asked)+len(r.gate.told) > 1 {
			t.Errorf("%s (%s): got %s, want %s", f.Case, f.Dovecot, got, want)
		}
		replayed++
	}
	if replayed != 50 {
		t.Errorf("%d fixtures", replayed)
	}
}

func TestAllow(t *testing.T) {
	for login, want := range map[string]string{
		"jan@a.cz": goOn,
		"observed": goOn,
		"guessed":  `{"status":5,"msg":""}`,
		"":         goOn,
		"blocked":  `{"status":-1,"msg":"0123456789abcdefABCDEF Connection refused from 192.0.2.1. \"Too\" <many>"}`,
		"foreign":  `{"status":-1,"msg":"odm?tnuto??X: y??"}`,
	} {
		r := newRig()
		status, answer := r.post("allow", `{"login":"`+login+`","protocol":"smtp","remote":"::ffff:192.0.2.1","x":{"y":[1]}}`)
		if status != 200 || answer != want {
			t.Errorf("%s: %d %s, want %s", login, status, answer, want)
		}
		if q := r.gate.asked; len(q) != 1 || q[0].Client.String() != "192.0.2.1" || !q[0].Time.Equal(testTime) {
			t.Errorf("%s: asked %+v", login, q)
		}
	}
}

func report(extra string) string {
	return `{"login":"jan@a.cz","protocol":"smtp","remote":"192.0.2.1"` + extra + `}`
}

func TestReport(t *testing.T) {
	for name, tt := range map[string]struct{ body, told, count string }{
		"failure":       {report(`,"success":false,"policy_reject":false`), "failed", "smtp failure"},
		"2.4's failure": {report(`,"success":false,"policy_reject":false,"fail_type":"credentials"`), "failed", "smtp failure"},
		"internal":      {report(`,"success":false,"policy_reject":false,"fail_type":"internal"`), "internal", "smtp internal"},
		"success":       {report(`,"success":true,"policy_reject":false`), "succeeded", "smtp success"},
		"our refusal":   {report(`,"success":false,"policy_reject":true`), "", "smtp rejected"},
		"any service":   {report(`,"success":true,"policy_reject":false,"protocol":"Sub\u0000mission"`), "succeeded", "other success"},
	} {
		r := newRig()
		if status, answer := r.post("report", tt.body); status != 200 || answer != goOn {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		told := ""
		for _, e := range r.gate.told {
			switch {
			case e.Internal:
				told += "internal"
			case e.Kind == rules.LoginFailed:
				told += "failed"
			default:
				told += "succeeded"
			}
			if e.Protocol != rules.ProtocolAuthPolicy || !e.Time.Equal(testTime) || e.Client.String() != "192.0.2.1" {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if told != tt.told || r.meter.counts[tt.count] != 1 || len(r.meter.counts) != 1 || len(r.gate.asked) != 0 {
			t.Errorf("%s: told %q, counted %v", name, told, r.meter.counts)
		}
	}
}

func TestReportNotRemembered(t *testing.T) {
	r := newRig()
	r.gate.fail = errors.New("disk full")
	status, answer := r.post("report", report(`,"success":false,"policy_reject":false`))
	if status != 500 || answer != goOn || !strings.Contains(r.log.String(), "disk full") {
		t.Errorf("%d %s, log %s", status, answer, &r.log)
	}
}

func TestRefusedRequests(t *testing.T) {
	good := report(`,"success":false,"policy_reject":false`)
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	for name, tt := range map[string]struct {
		command, body string
		status        int
		change        func(*http.Request)
	}{
		"wrong token":      {"report", good, 403, header("X-Api-Key", "s3creT")},
		"longer token":     {"report", good, 403, header("X-Api-Key", token+"x")},
		"no token":         {"report", good, 403, func(q *http.Request) { q.Header.Del("X-Api-Key") }},
		"GET":              {"report", good, 405, func(q *http.Request) { q.Method = http.MethodGet }},
		"no command":       {"", good, 400, nil},
		"unknown command":  {"reset", good, 400, nil},
		"no JSON":          {"report", "login=jan", 400, nil},
		"empty":            {"report", "", 400, nil},
		"half":             {"report", good[:20], 400, nil},
		"two objects":      {"report", good + good, 400, nil},
		"an array":         {"report", "[" + good + "]", 400, nil},
		"null":             {"report", "null", 400, nil},
		"no login":         {"allow", `{"protocol":"smtp","remote":""}`, 400, nil},
		"null login":       {"allow", `{"login":null,"protocol":"smtp","remote":""}`, 400, nil},
		"no protocol":      {"allow", `{"login":"a","remote":""}`, 400, nil},
		"no remote":        {"allow", `{"login":"a","protocol":"smtp"}`, 400, nil},
		"number as login":  {"allow", `{"login":1,"protocol":"smtp","remote":""}`, 400, nil},
		"object as remote": {"allow", `{"login":"a","protocol":"smtp","remote":{}}`, 400, nil},
		"string as tls":    {"allow", `{"login":"a","protocol":"smtp","remote":"","tls":"yes"}`, 400, nil},
		"no success":       {"report", report(`,"policy_reject":false`), 400, nil},
		"no policy_reject": {"report", report(`,"success":false`), 400, nil},
		"success as text":  {"report", report(`,"success":"false","policy_reject":false`), 400, nil},
		"too long":         {"report", good + strings.Repeat(" ", 64<<10), 413, nil},
		"deep":             {"report", strings.Repeat("[", 60000), 400, nil},
	} {
		r := newRig()
		var change []func(*http.Request)
		if tt.change != nil {
			change = append(change, tt.change)
		}
		status, answer := r.post(tt.command, tt.body, change...)
		if status != tt.status || answer != goOn {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if r.meter.counts["error auth_policy"] != 1 || len(r.gate.asked)+len(r.gate.told) != 0 {
			t.Errorf("%s: counted %v, asked %v, told %v", name, r.meter.counts, r.gate.asked, r.gate.told)
		}
		if !strings.Contains(r.log.String(), "malformed auth policy request") || strings.Contains(r.log.String(), token) {
			t.Errorf("%s: log %s", name, &r.log)
		}
	}
}

func TestTokenChanges(t *testing.T) {
	r := newRig()
	body := `{"login":"a","protocol":"smtp","remote":""}`
	r.token = "another"
	if status, _ := r.post("allow", body); status != 403 {
		t.Errorf("the old token: %d", status)
	}
	r.token = ""
	if status, _ := r.post("allow", body, func(q *http.Request) { q.Header.Set("X-Api-Key", "") }); status != 403 {
		t.Errorf("no token at all: %d", status)
	}
	r.token = token
	if status, _ := r.post("allow", body); status != 200 {
		t.Errorf("the token: %d", status)
	}
}

func TestDuplicateKeys(t *testing.T) {
	r := newRig()
	r.post("allow", `{"login":"a","protocol":"smtp","remote":"192.0.2.1","login":"b"}`)
	if len(r.gate.asked) != 1 || r.gate.asked[0].Login != "b" {
		t.Errorf("%+v", r.gate.asked)
	}
}

func FuzzBody(f *testing.F) {
	data, err := os.ReadFile("testdata/dovecot-auth-policy.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		f.Add(string(line))
	}
	f.Add(`{"login":"foreign","protocol":"x","remote":"::1%lo","success":false,"policy_reject":false}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, command := range []string{"allow", "report"} {
			if strings.Contains(body, "panic") {
				return // the test's own gate
			}
			r := newRig()
			status, answer := r.post(command, body)
			var a struct {
				Status *int
				Msg    *string
			}
			if err := json.Unmarshal([]byte(answer), &a); err != nil || a.Status == nil || a.Msg == nil {
				t.Fatalf("%q: answered %q", body, answer)
			}
			if strings.ContainsFunc(*a.Msg, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q: message %q", body, *a.Msg)
			}
			if (status == 200) != (r.meter.counts["error auth_policy"] == 0) {
				t.Errorf("%q: status %d, counted %v", body, status, r.meter.counts)
			}
		}
	})
}
