package table

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// play does the same to a table and to golang-lru's, and compares them. Each step is
// two bytes: what is done to which key, and how long its new value is.
func play(t *testing.T, most int, steps []byte) {
	t.Helper()
	arena := NewArena()
	defer runtime.KeepAlive(arena) // values are its memory
	have, err := New(arena, most)
	if err != nil {
		t.Fatal(err)
	}
	other, err := New(arena, most) // shares the arena, and must not notice
	if err != nil {
		t.Fatal(err)
	}
	other.Put([]byte("mine"), []byte("untouched"))
	want, err := simplelru.NewLRU[string, string](most, nil)
	if err != nil {
		t.Fatal(err)
	}
	for ; len(steps) > 1; steps = steps[2:] {
		key := fmt.Sprint("key ", steps[0]>>2)
		switch steps[0] & 3 {
		case 0, 1:
			value := bytes.Repeat(steps[1:2], int(steps[1])*int(steps[1])/8)
			have.Put([]byte(key), value)
			want.Add(key, string(value))
		case 2:
			a, okA := have.Get([]byte(key))
			b, okB := want.Get(key)
			if okA != okB || string(a) != b {
				t.Fatalf("%s is %d bytes, %t; want %d bytes, %t", key, len(a), okA, len(b), okB)
			}
		case 3:
			have.Remove([]byte(key))
			want.Remove(key)
		}
	}
	same(t, have, want)
	if v, ok := other.Peek([]byte("mine")); !ok || string(v) != "untouched" {
		t.Errorf("the other table has %q, %t", v, ok)
	}
}

func same(t *testing.T, have *Table, want *simplelru.LRU[string, string]) {
	t.Helper()
	if have.Len() != want.Len() {
		t.Fatalf("%d entries, want %d", have.Len(), want.Len())
	}
	keys := want.Keys() // the oldest first
	i := 0
	have.All(func(key, value []byte) bool {
		v, _ := want.Peek(keys[i])
		if string(key) != keys[i] || string(value) != v {
			t.Fatalf("entry %d is %s with %d bytes, want %s with %d", i, key, len(value), keys[i], len(v))
		}
		if peeked, ok := have.Peek(key); !ok || !bytes.Equal(peeked, value) {
			t.Fatalf("%s is listed and not found", key)
		}
		i++
		return true
	})
	if i != len(keys) {
		t.Fatalf("%d entries are listed, want %d", i, len(keys))
	}
	walked := map[string]bool{}
	for at, more := uint32(0), true; more; more = at != 0 {
		visited := 0
		at = have.Walk(at, 3, func(key, value []byte) bool {
			if v, ok := want.Peek(string(key)); !ok || v != string(value) {
				t.Fatalf("%s is walked with %d bytes, want %d", key, len(value), len(v))
			}
			walked[string(key)] = true
			visited++
			return len(walked)%5 > 0 || visited == 2
		})
		if visited > 3 {
			t.Fatalf("%d entries in one piece of 3", visited)
		}
	}
	if len(walked) != len(keys) {
		t.Fatalf("%d entries are walked, want %d", len(walked), len(keys))
	}
}

func TestTableIsLikeGolangLRU(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for most := range 70 {
		steps := make([]byte, 2000)
		for i := range steps {
			steps[i] = byte(r.Uint32())
		}
		play(t, most+1, steps)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(3, []byte{0, 1, 4, 200, 8, 3, 2, 0, 0, 255, 12, 9, 3, 0, 2, 0})
	f.Fuzz(func(t *testing.T, most int, steps []byte) {
		play(t, 1+int(uint(most)%100), steps)
	})
}

// Blocks do not overlap, whatever their size, and are used again.
func TestArena(t *testing.T) {
	a := NewArena()
	r := rand.New(rand.NewPCG(3, 4))
	type block struct {
		ref ref
		n   int
	}
	var blocks []block
	mark := func(b block) byte { return byte(b.ref*31) + byte(b.n) }
	for range 20_000 {
		if len(blocks) > 500 {
			i := r.IntN(len(blocks))
			b := blocks[i]
			if got := a.bytes(b.ref, b.n); !bytes.Equal(got, bytes.Repeat([]byte{mark(b)}, b.n)) {
				t.Fatalf("a block of %d bytes was overwritten", b.n)
			}
			a.give(b.ref, b.n)
			blocks[i] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			continue
		}
		n := 1 + r.IntN(1<<r.IntN(18))
		b := block{a.take(n), n}
		for i := range a.bytes(b.ref, n) {
			a.bytes(b.ref, n)[i] = mark(b)
		}
		blocks = append(blocks, b)
	}
	if n := len(a.mapped.chunks); n > 20 {
		t.Errorf("%d chunks for 500 blocks", n)
	}
}

// Entries that grow together leave no memory behind.
func TestArenaGrowsTogether(t *testing.T) {
	a := NewArena()
	const blocks = 10_000
	refs := make([]ref, blocks)
	const most = 320
	for n := 16; n <= most; n += 16 {
		for i, old := range refs {
			refs[i] = a.take(n)
			if old != 0 {
				a.give(old, n-16)
			}
		}
	}
	if have, need := len(a.mapped.chunks)*chunkSize, blocks*most; have > need*5/4+4*chunkSize {
		t.Errorf("%d bytes for %d", have, need)
	}
}

// Every size has a class whose blocks hold it, and no class is beyond the last.
func TestClasses(t *testing.T) {
	last, lastSize := -1, 0
	for n := 1; n <= largest; n++ {
		c, size := class(n)
		if size < n || c >= classes || c < last || c > last+1 || size%unit != 0 || n > fine*unit && size > n+n/perDouble+unit {
			t.Fatalf("%d bytes are class %d of %d bytes", n, c, size)
		}
		if c == last && size != lastSize {
			t.Fatalf("class %d has %d and %d bytes", c, size, lastSize)
		}
		last, lastSize = c, size
	}
	if last != classes-1 {
		t.Errorf("the last class is %d of %d", last, classes)
	}
}

func TestTableOfNoSize(t *testing.T) {
	if _, err := New(NewArena(), 0); err == nil {
		t.Error("a table of no size is made")
	}
}

// A table's own memory is outside the heap, and it keeps none that it has outgrown.
func TestOwnMemory(t *testing.T) {
	a := NewArena()
	const most = 100_000
	tab, err := New(a, most)
	if err != nil {
		t.Fatal(err)
	}
	for i := range most {
		tab.Put([]byte(strconv.Itoa(i)), []byte("value"))
	}
	nodes := (most + nodesAtOnce - 1) / nodesAtOnce
	if got := len(a.mapped.tables); got != nodes+1 {
		t.Errorf("%d pieces, want %d for nodes and one for slots", got, nodes)
	}
	for i := range most {
		if v, ok := tab.Get([]byte(strconv.Itoa(i))); !ok || string(v) != "value" {
			t.Fatalf("%d: %q, %v", i, v, ok)
		}
	}
}
