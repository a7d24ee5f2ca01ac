package ledger

import (
	"slices"
	"time"

	"portreeve/rules"
)

// heard is what the shared store knows of a key, in times of this host's clock.
type heard struct {
	failures []rules.Failure // oldest first
	cleared  time.Time       // what was told before it is void, unless it is among them
	block    string
	since    time.Time
}

// learned is what was news to this host.
type learned struct {
	failures []rules.Failure
	unkept   []rules.Failure // were learned before, when nothing had to outlast a restart
	voided   bool            // some were forgotten
	left     []rules.Failure // then, those that were not
	block    string          // the id that is in force now, if it was another, or none
	since    time.Time
	above    bool // the key is above the limit
	stale    bool // and has no block yet: the file must not lend it an earlier one
}

// merge takes over what the shared store knows of the key. What only this host knows
// stays: the store will hear of it.
func (t *counters) merge(k []byte, h heard, now time.Time, w Window) (l learned) {
	c := t.find(k)
	if c == nil {
		if len(h.failures) == 0 {
			return l
		}
		c = &counter{stale: true}
	}
	before := len(c.failures)
	c.failures = slices.DeleteFunc(c.failures, func(f rules.Failure) bool {
		return f.Time.Before(h.cleared) && !slices.ContainsFunc(h.failures, func(g rules.Failure) bool { return g.ID == f.ID })
	})
	l.voided = len(c.failures) < before
	var known []rules.Failure
	for _, f := range h.failures {
		if c.knows(f.ID) {
			c.date(f)
			known = append(known, f)
			continue
		}
		c.add(f, w)
		l.failures = append(l.failures, f)
	}
	if l.voided {
		l.left = slices.Clone(c.failures)
	}
	if len(c.failures) == 0 {
		t.remove(k)
		return l
	}
	c.settle(now, w)
	count, _ := c.count(now, w)
	if l.above = count > w.Limit; l.above && h.block != "" {
		if h.block != c.block {
			l.block, l.since = h.block, h.since
		}
		c.block, c.since = h.block, h.since
	}
	switch {
	case l.above && c.unkept:
		l.unkept, c.unkept = known, false
	case !l.above && len(l.failures) > 0:
		c.unkept = true
	}
	if l.above && c.block == "" {
		l.stale, c.stale = c.stale, false
	}
	t.keep(k, c, now, w)
	return l
}

// sameTime is how far apart two times of one event may be: clocks are compared over a
// network.
const sameTime = time.Second

// date gives a failure the time that the store knows, once one of the clocks was set.
func (c *counter) date(f rules.Failure) {
	i := slices.IndexFunc(c.failures, func(g rules.Failure) bool { return g.ID == f.ID })
	if c.failures[i].Time.Sub(f.Time).Abs() <= sameTime {
		return
	}
	c.failures[i].Time = f.Time
	slices.SortStableFunc(c.failures, func(a, b rules.Failure) int { return a.Time.Compare(b.Time) })
}

// touch notes that the store has just spoken of the key.
func (t *counters) touch(k []byte, now time.Time, w Window) {
	if c := t.find(k); c != nil {
		c.asked = time.Now().UnixNano()
		t.keep(k, c, now, w)
	}
}
