package main

import (
	"context"
	"errors"
	"fmt"
)

// askers is how many addresses ask: far more than any cache of a processor has.
const askers = 1 << 16

// passes asks what may pass, of the floors and of Portreeve.
func passes(ctx context.Context, b *bench) (r result, err error) {
	floor, err := b.floorGo(ctx, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, floor.end()) }()
	least, err := b.floorC(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, least.end()) }()
	s := usual
	s.profile = "passes"
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	rivals, err := b.rival(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() {
		for _, t := range rivals {
			err = errors.Join(err, t.end())
		}
	}()
	ours := traffic{clients: askers, accounts: s.accounts}
	theirs := ours
	theirs.floor = true
	for _, conns := range []int{16, 100} {
		subjects := []subject{
			on(floor, policyLoad(floor, conns, theirs)),
			on(least, policyLoad(least, conns, theirs)), on(daemon, policyLoad(daemon, conns, ours)),
		}
		for _, t := range rivals {
			subjects = append(subjects, on(t, policyLoad(t, conns, ours)))
		}
		all, err := b.rounds(ctx, subjects...)
		if err != nil {
			return r, err
		}
		r.Tables = append(r.Tables, compared(fmt.Sprintf("%d connections", conns), all...))
		r.Targets = append(r.Targets,
			atLeast(fmt.Sprintf("passes, %d connections: requests/s relative to the floor in Go", conns),
				ratio(all[2].rate.median, all[0].rate.median), 0.8, fraction),
			atMost(fmt.Sprintf("passes, %d connections: CPU a request relative to the floor in C", conns),
				ratio(all[2].cpu.median, all[1].cpu.median), 1.8, fraction))
	}
	r.Notes = append(r.Notes, b.profileNote(ctx, daemon)...)
	return r, nil
}

// profileNote prints the target's profile, where there is one; the page has none.
func (b *bench) profileNote(ctx context.Context, t *target) []string {
	if t.profile == "" {
		return nil
	}
	text, err := t.profileText(ctx)
	if err != nil {
		text = err.Error()
	}
	b.say("profile %s\n%s", t.profile, text)
	return []string{"Measured with a profiler attached: compare nothing with other runs."}
}
