package ledger

import (
	"time"

	"portreeve/rules"
)

// keepFailures is how many failures of one prefix are kept beyond what the
// limit needs, for the help desk and for a limit that is raised.
const keepFailures = 16

// client is what is remembered of one prefix. Failures are in the order in
// which they came, oldest first.
type client struct {
	failures []rules.Failure
	block    string // id of the present block
	since    time.Time
}

// add appends a failure and drops what no count can need any more.
func (c *client) add(f rules.Failure, w Window) {
	c.settle(f.Time, w)
	c.failures = append(c.failures, f)
	if most := w.Limit + 1 + keepFailures; len(c.failures) > most {
		c.failures = append(c.failures[:0], c.failures[len(c.failures)-most:]...)
	}
}

// settle forgets a block that is over: a later one is new and has a new id.
func (c *client) settle(now time.Time, w Window) {
	if c.block == "" {
		return
	}
	if count, _ := c.count(now, w); count <= w.Limit {
		c.block, c.since = "", time.Time{}
	}
}

// count is the number of failures within the window before now, and when it
// will have fallen to the limit.
func (c *client) count(now time.Time, w Window) (count int, until time.Time) {
	for i := len(c.failures) - 1; i >= 0; i-- {
		f := c.failures[i]
		if now.Sub(f.Time) >= w.Length {
			break // all others are older
		}
		if !f.Counted {
			continue
		}
		count++
		if count == w.Limit+1 {
			until = f.Time.Add(w.Length)
		}
	}
	return count, until
}

func (c *client) tally(now time.Time, w Window) rules.Tally {
	c.settle(now, w)
	count, until := c.count(now, w)
	t := rules.Tally{Count: count, Until: until}
	if count > w.Limit {
		t.Block, t.Since = c.block, c.since
	}
	return t
}

// within lists the counted failures of the window, oldest first.
func (c *client) within(now time.Time, w Window) []rules.Failure {
	var list []rules.Failure
	for _, f := range c.failures {
		if f.Counted && now.Sub(f.Time) < w.Length {
			list = append(list, f)
		}
	}
	return list
}

// idle tells whether nothing of the client matters any more.
func (c *client) idle(now time.Time, w Window) bool {
	if len(c.failures) == 0 {
		return true
	}
	newest := now.Sub(c.failures[len(c.failures)-1].Time)
	return newest >= w.Length && newest >= rules.HintWindow
}
