package journal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"time"
)

// IDLength is the length of an id in text.
const IDLength = 22

// alphabet is in ASCII order, so that sorting ids as text sorts them in time.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ID names one journal entry: 64 bits of time (Unix nanoseconds), 16 bits that
// name the host, 48 random bits (SPEC.md section 2).
type ID [16]byte

// String is the id in base 62, always IDLength characters.
func (id ID) String() string {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var out [IDLength]byte
	for i := IDLength - 1; i >= 0; i-- {
		var r1, r2 uint64
		hi, r1 = hi/62, hi%62
		lo, r2 = bits.Div64(r1, lo, 62)
		out[i] = alphabet[r2]
	}
	return string(out[:])
}

// Time is when the id was made.
func (id ID) Time() time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(id[:8])))
}

// Host is the number of the host that made the id.
func (id ID) Host() uint16 { return binary.BigEndian.Uint16(id[8:10]) }

// errNoID is the only way in which ParseID fails.
var errNoID = errors.New("it is not an id: an id has 22 letters and digits")

// ParseID reads an id from its text.
func ParseID(s string) (ID, error) {
	if len(s) != IDLength {
		return ID{}, errNoID
	}
	var hi, lo uint64
	for i := 0; i < len(s); i++ {
		digit, ok := digitOf(s[i])
		if !ok {
			return ID{}, errNoID
		}
		over, low := bits.Mul64(lo, 62)
		var carry uint64
		lo, carry = bits.Add64(low, digit, 0)
		over2, mid := bits.Mul64(hi, 62)
		var c1, c2 uint64
		hi, c1 = bits.Add64(mid, over, 0)
		hi, c2 = bits.Add64(hi, carry, 0)
		if over2+c1+c2 != 0 {
			return ID{}, errNoID // above 128 bits
		}
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

func digitOf(c byte) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'A' <= c && c <= 'Z':
		return uint64(c-'A') + 10, true
	case 'a' <= c && c <= 'z':
		return uint64(c-'a') + 36, true
	}
	return 0, false
}

// After is the smallest id of that time: entries made before it are smaller.
func After(t time.Time) ID {
	var id ID
	if n := t.UnixNano(); n > 0 {
		binary.BigEndian.PutUint64(id[:8], uint64(n))
	}
	return id
}

// IDs makes ids: two of one host sort as they were made, even within the same
// nanosecond. Only a clock set back by more than a second shows in them.
type IDs struct {
	host uint16
	mu   sync.Mutex
	last int64
}

// NewIDs makes ids for the host of that name.
func NewIDs(hostname string) *IDs {
	return &IDs{host: HostNumber(hostname)}
}

// HostNumber is what names the host of that name in its ids.
func HostNumber(hostname string) uint16 {
	sum := sha256.Sum256([]byte(hostname))
	return binary.BigEndian.Uint16(sum[:2])
}

// Next is a new id for something that happened at t.
func (s *IDs) Next(t time.Time) ID {
	s.mu.Lock()
	n := t.UnixNano()
	if n <= s.last && s.last-n < int64(time.Second) {
		n = s.last + 1
	}
	s.last = n
	s.mu.Unlock()

	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(n))
	binary.BigEndian.PutUint16(id[8:10], s.host)
	rand.Read(id[10:]) // never fails (crypto/rand)
	return id
}
