package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// moment reads a --since or --until: how long ago (2h, 90m, 7d), or a time, as
// the verbs show it or as RFC 3339 has it. Without a zone it is this host's.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := duration(text); err == nil {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02", "15:04"} {
		t, err := time.ParseInLocation(layout, text, time.Local)
		if err != nil {
			continue
		}
		if layout == "15:04" {
			y, m, d := now.Local().Date()
			t = time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.Local)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("--%s %q is neither a duration nor a time: write one such as 2h, 7d or \"2026-11-22 12:00\"", flag, text)
}

// duration reads days, too.
func duration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 36500) {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(n * float64(24*time.Hour)), nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return d, err
}
