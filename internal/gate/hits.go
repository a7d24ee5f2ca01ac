package gate

import (
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
	pause int // flushes that pass it over
}

// again counts a refusal under an id that is recorded, and returns how many there
// were since the last flush, which writes the counts.
func (g *Gate) again(id string, r *rules.Request, observed bool) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hits[id]
	if h == nil {
		h = &hit{}
		g.hits[id] = h
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
	h := g.hits[id]
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
	g.mu.Lock()
	hits := g.hits
	g.hits = make(map[string]*hit, len(hits))
	g.mu.Unlock()
	for id, h := range hits {
		if !h.none() {
			g.handOver(id, h.Repeats)
		}
	}
}

// FlushDue is Flush but for a flood of which something was handed over just now: to write
// each second would cost more than to refuse. The daemon calls it every second.
func (g *Gate) FlushDue() {
	for id, h := range g.due() {
		g.handOver(id, h.Repeats)
	}
}

func (g *Gate) due() map[string]*hit {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := g.hits
	g.hits = make(map[string]*hit, len(due))
	for id, h := range due {
		switch {
		case h.pause > 0:
			h.pause--
			g.hits[id] = h
			delete(due, id)
		case h.none():
			delete(due, id)
		case h.Times > loggedPerFlush:
			g.hits[id] = &hit{pause: floodFlushes - 1}
		}
	}
	return due
}

func (g *Gate) handOver(id string, r journal.Repeats) {
	g.Journal.Again(id, r)
	if more := r.Times - loggedPerFlush; more > 0 {
		g.Log.Info("and more like it", "id", id, "times", more)
	}
}
