package web

import (
	"fmt"
	"strconv"
	"time"
)

// The chart's own units: SVG scales them to the page. A minute is chartStep wide.
const (
	chartStep   = 10
	chartBar    = 8
	chartHeight = 100
	stripHeight = 36
)

// chart is the last hour as two rows of bars, each with a scale of its own: the
// few refusals would vanish beside what is let through.
type chart struct {
	hourCounts
	Refusals []bar // refused from the ground up, observed upon it
	Passed   []bar
	// MostRefused and MostPassed are the top of each scale, in decisions a minute.
	MostRefused, MostPassed int64
	Width, Height, Strip    int
	From, To                time.Time
	Text                    string // for who does not see it
	Cut                     bool   // counting began within the hour
}

// bar is one rectangle.
type bar struct {
	X, Y, Width, Height string
	Observed            bool
}

func newChart(c hourCounts, zone *time.Location) chart {
	ch := chart{
		hourCounts: c, Width: hourMinutes * chartStep, Height: chartHeight, Strip: stripHeight,
		From: c.Minutes[0].Start, To: c.Minutes[len(c.Minutes)-1].Start.Add(time.Minute),
	}
	ch.Cut = c.Since.After(ch.From)
	for _, m := range c.Minutes {
		ch.MostRefused = max(ch.MostRefused, m.Refused+m.Observed)
		ch.MostPassed = max(ch.MostPassed, m.Passed)
	}
	for i, m := range c.Minutes {
		refused := scaled(m.Refused, ch.MostRefused, chartHeight)
		ch.Refusals = appendBar(ch.Refusals, i, chartHeight-refused, refused, false)
		observed := scaled(m.Observed, ch.MostRefused, chartHeight)
		ch.Refusals = appendBar(ch.Refusals, i, max(chartHeight-refused-observed, 0), observed, true)
		passed := scaled(m.Passed, ch.MostPassed, stripHeight)
		ch.Passed = appendBar(ch.Passed, i, stripHeight-passed, passed, false)
	}
	ch.Text = upperFirst(ch.inWords(zone))
	return ch
}

func appendBar(bars []bar, minute int, y, height float64, observed bool) []bar {
	if height == 0 {
		return bars
	}
	return append(bars, bar{
		X: strconv.Itoa(minute*chartStep + (chartStep-chartBar)/2), Y: decimal(y),
		Width: strconv.Itoa(chartBar), Height: decimal(height), Observed: observed,
	})
}

// scaled is a bar's height; one that stands for anything can be seen.
func scaled(n, most int64, height float64) float64 {
	if n == 0 {
		return 0
	}
	return max(float64(n)/float64(most)*height, height/50)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// inWords says what the bars show.
func (ch *chart) inWords(zone *time.Location) string {
	if ch.Total == (minuteCount{}) {
		return "Nothing was asked and nothing was decided."
	}
	s := fmt.Sprintf("%s refused", times(ch.Total.Refused))
	if ch.Total.Observed > 0 {
		s += fmt.Sprintf(", %s observed only", times(ch.Total.Observed))
	}
	s += fmt.Sprintf(", %s let through.", times(ch.Total.Passed))
	if ch.MostRefused > 0 {
		s += fmt.Sprintf(" Most refusals in a minute: %s, at %s.", grouped(ch.MostRefused), ch.worst().In(zone).Format("15:04"))
	}
	return s
}

// worst is the minute with most refusals.
func (ch *chart) worst() time.Time {
	for _, m := range ch.Minutes {
		if m.Refused+m.Observed == ch.MostRefused {
			return m.Start
		}
	}
	return ch.From
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return grouped(n) + " times"
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
