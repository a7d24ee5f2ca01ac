package daemon

import (
	"cmp"
	"container/heap"
	"context"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/rules"
)

const (
	// talkersSpan is how long one generation of counts is; two are kept.
	talkersSpan = 12 * time.Hour
	// maxTalkers bounds the addresses of a generation, maxLogins the different
	// logins that one of them is seen with, topTalkers what is shown.
	maxTalkers = 500
	maxLogins  = 16
	topTalkers = 10
)

// talkers counts logins by client address in bounded memory, so that `check`
// can name a proxy that is not listed as one. The table is Metwally's
// space-saving: a new address takes the place of the smallest, and inherits its
// count as what it may be wrong by.
type talkers struct {
	seed maphash.Seed

	mu        sync.Mutex
	now, past generation
}

type generation struct {
	since   time.Time
	reports int64
	clients map[netip.Addr]*talker
	least   talkerHeap // the same, the one with the fewest reports first
}

func newGeneration(since time.Time) generation {
	return generation{since: since, clients: map[netip.Addr]*talker{}}
}

type talker struct {
	client netip.Addr
	place  int // in the heap

	reports, wrong, failures int64
	logins                   []uint64 // hashes
}

func newTalkers(now time.Time) *talkers {
	return &talkers{seed: maphash.MakeSeed(), now: newGeneration(now)}
}

// count takes one event that a front tells.
func (t *talkers) count(e rules.Event) {
	if !e.Client.IsValid() || e.Internal || e.Kind != rules.LoginFailed && e.Kind != rules.LoginSucceeded {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(e.Time)
	t.now.reports++
	c := t.now.clients[e.Client]
	if c == nil {
		c = t.now.admit(e.Client)
	}
	c.reports++
	heap.Fix(&t.now.least, c.place)
	if e.Kind == rules.LoginFailed {
		c.failures++
	}
	login := maphash.String(t.seed, strings.ToLower(e.Login))
	if len(c.logins) < maxLogins && !slices.Contains(c.logins, login) {
		c.logins = append(c.logins, login)
	}
}

// turn begins a new generation when the present one is old, or of the future.
func (t *talkers) turn(now time.Time) {
	age := now.Sub(t.now.since)
	if age >= 0 && age < talkersSpan {
		return
	}
	t.past = t.now
	if age < 0 || age >= 2*talkersSpan {
		t.past = generation{}
	}
	t.now = newGeneration(now)
}

func (g *generation) admit(client netip.Addr) *talker {
	if len(g.clients) < maxTalkers {
		c := &talker{client: client}
		heap.Push(&g.least, c)
		g.clients[client] = c
		return c
	}
	c := g.least[0]
	delete(g.clients, c.client)
	*c = talker{client: client, reports: c.reports, wrong: c.reports}
	g.clients[client] = c
	return c
}

// talkerHeap is for container/heap; a flood of new addresses must not cost a look
// at every other.
type talkerHeap []*talker

func (h talkerHeap) Len() int           { return len(h) }
func (h talkerHeap) Less(i, j int) bool { return h[i].reports < h[j].reports }
func (h talkerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *talkerHeap) Push(x any) {
	c := x.(*talker)
	c.place = len(*h)
	*h = append(*h, c)
}

// Pop is there for the interface: nobody leaves the heap.
func (h *talkerHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// top is what was counted in both generations.
func (t *talkers) top(now time.Time) admin.Talkers {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	a := admin.Talkers{Since: t.now.since.UTC(), Reports: t.now.reports + t.past.reports, Top: []admin.Talker{}}
	if t.past.clients != nil {
		a.Since = t.past.since.UTC()
	}
	logins := map[netip.Addr][]uint64{}
	sums := map[netip.Addr]admin.Talker{}
	for _, g := range []generation{t.now, t.past} {
		for client, c := range g.clients {
			s := sums[client]
			s.Client = client.String()
			s.Reports += c.reports - c.wrong
			s.Failures += c.failures
			for _, l := range c.logins {
				if !slices.Contains(logins[client], l) {
					logins[client] = append(logins[client], l)
				}
			}
			s.Logins = min(len(logins[client]), maxLogins)
			sums[client] = s
		}
	}
	for _, s := range sums {
		a.Top = append(a.Top, s)
	}
	slices.SortFunc(a.Top, func(x, y admin.Talker) int {
		return cmp.Or(cmp.Compare(y.Reports, x.Reports), strings.Compare(x.Client, y.Client))
	})
	a.Top = a.Top[:min(len(a.Top), topTalkers)]
	return a
}

// talkingGate counts what the fronts tell, once: the auth policy's SMTP logins
// are the SASL relay's where there is one.
type talkingGate struct {
	*gate.Gate
	talkers *talkers
}

// Tell passes an event on.
func (g talkingGate) Tell(ctx context.Context, e rules.Event) error {
	p := g.State().Policy
	if e.Protocol != rules.ProtocolAuthPolicy || !p.SASLRelay || !p.Throttle.Counts(e.Service) {
		g.talkers.count(e)
	}
	return g.Gate.Tell(ctx, e)
}
