package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

// overlap is how far each look goes back behind the one before: an entry has the
// time of its request, and stands in the journal a little later.
const overlap = 10 * time.Second

// mostAtOnce bounds what one look brings; of a flood the oldest are left out.
const mostAtOnce = 10000

// follower prints refusals as they come.
type follower struct {
	out     io.Writer
	errOut  io.Writer // what the asker should know besides
	json    bool
	request admin.DecisionsRequest

	seen map[string]time.Time // ids that were printed, while a look may bring them again
}

// run looks at each tick until ctx ends. begin is where "from now on" begins. A daemon
// that goes away after its first answer is waited for: while it is restarted nobody is
// refused, and what it knew it knows afterwards.
func (f *follower) run(ctx context.Context, ask func(context.Context, admin.DecisionsRequest) ([]journal.Entry, error), begin time.Time, tick <-chan time.Time) error {
	f.request.Limit = mostAtOnce
	if f.request.Since.IsZero() {
		f.request.Since = begin
	}
	from, away := f.request.Since, false
	for {
		entries, err := ask(ctx, f.request)
		switch {
		case ctx.Err() != nil:
			return nil // interrupted, as it must be in the end
		case errors.Is(err, admin.ErrAway) && f.seen != nil:
			if !away {
				fmt.Fprintf(f.errOut, "portreeve: %v: waiting until it answers again\n", err)
			}
			away = true
			if !wait(ctx, tick) {
				return nil
			}
			continue // from where the last answer was
		case err != nil:
			return err
		}
		away = false
		if f.seen == nil {
			f.seen = map[string]time.Time{}
			if !f.json {
				if err := line(f.out, decisionColumns); err != nil {
					return err
				}
			}
		}
		if err := f.print(entries); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick:
			if back := now.Add(-overlap); back.After(from) {
				f.request.Since = back
				f.forget(back)
			}
		}
	}
}

// wait is false when ctx has ended.
func wait(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick:
		return true
	}
}

// print writes what is new, oldest first.
func (f *follower) print(entries []journal.Entry) error {
	var errs []error
	for _, e := range slices.Backward(entries) {
		if _, known := f.seen[e.ID]; known {
			continue
		}
		f.seen[e.ID] = e.Time
		if f.json {
			errs = append(errs, jsonLine(f.out, e))
		} else {
			errs = append(errs, line(f.out, decisionRow(e)))
		}
	}
	return errors.Join(errs...)
}

// forget drops the ids that no look will bring again.
func (f *follower) forget(before time.Time) {
	for id, at := range f.seen {
		if at.Before(before.Add(-time.Minute)) {
			delete(f.seen, id)
		}
	}
}
