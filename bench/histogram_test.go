package main

import (
	"math"
	"testing"
	"time"
)

func TestStepsAreContiguousAndNarrow(t *testing.T) {
	for i := range 20 << subBits {
		if got := step(top(i)); got != i {
			t.Fatalf("the top of step %d is in step %d", i, got)
		}
		if got := step(top(i) + 1); got != i+1 {
			t.Fatalf("what is above step %d is in step %d", i, got)
		}
	}
	for _, d := range []time.Duration{1, 63, 64, 65, 127, 128, 999, time.Microsecond, time.Second, time.Hour, math.MaxInt64} {
		if high := top(step(d)); high < d || float64(high-d) > float64(d)/(1<<subBits) {
			t.Errorf("%d is shown as %d", d, high)
		}
	}
	if step(-time.Second) != 0 {
		t.Error("a clock that went backwards is not no time")
	}
}

func TestQuantiles(t *testing.T) {
	var h, other histogram
	if h.quantile(0.5) != 0 {
		t.Error("nothing has a median")
	}
	for i := 1; i <= 500; i++ {
		h.add(time.Duration(i) * time.Microsecond)
		other.add(time.Duration(500+i) * time.Microsecond)
	}
	h.merge(&other)
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 501, 0.99: 991, 0.999: 1000, 1: 1000} {
		want *= time.Microsecond
		if got := h.quantile(q); got < want || got > want+want/60 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}
