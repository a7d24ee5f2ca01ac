package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// guessers is how many clients are blocked, elevenfold: with so many failures.
const (
	guessers = 1000
	toBlock  = 11
)

// blocked compares the refusals of blocked clients with passes of others, on the
// same daemon.
func blocked(ctx context.Context, b *bench) (r result, err error) {
	s := usual
	s.profile = "blocked"
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	if err := block(daemon, guessers, s.accounts); err != nil {
		return r, err
	}
	pass := traffic{clients: askers, accounts: s.accounts}
	refuse := pass
	refuse.known, refuse.knownOf, refuse.blocked = 1, guessers, true
	all, err := b.rounds(ctx, on(daemon, policyLoad(daemon, 100, pass)).named("passes"),
		on(daemon, policyLoad(daemon, 100, refuse)).named("refusals of blocked clients"))
	if err != nil {
		return r, err
	}
	r.Tables = []table{compared("100 connections", all...)}
	r.Targets = []aim{atLeast("refusals of blocked clients, relative to passes, 100 connections",
		ratio(all[1].rate.median, all[0].rate.median), 1, fraction)}
	r.Notes = b.profileNote(ctx, daemon)
	return r, nil
}

// block reports failed logins of n clients until each of them is blocked.
func block(t *target, n, accounts int) error {
	const conns = 10
	all, err := dialAll("tcp", t.auth, conns)
	defer closeAll(all)
	if err != nil {
		return err
	}
	var telling sync.WaitGroup
	errs := make([]error, conns)
	for i, c := range all {
		telling.Go(func() { errs[i] = tell(c, i*n/conns, (i+1)*n/conns, accounts) })
	}
	telling.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("blocking clients: %w", err)
	}
	return nil
}

// tell reports the failures of the clients from one to another.
func tell(c net.Conn, from, to, accounts int) error {
	if err := c.SetDeadline(time.Now().Add(startWithin)); err != nil {
		return err
	}
	r := &reportTalk{block: remembered, one: from * toBlock, repeat: toBlock, accounts: accounts, random: rand.New(rand.NewPCG(uint64(from), 1))}
	buf := make([]byte, 4<<10)
	for range (to - from) * toBlock {
		if _, err := c.Write(r.next()); err != nil {
			return err
		}
		if err := answered(c, r, buf); err != nil {
			return err
		}
	}
	return nil
}
