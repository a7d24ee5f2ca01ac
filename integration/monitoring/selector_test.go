package monitoring

import (
	"reflect"
	"testing"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]Query{
		`up`: {Selectors: []Selector{{Metric: "up"}}},
		`1 - up{job="a, b", x!~"c|}"} > 0.5 and on (job) sum by (job, le) (rate(a_bucket[5m] offset 1d)) == 1e3`: {
			Selectors: []Selector{{"up", []Matcher{{"job", "=", "a, b"}, {"x", "!~", "c|}"}}}, {Metric: "a_bucket"}},
			Labels:    []string{"job", "job", "le"},
		},
		`histogram_quantile(0.99, sum(rate(a{b=""}[1m])) without (c)) or time() - d unless ignoring(e) f`: {
			Selectors: []Selector{{"a", []Matcher{{"b", "=", ""}}}, {Metric: "d"}, {Metric: "f"}},
			Labels:    []string{"c", "e"},
		},
		`absent(up{job=~"x\"y"}) * on() group_left(z) g:h`: {
			Selectors: []Selector{{"up", []Matcher{{"job", "=~", `x"y`}}}, {Metric: "g:h"}},
			Labels:    []string{"z"},
		},
		`0.5`: {},
	} {
		if got, err := ParseQuery(expr); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", expr, got, err, want)
		}
	}
	for _, expr := range []string{`{job="a"}`, `sum({__name__=~".+"})`, `up{job}`, `up{job="a"`, `up{job=5}`, `sum by (job`} {
		if got, err := ParseQuery(expr); err == nil {
			t.Errorf("%s is read as %+v", expr, got)
		}
	}
}
