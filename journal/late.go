package journal

import (
	"context"
	"sync"
)

// keptAtMost bounds the entries that wait for a store that takes nothing. Every
// one of them is in the log as well.
const keptAtMost = 10_000

// late are the entries that the store did not take, until it does: their ids
// have been told, and somebody will ask for them.
type late struct {
	mu      sync.Mutex
	entries map[string]Entry
	order   []string           // oldest first
	repeats map[string]Repeats // of entries that the store has, while it takes nothing
}

func (l *late) keep(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.entries[e.ID]; known {
		return
	}
	if l.entries == nil {
		l.entries = map[string]Entry{}
	}
	if len(l.order) == keptAtMost {
		delete(l.entries, l.order[0])
		l.order = l.order[1:]
	}
	l.entries[e.ID] = e
	l.order = append(l.order, e.ID)
}

// count keeps further refusals until the store can be told.
func (l *late) count(id string, r Repeats) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.repeats[id]
	if !known && len(l.repeats) >= keptAtMost {
		return
	}
	if l.repeats == nil {
		l.repeats = map[string]Repeats{}
	}
	r.Times += old.Times
	r.Observed = r.Observed && (!known || old.Observed)
	l.repeats[id] = r
}

// counted hands over what count kept.
func (l *late) counted() map[string]Repeats {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.repeats
	l.repeats = nil
	return all
}

func (l *late) get(id string) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[id]
	return e, ok
}

// again counts refusals under an id that waits here. It tells whether one does.
func (l *late) again(id string, r Repeats) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[id]
	if !ok {
		return false
	}
	e.Count += r.Times
	if r.Last.After(e.Last) {
		e.Last = r.Last.UTC()
	}
	e.Observed = e.Observed && r.Observed
	if e.Port == 0 {
		e.Port = r.Port
	}
	if e.Sender == "" {
		e.Sender = r.Sender
	}
	l.entries[id] = e
	return true
}

func (l *late) oldest() (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.order) == 0 {
		return Entry{}, false
	}
	return l.entries[l.order[0]], true
}

// written drops an entry that the store has. What was counted under it in the
// meantime is returned.
func (l *late) written(e Entry) Repeats {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.entries[e.ID]
	delete(l.entries, e.ID)
	if len(l.order) > 0 && l.order[0] == e.ID {
		l.order = l.order[1:]
	}
	return Repeats{Times: now.Count - e.Count, Last: now.Last, Observed: now.Observed, Port: now.Port, Sender: now.Sender}
}

// Deliver writes what the store did not take before, oldest first, and ends at
// the first that it does not take now. It is for one caller at a time.
func (j *Journal) Deliver(ctx context.Context) (delivered int, err error) {
	for {
		e, ok := j.late.oldest()
		if !ok {
			for id, r := range j.late.counted() {
				if key, err := ParseID(id); err == nil {
					j.count(key, id, r)
				}
			}
			return delivered, nil
		}
		if err := j.write(ctx, e); err != nil {
			return delivered, err
		}
		delivered++
		if more := j.late.written(e); more.Times > 0 {
			j.Again(e.ID, more)
		}
	}
}
