package main

import (
	"fmt"
	"slices"
	"time"
)

// spread is what several rounds gave.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	middle := len(v) / 2
	s := spread{median: v[middle], low: v[0], high: v[len(v)-1]}
	if len(v)%2 == 0 {
		s.median = (v[middle-1] + v[middle]) / 2
	}
	return s
}

// text is the median, and in brackets the least and the most.
func (s spread) text(show func(float64) string) string {
	return fmt.Sprintf("%s (%s–%s)", show(s.median), show(s.low), show(s.high))
}

// sample is one round of one target.
type sample struct {
	requests int
	elapsed  time.Duration
	latency  *histogram
	cpu      time.Duration // of the server's processes
	resident int64         // bytes, at the end
}

// summary is all rounds of one target.
type summary struct {
	name     string
	rate     spread // requests a second
	cpu      spread // microseconds of the server a request
	p50      spread // milliseconds
	p99      spread
	p999     spread
	resident spread // bytes
}

func summarise(name string, samples []sample) summary {
	pick := func(of func(sample) float64) spread {
		values := make([]float64, 0, len(samples))
		for _, s := range samples {
			values = append(values, of(s))
		}
		return spreadOf(values)
	}
	quantile := func(q float64) spread {
		return pick(func(s sample) float64 { return float64(s.latency.quantile(q)) / 1e6 })
	}
	return summary{
		name: name,
		rate: pick(func(s sample) float64 { return ratio(float64(s.requests), s.elapsed.Seconds()) }),
		cpu:  pick(func(s sample) float64 { return ratio(float64(s.cpu.Microseconds()), float64(s.requests)) }),
		p50:  quantile(0.5), p99: quantile(0.99), p999: quantile(0.999),
		resident: pick(func(s sample) float64 { return float64(s.resident) }),
	}
}

// ratio is 0 where nothing was measured.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
