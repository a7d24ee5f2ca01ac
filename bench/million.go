package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	few  = 1000   // is what a million clients are compared with
	told = 10_000 // are guessing again before the daemon is killed
)

// million asks, half of the time, from clients that are remembered with eleven
// failures each and so are blocked.
func million(ctx context.Context, b *bench) (r result, err error) {
	small, large := usual, usual
	large.profile = "million"
	small.fill, large.fill = fillFailures(few, toBlock, small.accounts), fillFailures(b.clients, toBlock, large.accounts)
	one, err := b.portreeve(ctx, small)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, one.end()) }()
	many, err := b.portreeve(ctx, large)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, many.end()) }()
	what := func(known int) traffic {
		return traffic{clients: askers, accounts: usual.accounts, known: 0.5, knownOf: known, blocked: true}
	}
	all, err := b.rounds(ctx, on(one, policyLoad(one, 16, what(few))).named(whole(few)+" clients"),
		on(many, policyLoad(many, 16, what(b.clients))).named(whole(float64(b.clients))+" clients"))
	if err != nil {
		return r, err
	}
	stop, afterStop, err := b.again(ctx, many, syscall.SIGTERM)
	if err != nil {
		return r, fmt.Errorf("stopping and starting: %w", err)
	}
	if err := block(many, told, usual.accounts); err != nil {
		return r, err
	}
	_, afterKill, err := b.again(ctx, many, syscall.SIGKILL)
	if err != nil {
		return r, fmt.Errorf("killing and starting: %w", err)
	}
	seconds := func(d time.Duration) string { return fraction(d.Seconds()) }
	r.Tables = []table{compared("16 connections, half of the requests from them", all...), {
		Head: []string{whole(float64(b.clients)) + " clients", "s"},
		Rows: [][]string{
			{"until it has stopped after SIGTERM", seconds(stop)},
			{"start to first answer after that", seconds(afterStop)},
			{fmt.Sprintf("after kill -9, %s failures later", whole(told*toBlock)), seconds(afterKill)},
			{"where each failure must be counted again: a file without any checkpoint", seconds(many.started)},
			{"for comparison, a thousand clients", seconds(one.started)},
		},
	}}
	of := fmt.Sprintf("%s clients, %d failures each: ", whole(float64(b.clients)), toBlock)
	r.Targets = []aim{
		atMost(of+"resident MB", all[1].resident.median/1e6, 500, whole),
		atMost(of+"start to first answer after a stop, s", afterStop.Seconds(), 8, fraction),
		atMost(of+"start to first answer after kill -9, s", afterKill.Seconds(), 8, fraction),
		atMost(of+"p99 at 16 connections relative to a thousand", ratio(all[1].p99.median, all[0].p99.median), 2, fraction),
	}
	r.Notes = append([]string{fmt.Sprintf("Resident memory is that after %s of load.", time.Duration(b.count)*b.time)}, b.profileNote(ctx, many)...)
	return r, nil
}
