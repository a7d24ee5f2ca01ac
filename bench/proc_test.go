package main

import (
	"os"
	"testing"
	"time"
)

func TestProcessStat(t *testing.T) {
	parent, cpu, err := processStat("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 0 0 100 50 3 2 20 0 9 0 1 2 3")
	if err != nil || parent != 7 || cpu != 1550*time.Millisecond {
		t.Errorf("%d %v %v", parent, cpu, err)
	}
	for _, bad := range []string{"", "42 (a) S 7", "42 (a) S x 1 2 3 4 5 6 7 8 9 10 11 12 13 14"} {
		if _, _, err := processStat(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestResidentSize(t *testing.T) {
	if got := residentSize("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t  2048 kB\nThreads:\t1\n"); got != 2<<20 {
		t.Errorf("%d", got)
	}
	if got := residentSize("Name:\tkworker\n"); got != 0 {
		t.Errorf("%d", got)
	}
}

func TestUsedByOurselves(t *testing.T) {
	u, err := used(os.Getpid())
	if err != nil || u.resident < 1<<20 {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := used(1 << 30); err == nil {
		t.Error("no such process, and no error")
	}
}
