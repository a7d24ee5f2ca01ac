package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/rules"
)

// sample is one line of the text format: name{labels} value.
var sample = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)

var label = regexp.MustCompile(`([a-z]+)="((?:[^"\\]|\\.)*)"`)

// page is what /metrics showed.
type page struct {
	kinds  map[string]string          // by name
	labels map[string][]string        // by name: the names of its labels, le left out
	values map[string]map[string]bool // by name and label, joined with a dot: the values
	series map[string]string          // by the whole of name{labels}
}

// scrape reads the text format (Prometheus, "Exposition formats").
func scrape(t *testing.T, s *Set) page {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	p := page{kinds: map[string]string{}, labels: map[string][]string{}, values: map[string]map[string]bool{}, series: map[string]string{}}
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			p.kinds[name] = kind
		}
		m := sample.FindStringSubmatch(line)
		if strings.HasPrefix(line, "#") || !strings.HasPrefix(line, "portreeve_") {
			continue
		}
		if m == nil {
			t.Fatalf("no sample: %q", line)
		}
		p.add(m[1], m[2], m[3])
	}
	return p
}

func (p page) add(name, labels, value string) {
	series := name
	if labels != "" {
		series += "{" + labels + "}"
	}
	p.series[series] = value
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base := strings.TrimSuffix(name, suffix); p.kinds[base] == "histogram" {
			name = base
		}
	}
	var names []string
	for _, l := range label.FindAllStringSubmatch(labels, -1) {
		if l[1] == "le" {
			continue
		}
		names = append(names, l[1])
		if p.values[name+"."+l[1]] == nil {
			p.values[name+"."+l[1]] = map[string]bool{}
		}
		p.values[name+"."+l[1]][l[2]] = true
	}
	p.labels[name] = names
}

func (p page) expect(t *testing.T, want map[string]string) {
	t.Helper()
	for series, value := range want {
		if p.series[series] != value {
			t.Errorf("%s is %q, want %q", series, p.series[series], value)
		}
	}
}

// used is a set with one of everything.
func used() *Set {
	s := New(Sources{Blocked: func() int { return 3 }, StoreUp: func() bool { return true }})
	s.Decided(7, time.Time{}, "", "pass", rules.ProtocolPolicy)
	s.Decided(14, time.Time{}, "", "permit", rules.ProtocolPolicy)
	s.Decided(21, time.Time{}, rules.RuleSender, "refuse", rules.ProtocolMilter)
	s.Decided(28, time.Time{}, rules.RuleThrottled, "observe", rules.ProtocolAuthPolicy)
	s.Took(35, rules.ProtocolPolicy, 30*time.Microsecond)
	s.Looked(2, "found", time.Microsecond)
	s.Looked(9, "failed", 2*time.Second)
	s.Answered("stale")
	s.Stored(500 * time.Microsecond)
	s.Unrecorded()
	s.AuthReport("submission", "failure")
	s.ProtocolError(rules.ProtocolMilter)
	s.ConnOpened(rules.ProtocolMilter)
	s.ConnOpened(rules.ProtocolMilter)
	s.ConnClosed(rules.ProtocolMilter)
	return s
}

