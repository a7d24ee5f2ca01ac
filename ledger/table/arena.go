package table

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"
	"syscall"
	"unsafe"
)

// Arena hands out blocks of memory that the garbage collector neither walks nor
// counts. On its heap a million entries would be walked again and again, and would
// make it keep as much again in reserve. It must not be used concurrently.
//
// A page has blocks of one size. When the last one is given back, the page may serve
// another size: entries that all grow together would else leave one page after the
// other behind.
type Arena struct {
	mapped *mapped // which outlives the Arena until it is unmapped
	pages  []page
	empty  []uint32        // numbers of pages that serve no size
	open   [classes]uint32 // a page of each size with room, 0: none
	large  map[ref][]byte  // blocks above the largest size, on the heap
	given  ref             // the last name of such a one
}

// mapped is memory that the system has given.
type mapped struct {
	chunks [][]byte // for blocks
	tables [][]byte // for what a Table itself needs
}

// ref names a block: its place in units, counted from 1; 0 is none.
type ref uint32

// page is what is known of one. Pages are numbered from 1.
type page struct {
	class      int32
	used       int32  // blocks that are taken
	fresh      uint32 // where the part begins that was never used, in bytes
	free       ref    // the first block that was given back; each has the next in its first bytes
	prev, next uint32 // of those with room
}

const (
	unit      = 16
	chunkSize = 1 << 20
	pageSize  = 1 << 16
	perChunk  = chunkSize / pageSize
	perPage   = pageSize / unit
	// Sizes are multiples of a unit up to 16 units, then there are eight to each
	// doubling: at most an eighth of a block is not used.
	fine      = 16
	perDouble = 8
	doublings = 5
	classes   = fine + perDouble*doublings
	largest   = fine * unit << doublings // 8 KiB
	isLarge   = ref(1) << 31
)

// NewArena makes an empty one. Its memory is given back when nobody has it any more.
func NewArena() *Arena {
	a := &Arena{mapped: new(mapped), large: map[ref][]byte{}}
	runtime.AddCleanup(a, func(m *mapped) {
		for _, memory := range slices.Concat(m.chunks, m.tables) {
			unmap(memory)
		}
	}, a.mapped)
	return a
}

// mapMemory gives memory that is zero.
func mapMemory(size int) []byte {
	memory, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size) // the heap is no worse off than without us
	}
	return memory
}

// unmap gives it back. It fails for what was never mapped.
func unmap(memory []byte) { _ = syscall.Munmap(memory) }

// words are n numbers that are 0, outside the heap, for a Table; nodes likewise.
func (a *Arena) words(n int) []uint32 {
	return unsafe.Slice((*uint32)(a.table(n*int(unsafe.Sizeof(uint32(0))))), n)
}

func (a *Arena) nodes(n int) []node {
	return unsafe.Slice((*node)(a.table(n*int(unsafe.Sizeof(node{})))), n)
}

func (a *Arena) table(size int) unsafe.Pointer {
	memory := mapMemory(size)
	a.mapped.tables = append(a.mapped.tables, memory)
	return unsafe.Pointer(unsafe.SliceData(memory))
}

// giveWords takes back what words gave.
func (a *Arena) giveWords(words []uint32) {
	at := slices.IndexFunc(a.mapped.tables, func(memory []byte) bool {
		return unsafe.Pointer(unsafe.SliceData(memory)) == unsafe.Pointer(unsafe.SliceData(words))
	})
	unmap(a.mapped.tables[at])
	a.mapped.tables = slices.Delete(a.mapped.tables, at, at+1)
}

// class is the size class of n bytes, and the size of its blocks.
func class(n int) (c, size int) {
	units := max(1, (n+unit-1)/unit)
	if units <= fine {
		return units - 1, units * unit
	}
	double := bits.Len(uint(units-1)) - bits.Len(uint(fine-1)) - 1 // above fine << double
	step := fine << double / perDouble
	part := (units - fine<<double + step - 1) / step
	return fine + double*perDouble + part - 1, (fine<<double + part*step) * unit
}

// take returns a block for n bytes.
func (a *Arena) take(n int) ref {
	if n > largest {
		a.given++
		a.large[isLarge|a.given] = make([]byte, n)
		return isLarge | a.given
	}
	c, size := class(n)
	number := a.open[c]
	if number == 0 {
		number = a.newPage(c)
	}
	p := a.page(number)
	r := p.free
	if r != 0 {
		p.free = ref(binary.LittleEndian.Uint32(a.bytes(r, 4)))
	} else {
		r = ref((number-1)*perPage + p.fresh/unit + 1)
		p.fresh += uint32(size)
	}
	p.used++
	if p.free == 0 && p.fresh+uint32(size) > pageSize {
		a.unlist(number) // it is full
	}
	return r
}

// give takes back a block that was taken for n bytes.
func (a *Arena) give(r ref, n int) {
	if r&isLarge != 0 {
		delete(a.large, r)
		return
	}
	_, size := class(n)
	number := uint32(r-1)/perPage + 1
	p := a.page(number)
	full := p.free == 0 && p.fresh+uint32(size) > pageSize
	binary.LittleEndian.PutUint32(a.bytes(r, 4), uint32(p.free))
	p.free = r
	p.used--
	switch {
	case p.used == 0:
		if !full {
			a.unlist(number)
		}
		a.empty = append(a.empty, number)
	case full:
		a.list(number)
	}
}

// bytes is the block's memory, n bytes of it.
func (a *Arena) bytes(r ref, n int) []byte {
	if r&isLarge != 0 {
		return a.large[r][:n]
	}
	at := int(r-1) * unit
	from := at % chunkSize
	return a.mapped.chunks[at/chunkSize][from : from+n : from+n]
}

// fits tells whether a block for n bytes is one for m bytes, too.
func fits(n, m int) bool {
	if n > largest || m > largest {
		return false
	}
	a, _ := class(n)
	b, _ := class(m)
	return a == b
}

func (a *Arena) page(number uint32) *page { return &a.pages[number-1] }

// newPage opens a page for a size class.
func (a *Arena) newPage(c int) uint32 {
	if len(a.empty) == 0 {
		a.grow()
	}
	number := a.empty[len(a.empty)-1]
	a.empty = a.empty[:len(a.empty)-1]
	*a.page(number) = page{class: int32(c)}
	a.list(number)
	return number
}

func (a *Arena) grow() {
	a.mapped.chunks = append(a.mapped.chunks, mapMemory(chunkSize))
	for range perChunk {
		a.pages = append(a.pages, page{})
		a.empty = append(a.empty, uint32(len(a.pages)))
	}
}

// list makes a page the first one to be asked for a block of its size.
func (a *Arena) list(number uint32) {
	p := a.page(number)
	p.prev, p.next = 0, a.open[p.class]
	if p.next != 0 {
		a.page(p.next).prev = number
	}
	a.open[p.class] = number
}

func (a *Arena) unlist(number uint32) {
	p := a.page(number)
	if p.prev != 0 {
		a.page(p.prev).next = p.next
	} else {
		a.open[p.class] = p.next
	}
	if p.next != 0 {
		a.page(p.next).prev = p.prev
	}
	p.prev, p.next = 0, 0
}
