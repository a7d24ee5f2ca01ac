package policyd

import (
	"bytes"
	"hash/maphash"
)

// names remembers the attributes that Postfix is not known to send, to find
// contradictions among them. It is a hash table of places in the request, which is used again
// for the next request without being cleared, and seeded, so that nobody can
// choose names that collide.
type names struct {
	seed  maphash.Seed
	round uint32 // slots of other rounds are free
	used  int
	slots []slot // as many as a power of two
}

type slot struct {
	round, hash       uint32
	begin, equal, end uint32 // request[begin:equal] is the name, [equal+1:end] the value
}

// The sizes of the table: what a newer Postfix may need, and what is not kept for
// the next request.
const (
	firstSlots = 16
	keptSlots  = 1024
)

func (t *names) reset() {
	if t.round++; t.round == 0 || len(t.slots) == 0 || len(t.slots) > keptSlots {
		*t = names{seed: maphash.MakeSeed(), round: 1, slots: make([]slot, firstSlots)}
	}
	t.used = 0
}

func (t *names) contradicts(request []byte, begin, equal, end int) bool {
	name := request[begin:equal]
	s := slot{
		round: t.round, hash: uint32(maphash.Bytes(t.seed, name)),
		begin: uint32(begin), equal: uint32(equal), end: uint32(end),
	}
	for at := s.hash; ; at++ {
		old := &t.slots[at&uint32(len(t.slots)-1)]
		if old.round != t.round {
			*old = s
			t.used++
			t.growIfHalfFull()
			return false
		}
		if old.hash == s.hash && bytes.Equal(request[old.begin:old.equal], name) {
			return !bytes.Equal(request[old.equal+1:old.end], request[equal+1:end])
		}
	}
}

func (t *names) growIfHalfFull() {
	if 2*t.used < len(t.slots) {
		return
	}
	old := t.slots
	t.slots = make([]slot, 2*len(old))
	for _, s := range old {
		if s.round != t.round {
			continue
		}
		at := s.hash
		for t.slots[at&uint32(len(t.slots)-1)].round == t.round {
			at++
		}
		t.slots[at&uint32(len(t.slots)-1)] = s
	}
}
