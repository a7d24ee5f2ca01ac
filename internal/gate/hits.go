package gate

import (
	"slices"

	"portreeve/journal"
	"portreeve/rules"
)

const (
	// loggedPerFlush is how many refusals under one id have a line each in the log
	// before the next flush, which tells the number of the others: whoever is refused
	// ten thousand times a second must not fill the disk, nor cost more than a client
	// that passes.
	loggedPerFlush = 3
	// floodFlushes is how many flushes make one for an id that had more than those lines.
	floodFlushes = 5
)

// hit counts the refusals under an id that is recorded already, since the last flush.
type hit struct {
	journal.Repeats
	pause int // flushes that pass a flood over
}

// hits are those of all ids.
type hits struct {
	lately map[string]*hit // since the last flush
	floods map[string]*hit // of which something was handed over just now
}

func newHits() hits { return hits{map[string]*hit{}, map[string]*hit{}} }

// get finds the one of an id: it is in one table only.
func (l hits) get(id string) *hit {
	if h := l.floods[id]; h != nil {
		return h
	}
	return l.lately[id]
}

// again counts a refusal under an id that is recorded, and returns how many there
// were since the last flush, which writes the counts.
func (g *Gate) again(id string, r *rules.Request, observed bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hits.get(id)
	if h == nil {
		h = &hit{}
		g.hits.lately[id] = h
	}
	first := h.none()
	if !observed || g.sighted(id, r) {
		h.Times++
	}
	h.Observed = observed && (first || h.Observed)
	h.latest(r)
	return h.Times
}

// oneMore is again for a refusal that has no line in the log because so many of the
// same id have one; false if it would have one: then it is not counted.
func (g *Gate) oneMore(id string, r *rules.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hits.get(id)
	if h == nil || h.Times < loggedPerFlush {
		return false
	}
	h.Times++
	h.Observed = false
	h.latest(r)
	return true
}

// none tells whether all was handed over.
func (h *hit) none() bool { return h.Last.IsZero() }

func (h *hit) latest(r *rules.Request) {
	h.Last = r.Time
	if !r.Stage.AtAuth() {
		h.Port, h.Sender = r.Port, r.Sender
	}
}

// Flush hands the counts of repeated refusals to the journal, and to the log what
// was too many to have a line each. The daemon calls it before it reads the journal,
// and at its end.
func (g *Gate) Flush() {
	g.flush.Lock()
	defer g.flush.Unlock()
	g.mu.Lock()
	all := g.hits
	g.hits = newHits()
	g.mu.Unlock()
	g.handAllOver(all.lately)
	g.handAllOver(all.floods)
}

// FlushDue is Flush but for a flood of which something was handed over just now: to write
// each second would cost more than to refuse. The daemon calls it every second. Whoever is
// refused meanwhile is held up by the floods, and not by a hundred thousand other ids.
func (g *Gate) FlushDue() {
	g.flush.Lock()
	defer g.flush.Unlock()
	g.mu.Lock()
	due := g.hits.floodsDue()
	lately := g.hits.lately
	g.hits.lately = map[string]*hit{}
	g.mu.Unlock()
	var began []string
	for id, h := range lately {
		if h.Times > loggedPerFlush {
			began = append(began, id)
		}
	}
	for ids := range slices.Chunk(began, 256) {
		g.mu.Lock()
		for _, id := range ids {
			g.hits.begin(id)
		}
		g.mu.Unlock()
	}
	g.handAllOver(lately)
	g.handAllOver(due)
}

// begin makes an id one of the floods, with what was counted meanwhile.
func (l hits) begin(id string) {
	h := l.get(id)
	if h == nil {
		h = &hit{}
	}
	h.pause = floodFlushes - 1
	l.floods[id] = h
	delete(l.lately, id)
}

// floodsDue takes the floods that are not passed over.
func (l hits) floodsDue() map[string]*hit {
	due := map[string]*hit{}
	for id, h := range l.floods {
		if h.pause > 0 {
			h.pause--
			continue
		}
		due[id] = h
		if h.Times > loggedPerFlush {
			l.floods[id] = &hit{pause: floodFlushes - 1}
		} else {
			delete(l.floods, id)
		}
	}
	return due
}

func (g *Gate) handAllOver(list map[string]*hit) {
	for id, h := range list {
		if !h.none() {
			g.handOver(id, h.Repeats)
		}
	}
}

func (g *Gate) handOver(id string, r journal.Repeats) {
	g.Journal.Again(id, r)
	if more := r.Times - loggedPerFlush; more > 0 {
		g.Log.Info("and more like it", "id", id, "times", more)
	}
}
