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
// leaves the window. Each place is the latest key's that has it; keys that are longer than
// a prefix's have none.
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

// place is that of a key, and its mark there.
func (r *recent) place(k []byte) (i uint64, mark uint32) {
	h := maphash.Bytes(r.seed, k)
	return h & (recentTallies - 1), uint32(h >> 32)
}

func (s *recentTally) is(k []byte) bool { return string(s.key[:s.length]) == string(k) }

func (r *recent) get(k []byte, now time.Time, w Window) (rules.Tally, bool) {
	i, mark := r.place(k)
	if r.marks[i] != mark {
		return rules.Tally{}, false
	}
	s, at := &r.slots[i], now.UnixNano()
	if !s.is(k) || at < s.from || at >= s.to || s.window != w {
		return rules.Tally{}, false
	}
	return s.tally, true
}

// put keeps a tally; oldest is the time of its first failure.
func (r *recent) put(k []byte, now time.Time, w Window, t rules.Tally, oldest int64) {
	if len(k) > prefixKey {
		return
	}
	i, mark := r.place(k)
	s, at := &r.slots[i], now.UnixNano()
	r.marks[i] = mark
	s.length = uint8(copy(s.key[:], k))
	s.from, s.to = at, min(at+int64(recentFor), oldest+int64(w.Length))
	s.window, s.tally = w, t
}

// forget is called when the key's counter changes.
func (r *recent) forget(k []byte) {
	if i, mark := r.place(k); r.marks[i] == mark && r.slots[i].is(k) {
		r.slots[i] = recentTally{}
	}
}
