package ledger

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/rules"
)

// maxGrants is how many accounts of one address are kept: far above any
// max_accounts, beyond which an address grants nothing anyway.
const maxGrants = 64

// memory is the hot state: three bounded tables behind one lock. Blocked
// clients have a table of their own, so that a flood of new addresses cannot
// push a block out.
type memory struct {
	mu      sync.Mutex
	clients *simplelru.LRU[netip.Prefix, *client]
	blocked *simplelru.LRU[netip.Prefix, *client]
	grants  *simplelru.LRU[netip.Addr, []rules.Grant]
}

func newMemory(maxClients int) (*memory, error) {
	m := &memory{}
	var err error
	if m.clients, err = simplelru.NewLRU[netip.Prefix, *client](maxClients, nil); err != nil {
		return nil, err
	}
	if m.blocked, err = simplelru.NewLRU[netip.Prefix, *client](maxClients, nil); err != nil {
		return nil, err
	}
	m.grants, err = simplelru.NewLRU[netip.Addr, []rules.Grant](maxClients, nil)
	return m, err
}

// find returns what is known of the prefix, or nil. The lock is held.
func (m *memory) find(p netip.Prefix) *client {
	if c, ok := m.blocked.Get(p); ok {
		return c
	}
	c, _ := m.clients.Get(p)
	return c
}

// place keeps the client in the table where it belongs now. The lock is held.
func (m *memory) place(p netip.Prefix, c *client, now time.Time, w Window) {
	count, _ := c.count(now, w)
	to, from := m.clients, m.blocked
	if count > w.Limit {
		to, from = from, to
	}
	if !to.Contains(p) {
		from.Remove(p)
		to.Add(p, c)
	}
}

// addFailure counts a failure. stale tells that the store may hold an earlier
// block of the prefix, which must not come back; known, that the failure was
// told before, and is not counted again. The lock is held.
func (m *memory) addFailure(p netip.Prefix, f rules.Failure, w Window) (t rules.Tally, stale, known bool) {
	c := m.find(p)
	if c == nil {
		c = &client{stale: true}
	}
	if c.knows(f.ID) {
		latest := c.failures[len(c.failures)-1].Time
		return c.tally(latest, w), false, true
	}
	latest := c.add(f, w)
	m.place(p, c, latest, w)
	stale, c.stale = c.stale, false
	return c.tally(latest, w), stale, false
}

func (m *memory) tally(p netip.Prefix, now time.Time, w Window) rules.Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.find(p)
	if c == nil {
		return rules.Tally{}
	}
	t := c.tally(now, w)
	m.place(p, c, now, w) // a block may have ended, or a limit been lowered
	return t
}

func (m *memory) failures(p netip.Prefix, addr netip.Addr, since time.Time) []rules.Failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.find(p)
	if c == nil {
		return nil
	}
	var list []rules.Failure
	for _, f := range slices.Backward(c.failures) {
		if (!addr.IsValid() || f.Client == addr) && !f.Time.Before(since) {
			list = append(list, f)
		}
	}
	return list
}

// beginBlock gives the present block its id unless it has one.
func (m *memory) beginBlock(p netip.Prefix, id string, now time.Time, w Window) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.find(p)
	if c == nil {
		return id // lifted in between: the id stands in the journal, the block is over
	}
	return c.begin(id, now, now, w)
}

// restoreBlock gives a block that outlived the daemon its id back.
func (m *memory) restoreBlock(p netip.Prefix, id string, since, now time.Time, w Window) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.find(p); c != nil {
		c.stale = true // unless it is in force
		c.begin(id, since, now, w)
		m.place(p, c, now, w)
	}
}

func (m *memory) blocks(now time.Time, w Window) []Block {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Block
	for _, p := range m.blocked.Keys() {
		if c, ok := m.blocked.Peek(p); ok {
			if b, is := c.asBlock(p, now, w); is {
				list = append(list, b)
			}
		}
	}
	slices.SortFunc(list, func(a, b Block) int { return b.Since.Compare(a.Since) })
	return list
}

func (m *memory) countBlocked(now time.Time, w Window) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, c := range m.blocked.Values() {
		if count, _ := c.count(now, w); count > w.Limit {
			n++
		}
	}
	return n
}

func (c *client) asBlock(p netip.Prefix, now time.Time, w Window) (Block, bool) {
	t := c.tally(now, w)
	if t.Count <= w.Limit {
		return Block{}, false
	}
	return Block{Prefix: p, ID: t.Block, Since: t.Since, Until: t.Until, Count: t.Count, Failures: c.within(now, w)}, true
}

// unblock forgets every prefix that contains the address, whatever length it
// was counted by: the prefix lengths may have been changed since. The lock is held.
func (m *memory) unblock(addr netip.Addr, now time.Time, w Window) (cleared []netip.Prefix, lifted []Block) {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		c := m.find(p)
		if c == nil {
			continue
		}
		if b, is := c.asBlock(p, now, w); is {
			lifted = append(lifted, b)
		}
		m.clients.Remove(p)
		m.blocked.Remove(p)
		cleared = append(cleared, p)
	}
	return cleared, lifted
}

func (m *memory) addGrant(addr netip.Addr, g rules.Grant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, _ := m.grants.Get(addr)
	list := make([]rules.Grant, 0, len(old)+1)
	list = append(list, g)
	for _, other := range old {
		switch {
		case other.Login != g.Login:
			list = append(list, other)
		case other.Last.After(list[0].Last):
			list[0].Last = other.Last
		}
	}
	slices.SortStableFunc(list, func(a, b rules.Grant) int { return b.Last.Compare(a.Last) })
	m.grants.Add(addr, list[:min(len(list), maxGrants)])
}

func (m *memory) validGrants(addr netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, _ := m.grants.Get(addr)
	if len(list) > 0 && list[0].Last.Sub(now) > ahead {
		untilNow(list, now)
	}
	for i, g := range list {
		if now.Sub(g.Last) >= validity {
			return slices.Clone(list[:i])
		}
	}
	return slices.Clone(list)
}

// untilNow takes grants from before the clock was set back as given just now:
// none may hold for longer than its validity.
func untilNow(list []rules.Grant, now time.Time) {
	for i := range list {
		if list[i].Last.Sub(now) > ahead {
			list[i].Last = now
		}
	}
}

// prune drops idle clients and old grants from the cold end of each table; it
// stops at the first that still matters, so it costs what it drops.
func (m *memory) prune(now time.Time, w Window, validity time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, table := range []*simplelru.LRU[netip.Prefix, *client]{m.clients, m.blocked} {
		for {
			_, c, ok := table.GetOldest()
			if !ok || !c.idle(now, w) {
				break
			}
			table.RemoveOldest()
		}
	}
	for {
		_, list, ok := m.grants.GetOldest()
		if !ok || now.Sub(list[0].Last) < validity {
			break
		}
		m.grants.RemoveOldest()
	}
}
