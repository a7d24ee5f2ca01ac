package ledger

import (
	"net/netip"
	"slices"
	"time"

	"portreeve/ledger/table"
	"portreeve/rules"
)

// counters counts failures by a key: a client's prefix, or a login. Those above
// the limit have a table of their own, so that a flood of new keys cannot push
// one out. The memory's lock is held by whoever calls.
//
// Both tables have packed counters: what find returns is a copy, and what was changed
// must be kept.
type counters struct {
	below, above *table.Table
	recent       *recent
	bytes        []byte              // of what is packed, used again
	sunk         map[string]struct{} // keys that went from above to below; nil: nobody asks
}

func newCounters(a *table.Arena, size int) (*counters, error) {
	below, err := table.New(a, size)
	if err != nil {
		return nil, err
	}
	above, err := table.New(a, size)
	return &counters{below: below, above: above, recent: newRecent()}, err
}

// len is how many keys there are.
func (t *counters) len() int { return t.below.Len() + t.above.Len() }

// A prefix's key is its address and its length.
const prefixKey = 16 + 1

func appendPrefix(b []byte, p netip.Prefix) []byte {
	if a := p.Addr(); a.Is4() {
		four := a.As4()
		b = append(b, four[:]...)
	} else {
		sixteen := a.As16()
		b = append(b, sixteen[:]...)
	}
	return append(b, byte(p.Bits()))
}

func keyOf(p netip.Prefix) []byte { return appendPrefix(make([]byte, 0, prefixKey), p) }

func prefixOf(key []byte) netip.Prefix {
	a, _ := netip.AddrFromSlice(key[:len(key)-1])
	return netip.PrefixFrom(a, int(key[len(key)-1]))
}

// find returns what is known of the key, or nil.
func (t *counters) find(k []byte) *counter {
	packed, ok := t.above.Get(k)
	if !ok {
		if packed, ok = t.below.Get(k); !ok {
			return nil
		}
	}
	return unpackCounter(packed)
}

// keep puts the counter into the table where it belongs now.
func (t *counters) keep(k []byte, c *counter, now time.Time, w Window) {
	count, _ := c.count(now, w)
	t.bytes = c.pack(t.bytes[:0])
	t.put(k, t.bytes, count > w.Limit)
}

// add counts a failure. stale tells that the store may hold an earlier block of
// the key, which must not come back; known, that the failure was told before,
// and is not counted again.
func (t *counters) add(k []byte, f rules.Failure, w Window) (tally rules.Tally, stale, known bool) {
	if tally, stale, ok := t.append(k, f, w); ok {
		return tally, stale, false
	}
	c := t.find(k)
	if c == nil {
		c = &counter{stale: true}
	}
	if c.knows(f.ID) {
		latest := c.failures[len(c.failures)-1].Time
		tally = c.tally(latest, w)
		t.keep(k, c, latest, w)
		return tally, false, true
	}
	latest := c.add(f, w)
	stale, c.stale = c.stale, false
	tally = c.tally(latest, w)
	t.keep(k, c, latest, w)
	return tally, stale, false
}

// append is add for the case that is nearly all: a failure of a key that is known, after
// all others.
func (t *counters) append(k []byte, f rules.Failure, w Window) (tally rules.Tally, stale, ok bool) {
	packed, isAbove := t.above.Get(k)
	if !isAbove {
		if packed, ok = t.below.Get(k); !ok {
			return tally, false, false
		}
	}
	if t.bytes, tally, stale, ok = packedAdd(t.bytes, packed, f, w); !ok {
		return tally, false, false
	}
	t.put(k, t.bytes, tally.Count > w.Limit)
	return tally, stale, true
}

func (t *counters) put(k, packed []byte, above bool) {
	t.recent.forget(k)
	to, from := t.below, t.above
	if above {
		to, from = from, to
	}
	to.Put(k, packed)
	if from.Remove(k) && !above && t.sunk != nil {
		t.sunk[string(k)] = struct{}{}
	}
}

func (t *counters) tally(k []byte, now time.Time, w Window) rules.Tally {
	if tally, ok := t.recent.get(k, now, w); ok {
		return tally
	}
	if packed, ok := t.above.Get(k); ok {
		if tally, oldest, ok := packedTallyFrom(packed, now, w); ok && tally.Count > w.Limit {
			t.recent.put(k, now, w, tally, oldest)
			return tally
		}
	} else if packed, ok := t.below.Get(k); !ok {
		return rules.Tally{}
	} else if tally, ok := packedTally(packed, now, w); ok && tally.Count <= w.Limit {
		return tally
	}
	c := t.find(k)
	tally := c.tally(now, w)
	t.keep(k, c, now, w) // a block may have ended, or a limit been lowered
	return tally
}

// failures lists those that are not before since, newest first.
func (t *counters) failures(k []byte, since time.Time) []rules.Failure {
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
func (t *counters) begin(k []byte, id string, now time.Time, w Window) string {
	c := t.find(k)
	if c == nil {
		return id // lifted in between: the id stands in the journal, the block is over
	}
	inForce := c.begin(id, now, now, w)
	t.keep(k, c, now, w)
	return inForce
}

// restore gives a block that outlived the daemon its id back. The file knows the latest
// block; a snapshot may know an earlier one.
func (t *counters) restore(k []byte, id string, since, now time.Time, w Window) {
	if packed, ok := t.above.Peek(k); ok {
		if r := read(packed); string(r.block) == id {
			return // nearly all
		}
	}
	if c := t.find(k); c != nil {
		if c.block != id {
			c.block, c.since, c.stale = "", time.Time{}, true // unless it is in force
		}
		c.begin(id, since, now, w)
		t.keep(k, c, now, w)
	}
}

// inForce calls use for each key above the limit.
func (t *counters) inForce(now time.Time, w Window, use func([]byte, *counter, rules.Tally)) {
	t.above.All(func(k, packed []byte) bool {
		c := unpackCounter(packed)
		if tally := c.tally(now, w); tally.Count > w.Limit {
			use(k, c, tally)
		}
		return true
	})
}

// all calls use for each key.
func (t *counters) all(use func([]byte, *counter)) {
	for _, one := range []*table.Table{t.below, t.above} {
		one.All(func(k, packed []byte) bool {
			use(k, unpackCounter(packed))
			return true
		})
	}
}

func (t *counters) countInForce(now time.Time, w Window) (n int) {
	t.above.All(func(_, packed []byte) bool {
		tally, ok := packedTally(packed, now, w)
		if !ok {
			tally = unpackCounter(packed).tally(now, w)
		}
		if tally.Count > w.Limit {
			n++
		}
		return true
	})
	return n
}

// remove forgets the key; it tells what was known of it.
func (t *counters) remove(k []byte) *counter {
	c := t.find(k)
	t.recent.forget(k)
	t.below.Remove(k)
	t.above.Remove(k)
	return c
}

// prune drops idle keys from the cold end of each table; it stops at the first
// that still matters, so it costs what it drops.
func (t *counters) prune(now time.Time, w Window) {
	for _, one := range []*table.Table{t.below, t.above} {
		for {
			k, packed, ok := one.Coldest()
			if !ok || !unpackCounter(packed).idle(now, w) {
				break
			}
			one.Remove(k)
		}
	}
}
