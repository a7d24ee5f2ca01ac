package ledger

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/ledger/table"
	"portreeve/rules"
)

// maxGrants is how many accounts of one address are kept: far above any
// max_accounts, beyond which an address grants nothing anyway.
const maxGrants = 64

// memory is the hot state: bounded tables behind one lock.
type memory struct {
	mu      sync.Mutex
	clients *counters
	logins  *counters // rule 11; empty while it is off
	seen    *simplelru.LRU[visit, time.Time]
	grants  *simplelru.LRU[netip.Addr, []rules.Grant]
}

func newMemory(maxClients int) (*memory, error) {
	m := &memory{}
	var err error
	arena := table.NewArena()
	if m.clients, err = newCounters(arena, maxClients); err != nil {
		return nil, err
	}
	if m.logins, err = newCounters(arena, maxClients); err != nil {
		return nil, err
	}
	if m.seen, err = simplelru.NewLRU[visit, time.Time](maxClients, nil); err != nil {
		return nil, err
	}
	m.grants, err = simplelru.NewLRU[netip.Addr, []rules.Grant](maxClients, nil)
	return m, err
}

// added is what became of a failure.
type added struct {
	Tallies
	staleClient, staleLogin bool // the store may hold an earlier block
	known                   bool // told before
}

// addFailure counts a failure against its client and its login, where it counts
// there at all. The lock is held.
func (m *memory) addFailure(p netip.Prefix, f rules.Failure, c Counting) (a added) {
	login, byLogin := counted(f, c.Login)
	a.known = true
	if p.IsValid() {
		a.Client, a.staleClient, a.known = m.clients.add(keyOf(p), f, c.Client)
	}
	if byLogin {
		var known bool
		a.Login, a.staleLogin, known = m.logins.add([]byte(login), f, c.Login)
		a.known = a.known && known
	}
	return a
}

func (m *memory) tally(p netip.Prefix, now time.Time, w Window) rules.Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	var key [prefixKey]byte
	return m.clients.tally(appendPrefix(key[:0], p), now, w)
}

func (m *memory) failures(p netip.Prefix, addr netip.Addr, since time.Time) []rules.Failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.clients.failures(keyOf(p), since)
	if !addr.IsValid() {
		return list
	}
	return slices.DeleteFunc(list, func(f rules.Failure) bool { return f.Client != addr })
}

func (m *memory) beginBlock(p netip.Prefix, id string, now time.Time, w Window) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clients.begin(keyOf(p), id, now, w)
}

func (m *memory) blocks(now time.Time, w Window) []Block {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Block
	m.clients.inForce(now, w, func(k []byte, c *counter, t rules.Tally) {
		list = append(list, asBlock(prefixOf(k), c, t, now, w))
	})
	slices.SortFunc(list, func(a, b Block) int { return b.Since.Compare(a.Since) })
	return list
}

func (m *memory) countBlocked(now time.Time, w Window) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clients.countInForce(now, w)
}

func asBlock(p netip.Prefix, c *counter, t rules.Tally, now time.Time, w Window) Block {
	return Block{Prefix: p, ID: t.Block, Since: t.Since, Until: t.Until, Count: t.Count, Failures: c.within(now, w)}
}

// unblock forgets every prefix that contains the address, whatever length it
// was counted by: the prefix lengths may have been changed since. The lock is held.
func (m *memory) unblock(addr netip.Addr, now time.Time, w Window) (cleared []netip.Prefix, lifted []Block) {
	for bits := addr.BitLen(); bits >= 0; bits-- {
		p, err := addr.Prefix(bits)
		if err != nil {
			continue
		}
		c := m.clients.remove(keyOf(p))
		if c == nil {
			continue
		}
		if t := c.tally(now, w); t.Count > w.Limit {
			lifted = append(lifted, asBlock(p, c, t, now, w))
		}
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

// prune drops what is idle or old from the cold end of each table. aged tells
// that logins were.
func (m *memory) prune(now time.Time, c Counting, validity time.Duration) (aged bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clients.prune(now, c.Client)
	m.logins.prune(now, c.Login)
	for {
		_, list, ok := m.grants.GetOldest()
		if !ok || now.Sub(list[0].Last) < validity {
			break
		}
		m.grants.RemoveOldest()
	}
	for {
		_, last, ok := m.seen.GetOldest()
		if !ok || now.Sub(last) < rules.KnownFor {
			break
		}
		m.seen.RemoveOldest()
		aged = true
	}
	return aged
}
