package daemon

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A request leaves a hundred bytes behind, and a small daemon's heap is full of them
// several times a second: a tenth of what a decision costs was collecting them.
const (
	// heapFloor is how large the heap may become before it is collected, in bytes; a
	// larger one may double, as Go does it.
	heapFloor  = 48 << 20
	goPercent  = 100 // Go's own
	adjustHeap = time.Second
)

// spaciously gives the heap its floor, as what lives in it changes. An administrator's
// GOGC stays.
func spaciously(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	tick := time.NewTicker(adjustHeap)
	defer tick.Stop()
	set := goPercent
	for {
		// To set it stops the world for a moment.
		if p := percent(live()); p < set || p > set+set/8 {
			debug.SetGCPercent(p)
			set = p
		}
		select {
		case <-ctx.Done():
			debug.SetGCPercent(goPercent)
			return
		case <-tick.C:
		}
	}
}

// percent is GOGC with which a heap of so many live bytes is collected at the floor.
func percent(live uint64) int {
	live = max(live, heapFloor/32)
	return max(goPercent, int(heapFloor*100/live)-100)
}

// live is what the latest collection has left, in bytes.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return heapFloor // another Go, which does not say: as without us
	}
	return sample[0].Value.Uint64()
}
