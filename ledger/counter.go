package ledger

import (
	"slices"
	"time"

	"portreeve/rules"
)

const (
	// keepFailures is how many failures of one prefix are kept beyond what the
	// limit needs, for the help desk and for a limit that is raised.
	keepFailures = 16
	// ahead is how far in the future a failure or a grant may be: requests carry
	// the time of their arrival, and hosts' clocks differ. What is further ahead
	// comes from before the clock was set back.
	ahead = time.Minute
)

// counter is what is remembered of one key. Failures are in the order of
// their times, oldest first, for witnesses may tell late.
type counter struct {
	failures []rules.Failure
	block    string // id of the present block
	since    time.Time
	stale    bool  // the file may still hold an earlier block of the prefix
	asked    int64 // Unix nanoseconds at which a shared store has spoken of it
	unkept   bool  // the file lacks other hosts' failures that are among these
}

// knows tells whether the failure of that id is among those that are kept. Those
// that are not have no say in any count.
func (c *counter) knows(id uint64) bool {
	return id != 0 && slices.ContainsFunc(c.failures, func(f rules.Failure) bool { return f.ID == id })
}

// add puts a failure in its place and drops what no count can need any more.
// It returns the latest time that the failures know.
func (c *counter) add(f rules.Failure, w Window) (latest time.Time) {
	latest = f.Time
	at := len(c.failures)
	for at > 0 && c.failures[at-1].Time.After(f.Time) {
		at--
	}
	if at < len(c.failures) {
		latest = c.failures[len(c.failures)-1].Time
	}
	c.settle(latest, w)
	c.failures = slices.Insert(c.failures, at, f)
	if w.Once && f.Counted {
		c.dropRepeats()
	}
	c.trim(f.Counted, w)
	return latest
}

// dropRepeats keeps a program that repeats one stored password from pushing the
// failures out that count. The list then has as many as the count.
func (c *counter) dropRepeats() {
	for i := 0; i < len(c.failures); i++ {
		if f := c.failures[i]; f.Counted && repeated(f, c.failures[i+1:]) {
			c.failures = slices.Delete(c.failures, i, i+1)
			i--
		}
	}
}

// trim drops the oldest failures above the bound of one kind. Those that count
// have a bound of their own: else refusals that do not count (access_disabled)
// would push them out, and a guesser could wipe his slate with them.
func (c *counter) trim(counted bool, w Window) {
	extra := -keepFailures
	if counted {
		extra -= w.Limit + 1
	}
	for _, f := range c.failures {
		if f.Counted == counted {
			extra++
		}
	}
	if extra <= 0 {
		return
	}
	c.failures = slices.DeleteFunc(c.failures, func(f rules.Failure) bool {
		if f.Counted != counted || extra == 0 {
			return false
		}
		extra--
		return true
	})
}

// settle makes the state that of the present: it forgets a block that
// is over, so that a later one is new and has a new id, and takes what a clock
// that was set back has left in the future as having happened just now, so that
// nothing is held against anyone for longer than the window.
func (c *counter) settle(now time.Time, w Window) {
	for i := len(c.failures) - 1; i >= 0 && c.failures[i].Time.Sub(now) > ahead; i-- {
		c.failures[i].Time = now
	}
	if c.block == "" {
		return
	}
	if c.since.Sub(now) > ahead {
		c.since = now
	}
	if count, _ := c.count(now, w); count <= w.Limit {
		c.block, c.since, c.stale = "", time.Time{}, true
	}
}

// begin gives the present block its id, unless it has one or there is none.
func (c *counter) begin(id string, since, now time.Time, w Window) (inForce string) {
	c.settle(now, w)
	if count, _ := c.count(now, w); count > w.Limit && c.block == "" {
		c.block, c.since, c.stale = id, since, false
	}
	if c.block == "" {
		return id
	}
	return c.block
}

// count is the number of failures within the window before now, and when it
// will have fallen to the limit.
func (c *counter) count(now time.Time, w Window) (count int, until time.Time) {
	for i := len(c.failures) - 1; i >= 0; i-- {
		f := c.failures[i]
		if !f.Counted || now.Sub(f.Time) >= w.Length || w.Once && repeated(f, c.failures[i+1:]) {
			continue
		}
		count++
		if count == w.Limit+1 {
			until = f.Time.Add(w.Length)
		}
	}
	return count, until
}

// repeated tells whether the same wrong password of the same login comes again
// later; the latest stands for all. A witness that tells no passwords apart
// leaves the hash empty.
func repeated(f rules.Failure, later []rules.Failure) bool {
	return f.Password != "" && slices.ContainsFunc(later, func(l rules.Failure) bool {
		return l.Counted && l.Login == f.Login && l.Password == f.Password
	})
}

func (c *counter) tally(now time.Time, w Window) rules.Tally {
	c.settle(now, w)
	count, until := c.count(now, w)
	t := rules.Tally{Count: count, Until: until}
	if count > w.Limit {
		t.Block, t.Since = c.block, c.since
	}
	return t
}

// within lists the counted failures of the window, oldest first.
func (c *counter) within(now time.Time, w Window) []rules.Failure {
	var list []rules.Failure
	for _, f := range c.failures {
		if f.Counted && now.Sub(f.Time) < w.Length {
			list = append(list, f)
		}
	}
	return list
}

// idle tells whether nothing of it matters any more.
func (c *counter) idle(now time.Time, w Window) bool {
	if len(c.failures) == 0 {
		return true
	}
	newest := now.Sub(c.failures[len(c.failures)-1].Time)
	return newest >= w.Length && newest >= rules.HintWindow
}
