package valkey

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Changes are what other hosts have changed since the last Probe.
type Changes struct {
	Counters []string // names whose failures or block are others now
	Resets   []string // logins whose quota begins afresh
	// Start tells that Counters has every block: this is the first Probe, or changes
	// were missed, or one of the two clocks was set.
	Start bool
	// Lost tells that the store does not have what it had: it was emptied, it is another
	// one, or an older one. What this host knows should be told again.
	Lost bool
	// Other tells that its servers are not those that they were.
	Other bool
}

const (
	// newsAtOnce is how many changes of a bucket are read at a time; the rest come with
	// the next Probe.
	newsAtOnce = 500
	// startWithin bounds the first look at a store, which reads every block's name.
	startWithin = 10 * time.Second
	// nothing is where a feed is read from that has no changes yet.
	nothing = "0-0"
)

func (c *Client) started() bool { return c.heard[0] != "" }

// news reads the feeds from where it stopped. The last change that was read is read
// again: if it is not there, others are missing, too. A feed that has none yet is known
// by its bucket's mark.
func (c *Client) news(ctx context.Context, changes *Changes) error {
	ops := make([]op, buckets, 2*buckets)
	var empty, gone []int
	for i := range buckets {
		ops[i] = op{keys: []string{bucketKey(i, kindFeed)}, args: []string{"XRANGE", c.heard[i], "+", "COUNT", strconv.Itoa(newsAtOnce)}}
		if c.heard[i] == nothing {
			empty = append(empty, i)
		}
	}
	for _, i := range empty {
		ops = append(ops, op{keys: []string{bucketKey(i, kindMark)}, args: []string{"GET"}})
	}
	results := c.run(ctx, ops...)
	emptied := false
	for n, i := range empty {
		mark, err := results[buckets+n].ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		emptied = emptied || mark != c.marks[i]
	}
	counters, resets := newSet(), newSet()
	heard := c.heard // until all is read
	for i, r := range results[:buckets] {
		entries, err := r.AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		switch {
		case c.heard[i] == nothing && len(entries) < newsAtOnce:
		case len(entries) == 0 || entries[0].ID != c.heard[i]:
			gone = append(gone, i)
			c.lost = c.lost || len(entries) == 0
			continue
		default:
			entries = entries[1:]
		}
		for _, e := range entries {
			counters.add(e.FieldValues["f"])
			resets.add(e.FieldValues["q"])
			heard[i] = e.ID
		}
	}
	if emptied || len(gone) > 0 {
		return c.missed(ctx, gone)
	}
	c.heard, changes.Counters, changes.Resets = heard, counters.list, resets.list
	return nil
}

// missed finds out why changes are not there any more. A feed that has none of before is
// cut off at its beginning: this host was away for longer than it goes back. One that has
// some is another one than it was.
func (c *Client) missed(ctx context.Context, gone []int) error {
	ops := make([]op, len(gone))
	for n, i := range gone {
		ops[n] = op{keys: []string{bucketKey(i, kindFeed)}, args: []string{"XREVRANGE", c.heard[i], "-", "COUNT", "1"}}
	}
	for _, r := range c.run(ctx, ops...) {
		before, err := r.AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
		if len(before) > 0 {
			c.lost = true
		}
	}
	if err := c.mark(ctx); err != nil { // one that was emptied has another mark
		return err
	}
	c.restart()
	return nil
}

// start reads where the feeds are now, and then the names of all blocks.
func (c *Client) start(ctx context.Context, changes *Changes) error {
	ops := make([]op, 0, 2*buckets)
	for i := range buckets {
		ops = append(ops, op{keys: []string{bucketKey(i, kindFeed)}, args: []string{"XREVRANGE", "+", "-", "COUNT", "1"}})
	}
	for i := range buckets {
		ops = append(ops, op{keys: []string{bucketKey(i, kindBlocks)}, args: []string{"ZRANGE", "0", "-1"}})
	}
	results := c.run(ctx, ops...)
	names := newSet()
	for _, r := range results[buckets:] {
		list, err := r.AsStrSlice()
		if err != nil {
			return fmt.Errorf("reading the blocks: %w", err)
		}
		for _, name := range list {
			names.add(name)
		}
	}
	var heard [buckets]string
	for i, r := range results[:buckets] {
		last, err := r.AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return fmt.Errorf("reading what has changed: %w", err)
		}
		heard[i] = nothing
		if len(last) > 0 {
			heard[i] = last[0].ID
		}
	}
	c.heard = heard
	changes.Start, changes.Counters, changes.Resets = true, names.list, nil
	return nil
}

// set is a list without repetitions; the empty name is none.
type set struct {
	known map[string]bool
	list  []string
}

func newSet() *set { return &set{known: map[string]bool{}} }

func (s *set) add(name string) {
	if name != "" && !s.known[name] {
		s.known[name] = true
		s.list = append(s.list, name)
	}
}
