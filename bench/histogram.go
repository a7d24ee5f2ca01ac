package main

import (
	"math/bits"
	"time"
)

// subBits makes 64 steps of each power of two: a latency is known to 1.6 %.
const subBits = 6

// histogram counts latencies in log-linear steps of nanoseconds.
type histogram struct {
	counts [(64 - subBits + 1) << subBits]uint64
	total  uint64
}

func step(d time.Duration) int {
	n := uint64(max(d, 0))
	exponent := bits.Len64(n >> subBits)
	if exponent == 0 {
		return int(n)
	}
	// The first bit is known from the exponent; the next subBits are kept.
	return exponent<<subBits + int(n>>(exponent-1)) - 1<<subBits
}

// top is the largest latency of a step.
func top(i int) time.Duration {
	exponent := i >> subBits
	if exponent == 0 {
		return time.Duration(i)
	}
	low := uint64(i&(1<<subBits-1)|1<<subBits) << (exponent - 1)
	return time.Duration(low + 1<<(exponent-1) - 1)
}

func (h *histogram) add(d time.Duration) {
	h.counts[step(d)]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// quantile is the latency that the share q of all did not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := min(uint64(q*float64(h.total)), h.total-1)
	for i, n := range h.counts {
		if rank < n {
			return top(i)
		}
		rank -= n
	}
	return 0
}
