//go:build real

// What contrib/prometheus and contrib/grafana ask for, on a daemon that runs.
package monitoring

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// contract is SPEC.md section 9: the metrics and their labels, to the letter.
var contract = map[string][]string{
	"portreeve_decisions_total": {"action", "protocol", "rule"}, "portreeve_decision_seconds_bucket": {"le", "protocol"},
	"portreeve_auth_reports_total": {"protocol", "result"}, "portreeve_blocked_clients": nil, "portreeve_connections": {"protocol"},
	"portreeve_store_up": nil, "portreeve_store_seconds_bucket": {"le"}, "portreeve_directory_lookups_total": {"result"},
	"portreeve_directory_seconds_bucket": {"le"}, "portreeve_protocol_errors_total": {"protocol"},
	"go_goroutines": nil, "process_open_fds": nil,
}

// counted is what the work leaves behind, at least once each.
var counted = []string{
	`portreeve_decisions_total{action="pass",protocol="milter",rule=""}`,
	`portreeve_decisions_total{action="pass",protocol="auth_policy",rule=""}`,
	`portreeve_decisions_total{action="permit",protocol="policy",rule=""}`,
	`portreeve_decisions_total{action="refuse",protocol="milter",rule="sender"}`,
	`portreeve_decisions_total{action="refuse",protocol="milter",rule="auth_rejected"}`,
	`portreeve_decisions_total{action="refuse",protocol="policy",rule="auth_failed"}`,
	`portreeve_decisions_total{action="refuse",protocol="sasl",rule="throttled"}`,
	`portreeve_decisions_total{action="observe",protocol="milter",rule="sender"}`,
	`portreeve_decisions_total{action="delay",protocol="sasl",rule="login_failures"}`,
	`portreeve_auth_reports_total{protocol="submission",result="failure"}`,
	`portreeve_auth_reports_total{protocol="submission",result="rejected"}`,
	`portreeve_auth_reports_total{protocol="pop3",result="success"}`,
	`portreeve_blocked_clients`, `portreeve_connections{protocol="web"}`, `portreeve_store_up`, `portreeve_store_seconds_count`,
	`portreeve_decision_seconds_count{protocol="policy"}`, `portreeve_decision_seconds_count{protocol="sasl"}`,
	`portreeve_directory_lookups_total{result="found"}`, `portreeve_directory_lookups_total{result="absent"}`,
	`portreeve_directory_seconds_count`, `portreeve_directory_answers_total{from="source"}`,
	`portreeve_protocol_errors_total{protocol="policy"}`,
}

// TestMonitoring runs a daemon, has it do everything, and holds against it what is
// asked of it, in a Prometheus that scrapes it meanwhile.
func TestMonitoring(t *testing.T) {
	h := start(t)
	s := prometheus(t, h.web)
	until(t, "the first scrape", func() error { return has(s, `portreeve_store_up == 1`) })
	for range 11 { // above the limit: a block, and a login that is being guessed
		h.guess(t, "127.1.250.9")
	}
	h.work(t)
	page, err := get("http://" + h.web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	exported, values, err := ParseExposition(page)
	if err != nil {
		t.Fatal(err)
	}
	// What Prometheus itself adds.
	exported.Add("up", map[string]string{})
	alerts := s.rules(t)
	for _, a := range alerts {
		exported.Add("ALERTS", map[string]string{"alertname": a.Name, "alertstate": "firing"})
	}

	t.Run("contract", func(t *testing.T) {
		for metric, labels := range contract {
			var got []string
			for label := range exported[metric] {
				got = append(got, label)
			}
			slices.Sort(got)
			if exported[metric] == nil || !slices.Equal(got, labels) {
				t.Errorf("%s has the labels %q, want %q", metric, got, labels)
			}
		}
		for _, series := range counted {
			if values[series] < 1 {
				t.Errorf("%s is %v", series, values[series])
			}
		}
		described := read(t, contrib+"prometheus/README.md")
		for metric := range exported {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric, "")
			if strings.HasPrefix(metric, "portreeve_") && !strings.Contains(described, "`"+base) {
				t.Errorf("contrib/prometheus/README.md does not describe %s", base)
			}
		}
		cmd := exec.CommandContext(t.Context(), need(t, "promtool"), "check", "metrics")
		cmd.Stdin = strings.NewReader(page)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	})
	t.Run("alerts", func(t *testing.T) {
		promtool(t, "check", "config", contrib+"prometheus/scrape.yml")
		promtool(t, "check", "rules", contrib+"prometheus/portreeve.rules.yml")
		checkAlerts(t, alerts, exported)
	})
	t.Run("dashboard", func(t *testing.T) {
		d, err := ParseDashboard([]byte(read(t, contrib+"grafana/portreeve.json")))
		if err != nil {
			t.Fatal(err)
		}
		checkVariables(t, s, d, exported)
		checkPanels(t, h, s, d, exported)
	})
}

