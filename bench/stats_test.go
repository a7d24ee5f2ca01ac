package main

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, one := range []struct {
		in   []float64
		want spread
	}{
		{nil, spread{}},
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{9, 1, 4, 2}, spread{3, 1, 9}},
	} {
		if got := spreadOf(one.in); got != one.want {
			t.Errorf("%v: %v, want %v", one.in, got, one.want)
		}
	}
	if in := []float64{3, 1, 2}; spreadOf(in).median != 2 || in[0] != 3 {
		t.Error("the rounds' order was changed")
	}
}

func TestSummary(t *testing.T) {
	h := new(histogram)
	h.add(2 * time.Millisecond)
	s := summarise("x", []sample{
		{requests: 1000, elapsed: time.Second, cpu: 5 * time.Millisecond, latency: h, resident: 10},
		{requests: 3000, elapsed: time.Second, cpu: 9 * time.Millisecond, latency: h, resident: 30},
	})
	if s.rate != (spread{2000, 1000, 3000}) || s.cpu != (spread{4, 3, 5}) || s.resident.median != 20 {
		t.Errorf("%+v", s)
	}
	if s.p99.median < 2 || s.p99.median > 2.04 {
		t.Errorf("p99 of 2 ms is %v", s.p99.median)
	}
	if nothing := summarise("y", []sample{{latency: new(histogram)}}); nothing.rate.median != 0 || nothing.cpu.median != 0 {
		t.Errorf("%+v", nothing)
	}
}
