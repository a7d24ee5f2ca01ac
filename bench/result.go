package main

import (
	"fmt"
	"runtime"
	"strings"
)

// result is what a scenario found; docs/performance.json keeps the last of each.
type result struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	When    string   `json:"when"`
	Setup   string   `json:"setup"` // machine, rounds
	Tables  []table  `json:"tables"`
	Targets []aim    `json:"targets,omitempty"`
	Plots   []plot   `json:"plots,omitempty"`
	Notes   []string `json:"notes,omitempty"`
}

// aim is a target and what was reached.
type aim struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

// table is one of Markdown's; all columns but the first are figures.
type table struct {
	Head []string   `json:"head"`
	Rows [][]string `json:"rows"`
}

func (t table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.Head)
	under := make([]string, len(t.Head))
	for i := range under {
		under[i] = "---:"
	}
	if len(under) > 0 {
		under[0] = "---"
	}
	line(under)
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// compared is the usual table of several targets; the first is the floor.
func compared(of string, all ...summary) table {
	t := table{Head: []string{of, "requests/s", "of the first", "CPU s per 100,000", "of the first", "p50 ms", "p99 ms", "p99.9 ms", "resident MB"}}
	for _, s := range all {
		t.Rows = append(t.Rows, []string{
			s.name, s.rate.text(whole), fmt.Sprintf("%.2f", ratio(s.rate.median, all[0].rate.median)),
			s.cpu.text(perHundredThousand), fmt.Sprintf("%.2f", ratio(s.cpu.median, all[0].cpu.median)),
			s.p50.text(fraction), s.p99.text(fraction), s.p999.text(fraction), megabytes(s.resident.median),
		})
	}
	return t
}

// whole shows 123456.7 as 123,457.
func whole(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// fraction has as many decimals as say something.
func fraction(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// perHundredThousand takes microseconds each: so many seconds for 100,000.
func perHundredThousand(v float64) string { return fraction(v / 10) }

func megabytes(bytes float64) string { return whole(bytes / 1e6) }

// atLeast is an aim that a figure must reach.
func atLeast(what string, got, want float64, show func(float64) string) aim {
	return aim{What: what, Want: "≥ " + show(want), Got: show(got), Met: got >= want}
}

// bounded adds what an idle machine could reach at most with that CPU a request:
// on a busy one the rate alone says little.
func (a aim) bounded(s summary) aim {
	if s.cpu.median > 0 {
		a.Got += fmt.Sprintf("; %.0f µs of CPU each: below %s on %d idle cores", s.cpu.median,
			whole(float64(runtime.NumCPU())*1e6/s.cpu.median), runtime.NumCPU())
	}
	return a
}

func atMost(what string, got, want float64, show func(float64) string) aim {
	return aim{What: what, Want: "≤ " + show(want), Got: show(got), Met: got <= want}
}
