//go:build real

package monitoring

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const contrib = "../../contrib/"

// server is a Prometheus that scrapes a daemon as contrib/prometheus/scrape.yml says.
type server struct{ url string }

// prometheus starts one; only the target and the interval are the test's.
func prometheus(t *testing.T, target string) server {
	t.Helper()
	dir := t.TempDir()
	config := read(t, contrib+"prometheus/scrape.yml")
	for from, to := range map[string]string{"mx1.example.com:9193": target, "scrape_interval: 15s": "scrape_interval: 500ms"} {
		if !strings.Contains(config, from) {
			t.Fatalf("scrape.yml lacks %s", from)
		}
		config = strings.Replace(config, from, to, 1)
	}
	write(t, filepath.Join(dir, "prometheus.yml"), config)
	write(t, filepath.Join(dir, "portreeve.rules.yml"), read(t, contrib+"prometheus/portreeve.rules.yml"))
	addr := freeAddr(t)
	run(t, filepath.Join(dir, "log"), need(t, "prometheus"), "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr)
	s := server{"http://" + addr}
	until(t, "Prometheus is ready", func() error { _, err := get(s.url + "/-/ready"); return err })
	return s
}

// ask reads one of Prometheus's answers.
func ask[T any](s server, path string) (data T, err error) {
	body, err := get(s.url + path)
	if err != nil {
		return data, err
	}
	var answer struct{ Data T }
	err = json.Unmarshal([]byte(body), &answer)
	return answer.Data, err
}

// vector is the answer to a query: labels and value of each series.
type vector struct {
	Result []struct {
		Metric map[string]string
		Value  [2]any
	}
}

func (s server) query(expr string) (vector, error) {
	return ask[vector](s, "/api/v1/query?query="+url.QueryEscape(expr))
}

// numbers is how many series have a value that can be drawn.
func (v vector) numbers() int {
	n := 0
	for _, r := range v.Result {
		f, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			n++
		}
	}
	return n
}

// rule is an alert as Prometheus has read it.
type rule struct {
	Name, Query         string
	Duration            float64 // for, in seconds
	Labels, Annotations map[string]string
}

func (s server) rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	until(t, "the alerts are loaded", func() error {
		list, err := ask[struct{ Groups []struct{ Rules []rule } }](s, "/api/v1/rules")
		if err != nil || len(list.Groups) == 0 {
			return fmt.Errorf("no groups: %w", err)
		}
		all = nil
		for _, g := range list.Groups {
			all = append(all, g.Rules...)
		}
		return nil
	})
	return all
}

// need finds a program of Debian's package prometheus.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install prometheus, or use integration/monitoring/run.sh, which has it", program)
	}
	return path
}

// promtool must find nothing.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, "promtool"), args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// moment is short for what Prometheus needs to have seen something twice.
const moment = 300 * time.Millisecond
