package ledger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// What was added is what is read, and each byte has a say in the sum.
func TestChunk(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	p := &chunk{}
	var want []string
	for n := range 50 {
		c := someCounter(r, time.Unix(1_795_000_000, 0))
		for i := range c.failures { // what may be kept as it is
			c.failures[i].Shown, c.failures[i].Login = "jan@domena.cz", "jan@domena.cz"
		}
		key, body := keyOf(numberedPrefix(n)), c.pack(nil)
		p.add(key, body)
		want = append(want, fmt.Sprintf("%x %x", key, body))
	}
	var got []string
	if !p.each(func(key, body []byte) bool {
		got = append(got, fmt.Sprintf("%x %x", key, body))
		return true
	}) || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	sum := p.sum()
	for i := range p.counters {
		p.counters[i] ^= 1 << (i % 8)
		if p.sum() == sum {
			t.Fatalf("byte %d has no say in the sum", i)
		}
		p.counters[i] ^= 1 << (i % 8)
	}
	if p.login = 1; p.sum() == sum {
		t.Error("whose they are has no say in the sum")
	}
}

// A chunk is full before it is too large to be written while others wait.
func TestChunkIsFull(t *testing.T) {
	p := &chunk{}
	body := someFailures(11).pack(nil)
	for n := 0; p.add(keyOf(numberedPrefix(n)), body); n++ {
	}
	if size := len(p.counters); size < chunkBytes || size > chunkBytes+2*len(body) {
		t.Errorf("full at %d bytes, want a bit more than %d", size, chunkBytes)
	}
}

// Bytes that are no counters are not taken, though their sum be right.
func TestChunkThatIsNone(t *testing.T) {
	w := Window{Limit: 10, Length: time.Hour}
	now := time.Unix(1_795_000_000, 0)
	key, body := keyOf(numberedPrefix(1)), someFailures(11).pack(nil)
	whole := appendText(appendText(nil, key), body)
	take := func(counters []byte) (good bool, n int) {
		m, err := newMemory(10)
		if err != nil {
			t.Fatal(err)
		}
		e := &Embedded{memory: m}
		good = e.takeChunk(&chunk{counters: counters}, now, Counting{Client: w})
		return good, m.clients.len()
	}
	if good, n := take(whole); !good || n != 1 {
		t.Fatalf("%t, %d counters", good, n)
	}
	for what, counters := range map[string][]byte{
		"a length that is too much":   appendText(whole, key),
		"a key that is no address":    appendText(appendText(nil, key[1:]), body),
		"a body that ends too early":  appendText(appendText(nil, key), body[:len(body)-1]),
		"a body without failures":     appendText(appendText(nil, key), body[:1]),
		"no body":                     appendText(appendText(nil, key), []byte{}),
		"a length that never ends":    append(bytes.Clone(whole), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"bytes behind the last one's": append(bytes.Clone(whole), 3, 1),
	} {
		if good, _ := take(counters); good {
			t.Errorf("%s: taken", what)
		}
	}
}
