package web

import (
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/rules"
)

func TestHour(t *testing.T) {
	h := NewHour(noon)
	h.Count(1, noon, "", "pass")
	h.Count(2, noon.Add(59*time.Second), "", "permit")
	h.Count(3, noon.Add(time.Minute), rules.RuleSender, "refuse")
	h.Count(4, noon.Add(time.Minute), rules.RuleQuota, "observe")
	h.Count(5, noon.Add(time.Minute), rules.RuleLoginFailures, "delay")
	h.Count(6, noon.Add(time.Minute), "", "pass")
	c := h.counts(noon.Add(90 * time.Second))
	if len(c.Minutes) != hourMinutes || !c.Minutes[hourMinutes-1].Start.Equal(noon.Add(time.Minute)) {
		t.Fatalf("%d minutes, the last begins at %s", len(c.Minutes), c.Minutes[hourMinutes-1].Start)
	}
	if m := c.Minutes[hourMinutes-2]; m.Passed != 2 || m.Refused != 0 {
		t.Errorf("the first minute has %+v", m)
	}
	if m := c.Minutes[hourMinutes-1]; m.Passed != 1 || m.Refused != 1 || m.Observed != 1 || m.Delayed != 1 {
		t.Errorf("the second minute has %+v", m)
	}
	if c.Total != (minuteCount{Passed: 3, Refused: 1, Observed: 1, Delayed: 1}) {
		t.Errorf("in all %+v", c.Total)
	}
	want := []ruleCount{{Rule: rules.RuleSender, Refused: 1}, {Rule: rules.RuleQuota, Observed: 1}, {Rule: rules.RuleLoginFailures, Delayed: 1}}
	if len(c.Rules) != len(want) {
		t.Fatalf("by rule %+v", c.Rules)
	}
	for i, r := range c.Rules {
		if r != want[i] {
			t.Errorf("by rule %+v, want %+v", r, want[i])
		}
	}
}

// What is older than an hour is gone, also where a slot was not used again.
func TestHourForgets(t *testing.T) {
	h := NewHour(noon)
	for i := range 200 {
		h.Count(7, noon.Add(time.Duration(i)*time.Minute), rules.RuleSender, "refuse")
	}
	if got := h.counts(noon.Add(199 * time.Minute)).Total.Refused; got != hourMinutes {
		t.Errorf("%d refusals within the hour", got)
	}
	if got := h.counts(noon.Add(229 * time.Minute)).Total.Refused; got != hourMinutes/2 {
		t.Errorf("%d half an hour later", got)
	}
	if got := h.counts(noon.Add(20 * time.Hour)).Total.Refused; got != 0 {
		t.Errorf("%d on the next day", got)
	}
	h.Count(8, noon, rules.RuleSender, "refuse") // the clock was set back
	if got := h.counts(noon).Total.Refused; got != 1 {
		t.Errorf("%d with an older clock", got)
	}
}

func TestHourAtOnce(t *testing.T) {
	h := NewHour(noon)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 3000 {
				at := noon.Add(time.Duration(i) * 10 * time.Millisecond) // all within one minute
				h.Count(9, at, rules.Rules[worker%len(rules.Rules)], "refuse")
				if i%500 == 0 {
					h.counts(at)
				}
			}
		})
	}
	all.Wait()
	if got := h.counts(noon).Total.Refused; got != 8*3000 {
		t.Errorf("%d of %d counted", got, 8*3000)
	}
}

func BenchmarkHourCount(b *testing.B) {
	h := NewHour(noon)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Count(10, noon, "", "pass")
		}
	})
}

func TestChart(t *testing.T) {
	h := NewHour(noon.Add(-30 * time.Minute))
	for i := range 4 {
		for range i * 10 {
			h.Count(11, noon.Add(-time.Duration(i)*time.Minute), rules.RuleSender, "refuse")
		}
	}
	h.Count(12, noon.Add(-3*time.Minute), rules.RuleQuota, "observe")
	for range 1000 {
		h.Count(13, noon, "", "pass")
	}
	c := newChart(h.counts(noon), time.UTC)
	if c.MostRefused != 31 || c.MostPassed != 1000 || !c.Cut {
		t.Errorf("scales %d and %d, cut %v", c.MostRefused, c.MostPassed, c.Cut)
	}
	if len(c.Refusals) != 4 || len(c.Passed) != 1 {
		t.Fatalf("%d and %d bars", len(c.Refusals), len(c.Passed))
	}
	want := []bar{
		{X: "561", Y: "3.2", Width: "8", Height: "96.8"},
		{X: "561", Y: "0.0", Width: "8", Height: "3.2", Observed: true}, // upon it
		{X: "571", Y: "35.5", Width: "8", Height: "64.5"},
		{X: "581", Y: "67.7", Width: "8", Height: "32.3"},
	}
	for i, b := range c.Refusals {
		if b != want[i] {
			t.Errorf("bar %d is %+v, want %+v", i, b, want[i])
		}
	}
	if want := "60 times refused, once observed only, 1,000 times let through. Most refusals in a minute: 31, at 11:57."; c.Text != want {
		t.Errorf("in words %q, want %q", c.Text, want)
	}
	if !c.From.Equal(noon.Add(-59*time.Minute)) || !c.To.Equal(noon.Add(time.Minute)) {
		t.Errorf("from %s to %s", c.From, c.To)
	}
	quiet := newChart(NewHour(noon).counts(noon.Add(2*time.Hour)), time.UTC)
	if quiet.Text != "Nothing was asked and nothing was decided." || quiet.Cut || len(quiet.Refusals)+len(quiet.Passed) > 0 {
		t.Errorf("a quiet hour is %+v", quiet)
	}
}

// One refusal beside a flood can still be seen.
func TestSmallestBar(t *testing.T) {
	h := NewHour(noon)
	h.Count(14, noon, rules.RuleSender, "refuse")
	for range 100000 {
		h.Count(15, noon.Add(-time.Minute), rules.RuleThrottled, "refuse")
	}
	c := newChart(h.counts(noon), time.UTC)
	if last := c.Refusals[len(c.Refusals)-1]; last.Height != "2.0" {
		t.Errorf("the smallest bar is %+v", last)
	}
}

func TestChartOnThePage(t *testing.T) {
	r := inside(t)
	r.hour.Count(3, noon, rules.RuleSender, "refuse")
	r.hour.Count(3, noon, rules.RuleSender, "observe")
	r.hour.Count(3, noon, "", "pass")
	page := r.page("/")
	has(t, page, `aria-label="Once refused, once observed only, once let through.`, `<rect class="refused" x="591"`, `<rect class="observed" x="591"`, `<rect class="passed" x="591"`,
		"would be refused", "Counted since the daemon started at 12:00.", "By rule", `<td>sender</td><td class="number">1</td><td class="number">1</td>`)
	if n := strings.Count(page, "<svg"); n != 5 {
		t.Errorf("%d pictures", n)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -999: "-999"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
