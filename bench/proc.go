package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat on Linux (sysconf(_SC_CLK_TCK), 100 a
// second on every architecture that Go knows).
const tick = 10 * time.Millisecond

// usage is what a process and its children have used.
type usage struct {
	cpu      time.Duration
	resident int64
}

// processStat is a line of /proc/PID/stat: the parent, and the time that the
// process and its children that have ended spent.
func processStat(line string) (parent int, cpu time.Duration, err error) {
	// The name, in brackets, may contain anything.
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	if end < 0 || len(fields) < 15 {
		return 0, 0, fmt.Errorf("an unknown form of /proc/PID/stat: %q", line)
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return 0, 0, fmt.Errorf("the parent in /proc/PID/stat: %w", err)
	}
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("a time in /proc/PID/stat: %w", err)
		}
		cpu += time.Duration(ticks) * tick
	}
	return parent, cpu, nil
}

// residentSize reads VmRSS of /proc/PID/status; kernel threads and zombies have none.
func residentSize(status string) int64 {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// used sums over the process and all its descendants.
func used(pid int) (usage, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
	}
	type process struct {
		parent int
		cpu    time.Duration
	}
	all := map[int]process{}
	for _, name := range files {
		line, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		parent, cpu, err := processStat(string(line))
		if err != nil {
			return usage{}, err
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return usage{}, err
		}
		all[id] = process{parent, cpu}
	}
	if _, ok := all[pid]; !ok {
		return usage{}, fmt.Errorf("process %d has ended; see its log", pid)
	}
	var sum usage
	for id := range all {
		for at := id; at != 0; at = all[at].parent {
			if at == pid {
				sum.cpu += all[id].cpu
				status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
				if err == nil {
					sum.resident += residentSize(string(status))
				}
				break
			}
		}
	}
	return sum, nil
}
