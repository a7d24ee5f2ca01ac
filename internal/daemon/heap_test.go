package daemon

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestHeapFloor(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 3100}, {1 << 20, 3100}, {4 << 20, 1100}, {8 << 20, 500}, {12 << 20, 300}, {24 << 20, 100}, {48 << 20, 100}, {1 << 30, 100},
	} {
		if got := percent(c.live); got != c.want {
			t.Errorf("%d MiB: %d %%, want %d", c.live>>20, got, c.want)
		}
	}
	// And Go does with it what is meant.
	held := make([]byte, 8<<20)
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(percent(live())))
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	if got := goal[0].Value.Uint64(); got < heapFloor*9/10 || got > heapFloor*12/10 {
		t.Errorf("the heap is collected at %d MiB, want %d; live: %d MiB", got>>20, heapFloor>>20, live()>>20)
	}
	runtime.KeepAlive(held)
}
