package main

import (
	"context"
	"errors"
)

// failedLogins reports failures of a million addresses over HTTP, each of which
// must be in the store before it is answered.
func failedLogins(ctx context.Context, b *bench) (r result, err error) {
	floor, err := b.floorGo(ctx, true)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, floor.end()) }()
	s := usual
	s.profile = "reports"
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	over := func(t *target) load {
		return load{network: "tcp", address: t.auth, conns: 100, talk: reports(reporting, 1_000_000, s.accounts)}
	}
	all, err := b.rounds(ctx, on(floor, over(floor)).named("floor in Go (net/http), nothing kept"), on(daemon, over(daemon)))
	if err != nil {
		return r, err
	}
	r.Tables = []table{compared("100 connections kept alive", all...)}
	r.Targets = []aim{atLeast("auth policy reports a second, each durable, 100 connections", all[1].rate.median, 20_000, whole).bounded(all[1])}
	r.Notes = b.profileNote(ctx, daemon)
	return r, nil
}
