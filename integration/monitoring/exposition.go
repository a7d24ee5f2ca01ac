package monitoring

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Exported is what a daemon exports: by metric and label the values that were seen.
type Exported map[string]map[string]map[string]bool

// sample is a line of Prometheus's text format: name{labels} value.
var (
	sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$`)
	pair   = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")`)
)

// ParseExposition reads /metrics. The values are by the whole of name{labels}.
func ParseExposition(page string) (Exported, map[string]float64, error) {
	e, values := Exported{}, map[string]float64{}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			return nil, nil, fmt.Errorf("%q is no sample", line)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", line, err)
		}
		labels := map[string]string{}
		for _, p := range pair.FindAllStringSubmatch(m[2], -1) {
			if labels[p[1]], err = strconv.Unquote(p[2]); err != nil {
				return nil, nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		e.Add(m[1], labels)
		values[strings.TrimSuffix(line, " "+m[3])] = value
	}
	return e, values, nil
}

// Add makes a series known.
func (e Exported) Add(metric string, labels map[string]string) {
	if e[metric] == nil {
		e[metric] = map[string]map[string]bool{}
	}
	for label, value := range labels {
		if e[metric][label] == nil {
			e[metric][label] = map[string]bool{}
		}
		e[metric][label][value] = true
	}
}

// scraped are the labels that Prometheus puts on every series.
var scraped = []string{"job", "instance"}

// Missing is every name in a query that nothing exports: metrics, labels, and values of
// labels. An alternative of a regular expression has to be somebody's, too.
func (e Exported) Missing(expr string) []string {
	q, err := ParseQuery(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	known := slices.Clone(scraped)
	for _, s := range q.Selectors {
		labels, ok := e[s.Metric]
		if !ok {
			missing = append(missing, "the metric "+s.Metric)
			continue
		}
		known = slices.AppendSeq(known, maps.Keys(labels))
		for _, m := range s.Matchers {
			if slices.Contains(scraped, m.Label) {
				continue
			}
			if labels[m.Label] == nil {
				missing = append(missing, fmt.Sprintf("the label %s of %s", m.Label, s.Metric))
				continue
			}
			missing = append(missing, m.missing(s.Metric, labels[m.Label])...)
		}
	}
	for _, l := range q.Labels {
		if !slices.Contains(known, l) {
			missing = append(missing, "the label "+l)
		}
	}
	return missing
}

func (m Matcher) missing(metric string, values map[string]bool) []string {
	alternatives := []string{regexp.QuoteMeta(m.Value)}
	if strings.HasSuffix(m.Op, "~") {
		alternatives = strings.Split(m.Value, "|")
	}
	var missing []string
	for _, a := range alternatives {
		re, err := regexp.Compile("^(?:" + a + ")$")
		if err != nil {
			return []string{err.Error()}
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(values)), re.MatchString) {
			missing = append(missing, fmt.Sprintf("a %s{%s=%q}", metric, m.Label, a))
		}
	}
	return missing
}
