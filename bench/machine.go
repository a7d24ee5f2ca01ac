package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine says on what it was measured.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, found := strings.Cut(string(info), "model name"); found {
			line, _, _ := strings.Cut(rest, "\n")
			model = strings.TrimLeft(line, "\t :")
		}
	}
	return fmt.Sprintf("%d cores of %s, %s", runtime.NumCPU(), strings.Join(strings.Fields(model), " "), runtime.Version())
}

// loadAverage is that of the last minute.
func loadAverage() string {
	body, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(body), " ")
	return first
}