// TestNames is SPEC.md section 9: other people's dashboards depend on these.
func TestNames(t *testing.T) {
	p := scrape(t, used())
	want := map[string]string{
		"portreeve_decisions_total":         "counter action protocol rule",
		"portreeve_decision_seconds":        "histogram protocol",
		"portreeve_auth_reports_total":      "counter protocol result",
		"portreeve_blocked_clients":         "gauge",
		"portreeve_connections":             "gauge protocol",
		"portreeve_store_up":                "gauge",
		"portreeve_store_seconds":           "histogram",
		"portreeve_directory_lookups_total": "counter result",
		"portreeve_directory_seconds":       "histogram",
		"portreeve_directory_up":            "gauge",        // beyond the contract
		"portreeve_directory_answers_total": "counter from", // beyond the contract
		"portreeve_protocol_errors_total":   "counter protocol",
		"portreeve_unrecorded_total":        "counter", // beyond the contract
		"portreeve_start_time_seconds":      "gauge",   // beyond the contract
		"portreeve_store_file_up":           "gauge",   // beyond the contract
		"portreeve_store_set_aside":         "gauge",   // beyond the contract
		"portreeve_shared_store_up":         "gauge",   // beyond the contract
		"portreeve_shared_store_waiting":    "gauge",   // beyond the contract
	}
	for name, shape := range want {
		got := strings.TrimSpace(p.kinds[name] + " " + strings.Join(p.labels[name], " "))
		if got != shape {
			t.Errorf("%s is %q, want %q", name, got, shape)
		}
	}
	for name := range p.labels {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is in no contract", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if p.kinds[name] != "gauge" {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestValues(t *testing.T) {
	scrape(t, used()).expect(t, map[string]string{
		`portreeve_decisions_total{action="pass",protocol="policy",rule=""}`:                  "1",
		`portreeve_decisions_total{action="permit",protocol="policy",rule=""}`:                "1",
		`portreeve_decisions_total{action="refuse",protocol="milter",rule="sender"}`:          "1",
		`portreeve_decisions_total{action="observe",protocol="auth_policy",rule="throttled"}`: "1",
		`portreeve_decision_seconds_count{protocol="policy"}`:                                 "1",
		`portreeve_decision_seconds_bucket{protocol="policy",le="2e-05"}`:                     "0",
		`portreeve_decision_seconds_bucket{protocol="policy",le="5e-05"}`:                     "1",
		`portreeve_auth_reports_total{protocol="submission",result="failure"}`:                "1",
		`portreeve_blocked_clients`:                          "3",
		`portreeve_connections{protocol="milter"}`:           "1",
		`portreeve_directory_up`:                             "1",
		`portreeve_directory_answers_total{from="stale"}`:    "1",
		`portreeve_directory_answers_total{from="memory"}`:   "0",
		`portreeve_store_up`:                                 "1",
		`portreeve_shared_store_up`:                          "1", // there is none to miss
		`portreeve_shared_store_waiting`:                     "0",
		`portreeve_store_seconds_count`:                      "1",
		`portreeve_directory_lookups_total{result="found"}`:  "1",
		`portreeve_directory_lookups_total{result="failed"}`: "1",
		`portreeve_directory_seconds_count`:                  "2",
		`portreeve_directory_seconds_bucket{le="2"}`:         "2",
		`portreeve_protocol_errors_total{protocol="milter"}`: "1",
		`portreeve_unrecorded_total`:                         "1",
	})
	want := Counts{Passed: 2, Refused: 1, Observed: 1, AuthReports: 1, ProtocolErrors: 1, Unrecorded: 1, FailedLookups: 1}
	if got := used().Counts(); got != want {
		t.Errorf("status shows %+v, want %+v", got, want)
	}
}

// An alert on an increase misses the first one unless the series was there
// before it.
func TestSeriesThatAreThereFromTheBeginning(t *testing.T) {
	s := New(Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	want := map[string]string{"portreeve_unrecorded_total": "0", "portreeve_blocked_clients": "0", "portreeve_store_seconds_count": "0"}
	for _, p := range []string{"policy", "milter", "auth_policy", "sasl"} {
		for _, rule := range rules.Rules {
			want[fmt.Sprintf(`portreeve_decisions_total{action="refuse",protocol=%q,rule=%q}`, p, rule)] = "0"
			want[fmt.Sprintf(`portreeve_decisions_total{action="observe",protocol=%q,rule=%q}`, p, rule)] = "0"
		}
		want[fmt.Sprintf(`portreeve_decisions_total{action="pass",protocol=%q,rule=""}`, p)] = "0"
		want[fmt.Sprintf(`portreeve_connections{protocol=%q}`, p)] = "0"
		want[fmt.Sprintf(`portreeve_protocol_errors_total{protocol=%q}`, p)] = "0"
		want[fmt.Sprintf(`portreeve_decision_seconds_count{protocol=%q}`, p)] = "0"
	}
	for _, p := range []string{"auth_policy", "sasl"} {
		want[fmt.Sprintf(`portreeve_decisions_total{action="delay",protocol=%q,rule="login_failures"}`, p)] = "0"
	}
	for _, service := range []string{"smtp", "submission", "pop3", "imap"} {
		want[fmt.Sprintf(`portreeve_auth_reports_total{protocol=%q,result="failure"}`, service)] = "0"
	}
	for _, result := range []string{"found", "absent", "failed"} {
		want[fmt.Sprintf(`portreeve_directory_lookups_total{result=%q}`, result)] = "0"
	}
	scrape(t, s).expect(t, want)
}

// Who sets the service's name must not be able to make series without end.
func TestHostileServiceNames(t *testing.T) {
	s := used()
	for i := range 1000 {
		s.AuthReport(fmt.Sprintf("smtp%d", i), "failure")
	}
	for _, name := range []string{"", "SMTP", "smtp ", "other", "pop3\"} 1\nportreeve_store_up 0", strings.Repeat("x", 1<<16), "\xff\xfe", "imap", "smtp"} {
		s.AuthReport(name, "success")
	}
	p := scrape(t, s)
	got := slices.Sorted(maps.Keys(p.values["portreeve_auth_reports_total.protocol"]))
	if want := []string{"imap", "other", "pop3", "smtp", "submission"}; !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
	p.expect(t, map[string]string{
		`portreeve_auth_reports_total{protocol="other",result="failure"}`: "1000",
		`portreeve_auth_reports_total{protocol="other",result="success"}`: "7",
		`portreeve_store_up`: "1",
	})
	if n := s.Counts().AuthReports; n != 1010 {
		t.Errorf("status shows %d reports", n)
	}
}

// Every rule and action of every protocol is few series, and no more.
func TestDecisionsAreBounded(t *testing.T) {
	s := New(Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	for range 3 {
		for _, p := range protocols {
			for _, r := range rules.Rules {
				s.Decided(16, time.Time{}, r, rules.Refuse.String(), p)
				s.Decided(23, time.Time{}, r, "observe", p)
			}
			s.Decided(30, time.Time{}, "", rules.Pass.String(), p)
			s.Decided(37, time.Time{}, "", rules.Permit.String(), p)
		}
		for _, p := range []rules.Protocol{rules.ProtocolAuthPolicy, rules.ProtocolSASL} {
			s.Decided(4, time.Time{}, rules.RuleLoginFailures, "delay", p)
		}
	}
	n := 0
	for series := range scrape(t, s).series {
		if strings.HasPrefix(series, "portreeve_decisions_total{") {
			n++
		}
	}
	if want := len(protocols)*(2*len(rules.Rules)+2) + 2; n != want {
		t.Errorf("%d series, want %d", n, want)
	}
	if c := s.Counts(); c.Refused != int64(3*len(protocols)*len(rules.Rules)) || c.Refused != c.Observed || c.Passed != int64(3*2*len(protocols)) {
		t.Errorf("status shows %+v", c)
	}
}

// A protocol that was not foreseen is counted, and measured by nobody.
func TestUnforeseenProtocol(t *testing.T) {
	s := New(Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	s.Decided(11, time.Time{}, "", rules.Pass.String(), "nonsense")
	s.Took(18, "nonsense", time.Second)
	p := scrape(t, s)
	p.expect(t, map[string]string{`portreeve_decisions_total{action="pass",protocol="nonsense",rule=""}`: "1"})
	if p.values["portreeve_decision_seconds.protocol"]["nonsense"] {
		t.Error("its times have a series")
	}
}

// What others know is read when somebody looks.
func TestSources(t *testing.T) {
	blocked, up := 0, true
	s := New(Sources{
		Since: time.Unix(1_700_000_000, 250e6), Blocked: func() int { return blocked }, StoreUp: func() bool { return up }, DirectoryUp: func() bool { return up },
		FileUp: func() bool { return up }, SharedUp: func() bool { return up }, Waiting: func() int { return 10 * blocked }, SetAside: func() int { return blocked },
	})
	for _, now := range []struct {
		blocked int
		up      bool
		want    map[string]string
	}{
		{0, true, map[string]string{"portreeve_blocked_clients": "0", "portreeve_store_up": "1", "portreeve_start_time_seconds": "1.70000000025e+09"}},
		{7, false, map[string]string{
			"portreeve_blocked_clients": "7", "portreeve_store_up": "0", "portreeve_directory_up": "0",
			"portreeve_store_file_up": "0", "portreeve_shared_store_up": "0", "portreeve_shared_store_waiting": "70", "portreeve_store_set_aside": "7",
		}},
		{1, true, map[string]string{"portreeve_blocked_clients": "1", "portreeve_store_up": "1"}},
	} {
		blocked, up = now.blocked, now.up
		scrape(t, s).expect(t, now.want)
	}
}

// Two daemons in one process (as tests have them) do not meet.
func TestSetsAreApart(t *testing.T) {
	one, other := used(), New(Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	if c := other.Counts(); c != (Counts{}) {
		t.Errorf("counts %+v", c)
	}
	scrape(t, one).expect(t, map[string]string{"portreeve_unrecorded_total": "1"})
	scrape(t, other).expect(t, map[string]string{"portreeve_unrecorded_total": "0"})
}

// Fronts count while somebody scrapes.
func TestConcurrentUse(t *testing.T) {
	s := New(Sources{Blocked: func() int { return 0 }, StoreUp: func() bool { return true }})
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 200 {
				s.ConnOpened(rules.ProtocolPolicy)
				s.Decided(25, time.Time{}, "", rules.Pass.String(), rules.ProtocolPolicy)
				s.Decided(32, time.Time{}, rules.RuleSender, rules.Refuse.String(), rules.ProtocolPolicy)
				s.AuthReport("smtp", "failure")
				s.ConnClosed(rules.ProtocolPolicy)
			}
		})
	}
	for range 5 {
		scrape(t, s)
	}
	users.Wait()
	if c := s.Counts(); c.Passed != 800 || c.Refused != 800 || c.AuthReports != 800 {
		t.Errorf("status shows %+v", c)
	}
	scrape(t, s).expect(t, map[string]string{
		`portreeve_connections{protocol="policy"}`:                                   "0",
		`portreeve_decisions_total{action="pass",protocol="policy",rule=""}`:         "800",
		`portreeve_decisions_total{action="refuse",protocol="policy",rule="sender"}`: "800",
	})
}

// TestLanes: whoever counts in whatever lane, the sum is told, and every rule has a place.
func TestLanes(t *testing.T) {
	if len(rules.Rules) != ruleCount {
		t.Fatalf("there are %d rules: set ruleCount in lanes.go", len(rules.Rules))
	}
	s := New(Sources{})
	for lane := range 3 * Lanes {
		for _, rule := range rules.Rules {
			s.Decided(lane, time.Time{}, rule, "refuse", rules.ProtocolSASL)
		}
		s.Decided(lane, time.Time{}, "", "pass", rules.ProtocolMilter)
		s.Took(lane, rules.ProtocolMilter, 3*time.Microsecond)
		s.Looked(lane, "absent", time.Millisecond)
	}
	scrape(t, s).expect(t, map[string]string{
		`portreeve_decisions_total{action="pass",protocol="milter",rule=""}`:      "48",
		`portreeve_decisions_total{action="refuse",protocol="sasl",rule="defer"}`: "48",
		`portreeve_decision_seconds_bucket{protocol="milter",le="2e-06"}`:         "0",
		`portreeve_decision_seconds_bucket{protocol="milter",le="5e-06"}`:         "48",
		`portreeve_decision_seconds_bucket{protocol="milter",le="+Inf"}`:          "48",
		`portreeve_decision_seconds_count{protocol="milter"}`:                     "48",
		`portreeve_directory_lookups_total{result="absent"}`:                      "48",
		`portreeve_directory_seconds_sum`:                                         "0.048",
	})
	if c := s.Counts(); c.Passed != 48 || c.Refused != int64(48*len(rules.Rules)) {
		t.Errorf("%+v", c)
	}
}
