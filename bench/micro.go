package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// inParts are the packages whose benchmarks are shown: parse, decide, encode, and
// the whole of it.
var inParts = []string{"./policyd", "./rules", "./internal/gate", "./milter", "./authpolicy"}

// micro runs the benchmarks of the packages, which the daemon's speed is made of.
func micro(ctx context.Context, b *bench) (r result, err error) {
	args := append([]string{"test", "-run", "^$", "-bench", ".", "-benchmem", "-benchtime", "0.5s", "-count", strconv.Itoa(b.count)}, inParts...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("go test -bench: %w: %s", err, out)
	}
	found := readBenchmarks(string(out))
	t := table{Head: []string{"benchmark", "µs", "bytes allocated", "allocations"}}
	for _, f := range found {
		t.Rows = append(t.Rows, []string{
			"`" + f.name + "`", spreadOf(f.nanoseconds).text(func(v float64) string { return fraction(v / 1000) }),
			whole(spreadOf(f.bytes).median), whole(spreadOf(f.allocations).median),
		})
	}
	r.Tables = []table{t}
	for _, want := range []struct {
		name, what string
		most       float64
	}{
		{"policyd.Parse", "allocations a request in the parser", 0},
		{"gate.Whole", "allocations a request on the whole path", 3},
	} {
		i := slices.IndexFunc(found, func(f benchmark) bool { return f.name == want.name })
		if i < 0 {
			return r, fmt.Errorf("go test -bench did not run %s", want.name)
		}
		r.Targets = append(r.Targets, atMost(want.what, spreadOf(found[i].allocations).median, want.most, whole))
	}
	return r, nil
}

// benchmark is what the rounds of one benchmark printed.
type benchmark struct {
	name                            string // package.Name
	nanoseconds, bytes, allocations []float64
}

// readBenchmarks reads the output of `go test -bench -benchmem`.
func readBenchmarks(out string) []benchmark {
	var all []benchmark
	pkg := ""
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 2 && fields[0] == "pkg:" {
			pkg = fields[1][strings.LastIndexByte(fields[1], '/')+1:]
		}
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "Benchmark"), "-")
		name = pkg + "." + name
		i := slices.IndexFunc(all, func(f benchmark) bool { return f.name == name })
		if i < 0 {
			i = len(all)
			all = append(all, benchmark{name: name})
		}
		for k := 3; k < len(fields); k += 2 {
			v, err := strconv.ParseFloat(fields[k-1], 64)
			if err != nil {
				continue
			}
			switch fields[k] {
			case "ns/op":
				all[i].nanoseconds = append(all[i].nanoseconds, v)
			case "B/op":
				all[i].bytes = append(all[i].bytes, v)
			case "allocs/op":
				all[i].allocations = append(all[i].allocations, v)
			}
		}
	}
	return all
}
