package ledger

import (
	"hash/maphash"
	"time"

	"portreeve/rules"
)

const (
	// recentTallies is a power of two.
	recentTallies = 1 << 12
	// recentFor is how long a tally is not made anew at most: the tables must see now and
	// then that a key is asked for, else it is the first to be pushed out.
	recentFor = time.Second
)

// recent are tallies above the limit that were made just now. A client that is blocked
// may ask thousands of times a second, and its tally is the same until a failure comes or
// leaves the window. Each pair of places is that of the two latest keys that have it: with
// one place, a quarter of a thousand clients would take turns with another. Keys that are
// longer than a prefix's have none.
type recent struct {
	seed  maphash.Seed
	marks [recentTallies]uint32 // of the keys: whoever is not among them need not look further
	slots [recentTallies]recentTally
}

type recentTally struct {
	key      [prefixKey]byte
	length   uint8 // of the key; 0: none
	from, to int64 // Unix nanoseconds, without to
	window   Window
	tally    rules.Tally
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

// place is the first of a key's two, and its mark there.
func (r *recent) place(k []byte) (i uint64, mark uint32) {
	h := maphash.Bytes(r.seed, k)
	return h & (recentTallies - 1) &^ 1, uint32(h >> 32)
}

// find is where a key is, nil if it is nowhere.
func (r *recent) find(k []byte) *recentTally {
	i, mark := r.place(k)
	for j := i; j <= i+1; j++ {
		if s := &r.slots[j]; r.marks[j] == mark && s.is(k) {
			return s
		}
	}
	return nil
}

func (s *recentTally) is(k []byte) bool { return string(s.key[:s.length]) == string(k) }

func (r *recent) get(k []byte, now time.Time, w Window) (rules.Tally, bool) {
	s := r.find(k)
	if s == nil {
		return rules.Tally{}, false
	}
	if at := now.UnixNano(); at < s.from || at >= s.to || s.window != w {
		return rules.Tally{}, false
	}
	return s.tally, true
}

// put keeps a tally; oldest is the time of its first failure.
func (r *recent) put(k []byte, now time.Time, w Window, t rules.Tally, oldest int64) {
	if len(k) > prefixKey {
		return
	}
	s, at := r.find(k), now.UnixNano()
	if s == nil { // the one that was made first gives way, or was made before the clock was set back
		i, mark := r.place(k)
		if one, two := r.slots[i].from, r.slots[i+1].from; one <= at && (two < one || two > at) {
			i++
		}
		s, r.marks[i] = &r.slots[i], mark
	}
	s.length = uint8(copy(s.key[:], k))
	s.from, s.to = at, min(at+int64(recentFor), oldest+int64(w.Length))
	s.window, s.tally = w, t
}

// forget is called when the key's counter changes.
func (r *recent) forget(k []byte) {
	if s := r.find(k); s != nil {
		*s = recentTally{}
	}
}
