package main

import (
	"context"
	"errors"
	"fmt"
)

// refusals asks with foreign senders, none of them twice: each answer waits for
// an entry of its own in the journal.
func refusals(ctx context.Context, b *bench) (r result, err error) {
	fresh, long := usual, usual
	fresh.profile, long.profile = "refusals", "refusals-long"
	long.fill = fillJournal(b.rows, long.accounts)
	empty, err := b.portreeve(ctx, fresh)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, empty.end()) }()
	full, err := b.portreeve(ctx, long)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, full.end()) }()
	what := traffic{clients: askers, accounts: usual.accounts, foreign: 1}
	some := what
	some.foreign = 0.1
	long3 := fmt.Sprintf("into a journal of %s rows", whole(float64(b.rows)))
	all, err := b.rounds(ctx,
		on(empty, policyLoad(empty, 100, what)).named("into a fresh journal"),
		on(full, policyLoad(full, 100, what)).named(long3),
		on(empty, policyLoad(empty, 100, some)).named("one request in ten is refused"))
	if err != nil {
		return r, err
	}
	r.Tables = []table{compared("100 connections", all...)}
	r.Targets = []aim{
		atLeast("refusals a second, fresh journal, 100 connections", all[0].rate.median, 30_000, whole).bounded(all[0]),
		atMost("their p99, ms", all[0].p99.median, 50, fraction),
		atLeast("refusals a second, "+long3, all[1].rate.median, 15_000, whole).bounded(all[1]),
		atMost("their p99, ms", all[1].p99.median, 50, fraction),
	}
	r.Notes = append(b.profileNote(ctx, empty), b.profileNote(ctx, full)...)
	return r, nil
}