// has is an error while a query finds nothing.
func has(s server, expr string) error {
	v, err := s.query(expr)
	if err == nil && v.numbers() == 0 {
		err = fmt.Errorf("%s finds nothing", expr)
	}
	return err
}

// command is the last line of a description.
var command = regexp.MustCompile(`(?s)[.;:?] Run: ((\w+).*)$`)

// verb is a command of ours.
var verb = regexp.MustCompile(`^portreeve (\w+)`)

func checkAlerts(t *testing.T, alerts []rule, exported Exported) {
	t.Helper()
	tests := read(t, "testdata/alerts.test.yml") + read(t, "testdata/alerts-day.test.yml")
	for _, a := range alerts {
		for _, missing := range exported.Missing(a.Query) {
			t.Errorf("%s asks for %s, which the daemon does not export", a.Name, missing)
		}
		if a.Duration <= 0 || !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) || a.Annotations["summary"] == "" {
			t.Errorf("%s lacks for, severity or summary: %+v", a.Name, a)
		}
		m := command.FindStringSubmatch(a.Annotations["description"])
		if m == nil {
			t.Errorf("%s does not say what to do and what to run: %s", a.Name, a.Annotations["description"])
			continue
		}
		if v := verb.FindStringSubmatch(m[1]); v != nil {
			if out, err := exec.CommandContext(t.Context(), *program, v[1], "--help").CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s", a.Name, m[1], err, out)
			}
		}
		// Its test has it fire, and stay silent where a good host stands beside the bad one.
		if !strings.Contains(tests, `alertname="`+a.Name+`", alertstate="firing", severity="`+a.Labels["severity"]+`"`) {
			t.Errorf("%s fires in no test", a.Name)
		}
	}
	if len(alerts) < 15 {
		t.Errorf("only %d alerts are loaded", len(alerts))
	}
}

// TestAlertsFire plays the alerts' own tests: each fires where it must, and nowhere else.
func TestAlertsFire(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test.yml")
	if err != nil || len(files) != 2 {
		t.Fatalf("%q, %v", files, err)
	}
	promtool(t, append([]string{"test", "rules"}, files...)...)
}

func checkVariables(t *testing.T, s server, d *Dashboard, exported Exported) {
	t.Helper()
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		expr, label, err := v.Values()
		if err != nil || expr == "" {
			if err != nil || v.Type != "datasource" {
				t.Errorf("the variable %s: %v", v.Name, err)
			}
			continue
		}
		for _, missing := range exported.Missing(expr) {
			t.Errorf("the variable %s asks for %s", v.Name, missing)
		}
		if found, err := s.query(expr); err != nil || found.numbers() == 0 || found.Result[0].Metric[label] == "" {
			t.Errorf("the variable %s has no values: %+v, %v", v.Name, found, err)
		}
	}
	if want := []string{"datasource", "job", "instance"}; !slices.Equal(names, want) {
		t.Errorf("variables %q, want %q", names, want)
	}
}

// checkPanels asks Prometheus every query until it has something to draw.
func checkPanels(t *testing.T, h *host, s server, d *Dashboard, exported Exported) {
	t.Helper()
	type question struct{ panel, expr string }
	var open []question
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			for _, missing := range exported.Missing(q.Filled()) {
				t.Errorf("%s asks for %s, which the daemon does not export", p.Title, missing)
			}
			open = append(open, question{p.Title, q.Filled()})
		}
	}
	for _, a := range d.Annotations.List {
		for _, missing := range exported.Missing(a.Filled()) {
			t.Errorf("the mark %s asks for %s", a.Name, missing)
		}
		if _, err := s.query(a.Filled()); err != nil {
			t.Errorf("the mark %s: %v", a.Name, err)
		}
	}
	if len(open) < 30 {
		t.Errorf("only %d queries", len(open))
	}
	asked := len(open)
	until(t, "every query has something to draw", func() error {
		h.work(t)
		time.Sleep(moment)
		var empty []string
		open = slices.DeleteFunc(open, func(q question) bool {
			err := has(s, q.expr)
			if err != nil {
				empty = append(empty, q.panel+": "+err.Error())
			}
			return err == nil
		})
		if len(empty) > 0 {
			return fmt.Errorf("%d of %d have not:\n%s", len(empty), asked, strings.Join(empty, "\n"))
		}
		return nil
	})
}
