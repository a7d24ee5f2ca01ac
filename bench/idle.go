package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// silent is how many connections have asked once and then say nothing, as those
// of smtpd processes that wait for clients.
const silent = 10_000

// idle compares passes beside idle connections with passes without.
func idle(ctx context.Context, b *bench) (r result, err error) {
	s := usual
	s.profile = "idle"
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	without := on(daemon, policyLoad(daemon, 16, traffic{clients: askers, accounts: s.accounts})).named("none")
	with := subject{name: whole(silent) + " idle connections", run: func(ctx context.Context, d time.Duration) (sample, error) {
		conns, err := dialAll("unix", daemon.policy, silent)
		defer closeAll(conns)
		if err == nil {
			err = askOnce(conns, s.accounts)
		}
		if err != nil {
			return sample{}, fmt.Errorf("opening idle connections: %w; `ulimit -n` must be above %d", err, silent+100)
		}
		return without.run(ctx, d)
	}}
	before := daemon.used().resident
	all, err := b.rounds(ctx, without, with)
	if err != nil {
		return r, err
	}
	r.Tables = []table{compared("passes, 16 connections", all...)}
	r.Targets = []aim{
		atMost("10,000 idle connections: resident MB of the whole daemon", all[1].resident.high/1e6, 200, whole),
		atMost("10,000 idle connections: time a request relative to none", ratio(all[0].rate.median, all[1].rate.median), 1.2, fraction),
	}
	r.Notes = append([]string{"Resident before any connection: " + megabytes(float64(before)) + " MB. What the first idle round took is not given back at once, so the rounds without show it, too."},
		b.profileNote(ctx, daemon)...)
	return r, nil
}

// askOnce makes each connection have asked.
func askOnce(conns []net.Conn, accounts int) error {
	t := traffic{clients: askers, accounts: accounts}.talk(0)
	buf := make([]byte, 4<<10)
	for _, c := range conns {
		if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
			return err
		}
		if _, err := c.Write(t.next()); err != nil {
			return err
		}
		if err := answered(c, t, buf); err != nil {
			return err
		}
	}
	return nil
}
