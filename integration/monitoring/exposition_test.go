package monitoring

import (
	"strings"
	"testing"
)

const page = `# HELP a_total Help with "quotes" {and} braces.
# TYPE a_total counter
a_total{rule="",action="pass"} 3
a_total{rule="sen\"der",action="refuse"} 1e+06
h_bucket{le="+Inf"} 7
g 0
`

func TestMissing(t *testing.T) {
	t.Parallel()
	e, values, err := ParseExposition(page)
	if err != nil || len(values) != 4 || values[`a_total{rule="",action="pass"}`] != 3 || values["g"] != 0 {
		t.Fatalf("%v, %v", values, err)
	}
	for expr, want := range map[string]string{
		`sum by (rule, job) (a_total{action="pass", instance=~"x"}) / on (instance) g`: "",
		`a_total{rule=""} + h_bucket{le="+Inf"}`:                                       "",
		`a_total{rule=~"sen.*|"}`:                                                      "",
		`b_total`:                                                                      "the metric b_total",
		`a_total{rool="x"}`:                                                            "the label rool of a_total",
		`a_total{action="refused"}`:                                                    `a a_total{action="refused"}`,
		`a_total{action!~"pass|permit"}`:                                               `a a_total{action="permit"}`,
		`sum by (protocol) (a_total)`:                                                  "the label protocol",
		`g{action="pass"} + c`:                                                         "the label action of g; the metric c",
		`{a="b"}`:                                                                      `"{a=\"b\"}": a selector without a metric`,
	} {
		if got := strings.Join(e.Missing(expr), "; "); got != want {
			t.Errorf("%s misses %q, want %q", expr, got, want)
		}
	}
	for _, page := range []string{"a b c\n", "a{ 1\n", "a x\n"} {
		if _, _, err := ParseExposition(page); err == nil {
			t.Errorf("%q is read", page)
		}
	}
}
