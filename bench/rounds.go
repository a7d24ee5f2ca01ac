package main

import (
	"context"
	"fmt"
	"time"
)

// subject is one of those that are measured in turn.
type subject struct {
	name string
	run  func(ctx context.Context, d time.Duration) (sample, error)
}

// on is a load on a target.
func on(t *target, l load) subject {
	return subject{name: t.name, run: func(ctx context.Context, d time.Duration) (sample, error) { return t.measure(ctx, l, d) }}
}

// policyLoad is a load on the target's policy socket.
func policyLoad(t *target, conns int, what traffic) load {
	return load{network: "unix", address: t.policy, conns: conns, talk: what.talk}
}

// named is the same under another name.
func (s subject) named(name string) subject {
	s.name = name
	return s
}

// rounds measures the subjects in turn, again and again; each round begins with
// another one, so that none always follows the same.
func (b *bench) rounds(ctx context.Context, subjects ...subject) ([]summary, error) {
	samples := make([][]sample, len(subjects))
	for round := range b.count {
		for k := range subjects {
			i := (k + round) % len(subjects)
			s, err := subjects[i].run(ctx, b.time)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", subjects[i].name, err)
			}
			samples[i] = append(samples[i], s)
			b.say("round %d, %s: %.0f/s, %.1f µs CPU each", round+1, subjects[i].name,
				ratio(float64(s.requests), s.elapsed.Seconds()), ratio(float64(s.cpu.Microseconds()), float64(s.requests)))
		}
	}
	summaries := make([]summary, len(subjects))
	for i := range subjects {
		summaries[i] = summarise(subjects[i].name, samples[i])
	}
	return summaries, nil
}
