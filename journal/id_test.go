package journal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"math"
	mathrand "math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/journal"
)

var shape = regexp.MustCompile(`^[0-9A-Za-z]{22}$`)

func randomID(t *testing.T) journal.ID {
	t.Helper()
	var id journal.ID
	if _, err := rand.Read(id[:]); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIDTextRoundTrip(t *testing.T) {
	ids := []journal.ID{{}, {15: 1}, {8: 1}, {7: 1}}
	ids = append(ids, journal.ID(bytes.Repeat([]byte{0xff}, 16)))
	for range 5000 {
		ids = append(ids, randomID(t))
	}
	for _, id := range ids {
		text := id.String()
		if !shape.MatchString(text) {
			t.Fatalf("%x is %q", id, text)
		}
		back, err := journal.ParseID(text)
		if err != nil || back != id {
			t.Fatalf("%x is %q and comes back as %x: %v", id, text, back, err)
		}
	}
}

// Known values, computed with another program (bc), pin alphabet and order.
func TestIDTextIsBase62(t *testing.T) {
	for text, id := range map[string]journal.ID{
		"0000000000000000000000": {},
		"000000000000000000000A": {15: 10},
		"000000000000000000000a": {15: 36},
		"000000000000000000000z": {15: 61},
		"0000000000000000000010": {15: 62},
		"7n42DGM5Tflk9n8mt7Fhc7": journal.ID(bytes.Repeat([]byte{0xff}, 16)),
	} {
		if got := id.String(); got != text {
			t.Errorf("%x is %q, want %q", id, got, text)
		}
	}
}

func TestIDTextsSortAsIDs(t *testing.T) {
	for range 20000 {
		a, b := randomID(t), randomID(t)
		copy(b[:mathrand.IntN(17)], a[:]) // share a prefix of any length
		if got, want := strings.Compare(a.String(), b.String()), bytes.Compare(a[:], b[:]); got != want {
			t.Fatalf("%x and %x compare as %d, their texts as %d", a, b, want, got)
		}
	}
}

func TestIDsSortInTime(t *testing.T) {
	one, other := journal.NewIDs("mx1"), journal.NewIDs("mx2")
	at := noon
	last := ""
	for i := range 20000 {
		at = at.Add(1 + time.Duration(mathrand.Int64N(int64(time.Hour))))
		ids := one
		if i%2 == 1 {
			ids = other
		}
		text := ids.Next(at).String()
		if text <= last {
			t.Fatalf("%s was made after %s and sorts before it", text, last)
		}
		last = text
	}
}

func TestIDsOfOneMomentAreDistinctAndInOrder(t *testing.T) {
	ids := journal.NewIDs("mx1")
	last := ""
	for i := range 10000 {
		at := noon
		if i%3 == 0 {
			at = noon.Add(-time.Duration(i)) // a request that arrived earlier and decided later
		}
		text := ids.Next(at).String()
		if text <= last {
			t.Fatalf("%s after %s", text, last)
		}
		last = text
	}
}

func TestIDsAtOnce(t *testing.T) {
	ids := journal.NewIDs("mx1")
	var mu sync.Mutex
	seen := map[journal.ID]bool{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				id := ids.Next(noon)
				mu.Lock()
				if seen[id] {
					t.Errorf("%s twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// A clock that was set back shows in the ids: they must not claim the future.
func TestIDsAfterClockWasSetBack(t *testing.T) {
	ids := journal.NewIDs("mx1")
	ids.Next(noon)
	back := noon.Add(-time.Hour)
	if got := ids.Next(back).Time(); !got.Equal(back) {
		t.Errorf("an id of %s says %s", back, got)
	}
}

func TestIDNamesTimeAndHost(t *testing.T) {
	at := noon.Add(123456789)
	a, b := journal.NewIDs("mx1.example.cz").Next(at), journal.NewIDs("mx2.example.cz").Next(at)
	if !a.Time().Equal(at) {
		t.Errorf("time %s, want %s", a.Time(), at)
	}
	if a.Host() == b.Host() {
		t.Error("two hosts have one number")
	}
	if again := journal.NewIDs("mx1.example.cz").Next(at); again.Host() != a.Host() || again == a {
		t.Errorf("the same host after a restart: %x and %x", a, again)
	}
	if got := binary.BigEndian.Uint16(a[8:10]); got != a.Host() {
		t.Errorf("host bits %x", a)
	}
}

func TestAfter(t *testing.T) {
	ids := journal.NewIDs("mx1")
	before, at := ids.Next(noon.Add(-1)), ids.Next(noon)
	bound := journal.After(noon)
	if bytes.Compare(before[:], bound[:]) >= 0 || bytes.Compare(at[:], bound[:]) < 0 {
		t.Errorf("%x does not part %x from %x", bound, before, at)
	}
	for _, early := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 0)} {
		if got := journal.After(early); got != (journal.ID{}) {
			t.Errorf("After(%s) is %x", early, got)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	good := journal.NewIDs("mx1").Next(noon).String()
	for _, text := range []string{
		"", "0", good[:21], good + "0", good[:21] + "-", good[:21] + " ", " " + good[:21], good[:20] + "é",
		good[:10] + "\x00" + good[11:], "7n42DGM5Tflk9n8mt7Fhc8", "7n42DGM5Tflk9n8mt7Fhd0", "8000000000000000000000",
		"zzzzzzzzzzzzzzzzzzzzzz", strings.Repeat("0", math.MaxUint16), "０123456789012345678",
	} {
		if id, err := journal.ParseID(text); err == nil {
			t.Errorf("%.40q was read as %x", text, id)
		} else if err.Error() != "it is not an id: an id has 22 letters and digits" {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0kHG086hcEUJCINrgXbGZl")
	f.Add("7n42DGM5Tflk9n8mt7Fhc7")
	f.Add("7n42DGM5Tflk9n8mt7Fhc8")
	f.Add("zzzzzzzzzzzzzzzzzzzzzz")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := journal.ParseID(text)
		if err == nil && id.String() != text {
			t.Errorf("%q is read as %x, which is %q", text, id, id.String())
		}
		if err == nil && !shape.MatchString(text) {
			t.Errorf("%q was taken for an id", text)
		}
		if err != nil && shape.MatchString(text) && text <= "7n42DGM5Tflk9n8mt7Fhc7" {
			t.Errorf("%q was refused", text)
		}
	})
}

func BenchmarkIDNext(b *testing.B) {
	ids := journal.NewIDs("mx1")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ids.Next(noon)
		}
	})
}

func BenchmarkIDString(b *testing.B) {
	id := journal.NewIDs("mx1").Next(noon)
	for b.Loop() {
		if len(id.String()) != journal.IDLength {
			b.Fatal(id)
		}
	}
}

func BenchmarkParseID(b *testing.B) {
	text := journal.NewIDs("mx1").Next(noon).String()
	for b.Loop() {
		if _, err := journal.ParseID(text); err != nil {
			b.Fatal(err)
		}
	}
}
