package ledger

import (
	"slices"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/rules"
)

// counters counts failures by a key: a client's prefix, or a login. Those above
// the limit have a table of their own, so that a flood of new keys cannot push
// one out. The memory's lock is held by whoever calls.
type counters[K comparable] struct {
	below *simplelru.LRU[K, *counter]
	above *simplelru.LRU[K, *counter]
}

func newCounters[K comparable](size int) (c counters[K], err error) {
	if c.below, err = simplelru.NewLRU[K, *counter](size, nil); err != nil {
		return c, err
	}
	c.above, err = simplelru.NewLRU[K, *counter](size, nil)
	return c, err
}

// find returns what is known of the key, or nil.
func (t counters[K]) find(k K) *counter {
	if c, ok := t.above.Get(k); ok {
		return c
	}
	c, _ := t.below.Get(k)
	return c
}

// place keeps the counter in the table where it belongs now.
func (t counters[K]) place(k K, c *counter, now time.Time, w Window) {
	count, _ := c.count(now, w)
	to, from := t.below, t.above
	if count > w.Limit {
		to, from = from, to
	}
	if !to.Contains(k) {
		from.Remove(k)
		to.Add(k, c)
	}
}

// add counts a failure. stale tells that the store may hold an earlier block of
// the key, which must not come back; known, that the failure was told before,
// and is not counted again.
func (t counters[K]) add(k K, f rules.Failure, w Window) (tally rules.Tally, stale, known bool) {
	c := t.find(k)
	if c == nil {
		c = &counter{stale: true}
	}
	if c.knows(f.ID) {
		latest := c.failures[len(c.failures)-1].Time
		return c.tally(latest, w), false, true
	}
	latest := c.add(f, w)
	t.place(k, c, latest, w)
	stale, c.stale = c.stale, false
	return c.tally(latest, w), stale, false
}

func (t counters[K]) tally(k K, now time.Time, w Window) rules.Tally {
	c := t.find(k)
	if c == nil {
		return rules.Tally{}
	}
	tally := c.tally(now, w)
	t.place(k, c, now, w) // a block may have ended, or a limit been lowered
	return tally
}

// failures lists those that are not before since, newest first.
func (t counters[K]) failures(k K, since time.Time) []rules.Failure {
	c := t.find(k)
	if c == nil {
		return nil
	}
	var list []rules.Failure
	for _, f := range slices.Backward(c.failures) {
		if !f.Time.Before(since) {
			list = append(list, f)
		}
	}
	return list
}

// begin gives the key's present block its id unless it has one.
func (t counters[K]) begin(k K, id string, now time.Time, w Window) string {
	c := t.find(k)
	if c == nil {
		return id // lifted in between: the id stands in the journal, the block is over
	}
	return c.begin(id, now, now, w)
}

// restore gives a block that outlived the daemon its id back.
func (t counters[K]) restore(k K, id string, since, now time.Time, w Window) {
	if c := t.find(k); c != nil {
		c.stale = true // unless it is in force
		c.begin(id, since, now, w)
		t.place(k, c, now, w)
	}
}

// inForce calls use for each key above the limit.
func (t counters[K]) inForce(now time.Time, w Window, use func(K, *counter, rules.Tally)) {
	for _, k := range t.above.Keys() {
		if c, ok := t.above.Peek(k); ok {
			if tally := c.tally(now, w); tally.Count > w.Limit {
				use(k, c, tally)
			}
		}
	}
}

func (t counters[K]) countInForce(now time.Time, w Window) int {
	n := 0
	for _, c := range t.above.Values() {
		if count, _ := c.count(now, w); count > w.Limit {
			n++
		}
	}
	return n
}

// remove forgets the key; it tells what was known of it.
func (t counters[K]) remove(k K) *counter {
	c := t.find(k)
	t.below.Remove(k)
	t.above.Remove(k)
	return c
}

// prune drops idle keys from the cold end of each table; it stops at the first
// that still matters, so it costs what it drops.
func (t counters[K]) prune(now time.Time, w Window) {
	for _, table := range []*simplelru.LRU[K, *counter]{t.below, t.above} {
		for {
			_, c, ok := table.GetOldest()
			if !ok || !c.idle(now, w) {
				break
			}
			table.RemoveOldest()
		}
	}
}
