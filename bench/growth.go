package main

import (
	"context"
	"errors"
	"fmt"
)

// sizes are those of the plots.
var sizes = []int{1_000, 10_000, 100_000, 1_000_000}

// startsNote says what the starts of filled stores are.
const startsNote = "The starts with clients are those of a file without a checkpoint: each of three failures a client is counted. See a million remembered clients for those with one."

// growth measures passes while the tables of clients, and then that of accounts,
// grow. Clients have three failures each, which block nobody.
func growth(ctx context.Context, b *bench) (r result, err error) {
	rate := plot{File: "performance-growth-rate.svg", Title: "Passes at 16 connections, relative to the floor in Go of the same round", Y: "requests/s, relative", X: "clients remembered, or accounts"}
	wait := plot{File: "performance-growth-p99.svg", Title: "The slowest hundredth of passes at 16 connections", Y: "p99, ms", X: rate.X}
	memory := plot{File: "performance-growth-memory.svg", Title: "Resident memory", Y: "MB", X: rate.X}
	for _, way := range []struct {
		of    string
		setup func(n int) (setup, traffic)
	}{
		{"clients", func(n int) (setup, traffic) {
			s := usual
			s.fill = fillFailures(n, 3, s.accounts)
			return s, traffic{clients: askers, accounts: s.accounts, known: 1, knownOf: n}
		}},
		{"accounts", func(n int) (setup, traffic) { return setup{accounts: n}, traffic{clients: askers, accounts: n} }},
	} {
		t := table{Head: []string{way.of, "requests/s, relative to the floor", "p99 ms", "resident MB", "start to first answer, s"}}
		curves := [3]curve{{Name: way.of}, {Name: way.of}, {Name: way.of}}
		for _, n := range sizes {
			at, started, err := b.grown(ctx, way.setup, n)
			if err != nil {
				return r, fmt.Errorf("%s %s: %w", whole(float64(n)), way.of, err)
			}
			relative := ratio(at[1].rate.median, at[0].rate.median)
			t.Rows = append(t.Rows, []string{
				whole(float64(n)), fraction(relative), at[1].p99.text(fraction),
				megabytes(at[1].resident.median), fraction(started),
			})
			for i, v := range []float64{relative, at[1].p99.median, at[1].resident.median / 1e6} {
				curves[i].Points = append(curves[i].Points, [2]float64{float64(n), v})
			}
		}
		r.Tables = append(r.Tables, t)
		for i, p := range []*plot{&rate, &wait, &memory} {
			p.Series = append(p.Series, curves[i])
		}
	}
	r.Plots = []plot{rate, wait, memory}
	r.Notes = []string{startsNote}
	return r, nil
}

// grown measures one size beside the floor.
func (b *bench) grown(ctx context.Context, of func(int) (setup, traffic), n int) (all []summary, started float64, err error) {
	s, what := of(n)
	floor, err := b.floorGo(ctx, false)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, floor.end()) }()
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	theirs := what
	theirs.floor = true
	all, err = b.rounds(ctx, on(floor, policyLoad(floor, 16, theirs)), on(daemon, policyLoad(daemon, 16, what)))
	return all, daemon.started.Seconds(), err
}
