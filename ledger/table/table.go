// Package table keeps small values by small keys in bounded memory: when it is full,
// what was least recently used goes. Keys and values are bytes in an Arena, so that a
// million of them cost their bytes and 28 more.
//
// hashicorp/golang-lru, with a million entries of 80 bytes, has 263 MB of heap
// (FACTS.md 5.3), which the garbage collector makes half a gigabyte.
package table

import (
	"bytes"
	"errors"
	"hash/maphash"
)

// Table is such a table. It must not be used concurrently, and neither must the
// tables that share its Arena.
type Table struct {
	arena *Arena
	most  int
	seed  maphash.Seed
	slots []uint32 // numbers of nodes, 0: none; as many as a power of two
	nodes [][]node
	n     int    // nodes in use
	made  uint32 // nodes at all
	free  uint32 // the first that is not in use
	cold  uint32 // least recently used
	warm  uint32
}

// node is an entry. Its number counts from 1. It must have no pointer: the garbage collector
// does not look here.
type node struct {
	hash         uint32
	colder       uint32
	warmer       uint32 // of a free one: the next
	block        ref
	key, content uint32 // bytes of the block: first the key, then the value
}

const (
	nodesAtOnce = 1 << 15 // memory that nobody has touched costs nothing
	firstSlots  = 1 << 10
)

// New makes an empty table of at most so many entries.
func New(a *Arena, most int) (*Table, error) {
	if most < 1 {
		return nil, errors.New("a table of no size")
	}
	return &Table{arena: a, most: most, seed: maphash.MakeSeed(), slots: a.words(firstSlots)}, nil
}

// Len is how many entries there are.
func (t *Table) Len() int { return t.n }

// Get returns the value of a key, which is the most recently used from then on. The
// bytes are the table's: they are valid until something is put or removed.
func (t *Table) Get(key []byte) (value []byte, ok bool) {
	_, n := t.find(t.hash(key), key)
	if n == 0 {
		return nil, false
	}
	t.touch(n)
	return t.value(n), true
}

// Peek is Get that leaves the order as it is.
func (t *Table) Peek(key []byte) (value []byte, ok bool) {
	_, n := t.find(t.hash(key), key)
	if n == 0 {
		return nil, false
	}
	return t.value(n), true
}

// Put sets the value of a key, which is the most recently used from then on. It copies
// both. Neither may be the table's own bytes.
func (t *Table) Put(key, value []byte) {
	hash := t.hash(key)
	at, n := t.find(hash, key)
	size := len(key) + len(value)
	if n != 0 {
		x := t.node(n)
		if old := int(x.key + x.content); !fits(old, size) {
			t.arena.give(x.block, old)
			x.block = t.arena.take(size)
			copy(t.arena.bytes(x.block, len(key)), key)
		}
		x.content = uint32(len(value))
		copy(t.value(n), value)
		t.touch(n)
		return
	}
	if t.n == t.most {
		t.drop(t.cold)
		at, _ = t.find(hash, key)
	}
	if 4*(t.n+1) > 3*len(t.slots) {
		t.grow()
		at, _ = t.find(hash, key)
	}
	n = t.newNode()
	x := t.node(n)
	*x = node{hash: hash, block: t.arena.take(size), key: uint32(len(key)), content: uint32(len(value))}
	block := t.arena.bytes(x.block, size)
	copy(block[copy(block, key):], value)
	t.slots[at] = n
	t.n++
	t.link(n)
}

// Remove forgets a key; it tells whether there was one.
func (t *Table) Remove(key []byte) bool {
	if t.n == 0 {
		return false
	}
	_, n := t.find(t.hash(key), key)
	if n != 0 {
		t.drop(n)
	}
	return n != 0
}

// Coldest is the entry that was least recently used.
func (t *Table) Coldest() (key, value []byte, ok bool) {
	if t.cold == 0 {
		return nil, nil, false
	}
	return t.key(t.cold), t.value(t.cold), true
}

// All walks through all entries, the least recently used first. Nothing may be put or
// removed meanwhile.
func (t *Table) All(use func(key, value []byte) bool) {
	for n := t.cold; n != 0; n = t.node(n).warmer {
		if !use(t.key(n), t.value(n)) {
			return
		}
	}
}

// Walk visits at most so many places of entries, in no order, from the place that
// the Walk before returned, and fewer when use returns false; it returns 0 at the end,
// and begins at 0. Between two of them entries may be put and removed: one that stays is
// visited, one that comes may be.
func (t *Table) Walk(from uint32, most int, use func(key, value []byte) bool) (next uint32) {
	for n := from + 1; n <= t.made; n++ {
		more := true
		if x := t.node(n); x.key+x.content > 0 {
			more = use(t.key(n), t.value(n))
		}
		if most--; most == 0 || !more {
			return n
		}
	}
	return 0
}

func (t *Table) hash(key []byte) uint32 { return uint32(maphash.Bytes(t.seed, key)) }

func (t *Table) node(n uint32) *node { return &t.nodes[(n-1)/nodesAtOnce][(n-1)%nodesAtOnce] }

func (t *Table) key(n uint32) []byte {
	x := t.node(n)
	return t.arena.bytes(x.block, int(x.key))
}

func (t *Table) value(n uint32) []byte {
	x := t.node(n)
	return t.arena.bytes(x.block, int(x.key+x.content))[x.key:]
}

// find returns the key's node, or 0 and the slot where it belongs.
func (t *Table) find(hash uint32, key []byte) (slot, n uint32) {
	mask := uint32(len(t.slots) - 1)
	for slot = hash & mask; ; slot = (slot + 1) & mask {
		n = t.slots[slot]
		if n == 0 {
			return slot, 0
		}
		if t.node(n).hash == hash && bytes.Equal(t.key(n), key) {
			return slot, n
		}
	}
}

func (t *Table) grow() {
	old := t.slots
	t.slots = t.arena.words(2 * len(old))
	t.arena.giveWords(old)
	mask := uint32(len(t.slots) - 1)
	for n := t.cold; n != 0; n = t.node(n).warmer {
		slot := t.node(n).hash & mask
		for t.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.slots[slot] = n
	}
}

func (t *Table) newNode() uint32 {
	if n := t.free; n != 0 {
		t.free = t.node(n).warmer
		return n
	}
	if t.made%nodesAtOnce == 0 {
		t.nodes = append(t.nodes, t.arena.nodes(nodesAtOnce))
	}
	t.made++
	return t.made
}

// drop forgets an entry. Those behind it move up, so that none is behind a gap.
func (t *Table) drop(n uint32) {
	x := t.node(n)
	mask := uint32(len(t.slots) - 1)
	gap := x.hash & mask
	for t.slots[gap] != n {
		gap = (gap + 1) & mask
	}
	for slot := (gap + 1) & mask; t.slots[slot] != 0; slot = (slot + 1) & mask {
		home := t.node(t.slots[slot]).hash & mask
		if (slot-home)&mask >= (slot-gap)&mask {
			t.slots[gap], gap = t.slots[slot], slot
		}
	}
	t.slots[gap] = 0
	t.unlink(n)
	t.arena.give(x.block, int(x.key+x.content))
	*x = node{warmer: t.free}
	t.free = n
	t.n--
}

func (t *Table) touch(n uint32) {
	if n != t.warm {
		t.unlink(n)
		t.link(n)
	}
}

func (t *Table) link(n uint32) {
	x := t.node(n)
	x.colder, x.warmer = t.warm, 0
	if t.warm != 0 {
		t.node(t.warm).warmer = n
	} else {
		t.cold = n
	}
	t.warm = n
}

func (t *Table) unlink(n uint32) {
	x := t.node(n)
	if x.colder != 0 {
		t.node(x.colder).warmer = x.warmer
	} else {
		t.cold = x.warmer
	}
	if x.warmer != 0 {
		t.node(x.warmer).colder = x.colder
	} else {
		t.warm = x.colder
	}
}
