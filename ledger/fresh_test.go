package ledger

import (
	"net/netip"
	"testing"
	"time"

	"portreeve/rules"
)

// What the store has said before the clock was set back is not the latest until the clock
// has caught up.
func TestFresh(t *testing.T) {
	before := fresh
	fresh = time.Minute
	defer func() { fresh = before }()
	m, err := newMemory(10)
	if err != nil {
		t.Fatal(err)
	}
	s := &Shared{Embedded: &Embedded{memory: m}}
	p := netip.MustParsePrefix("192.0.2.7/32")
	now, w := time.Now(), Window{Limit: 10, Length: time.Hour}
	for ago, want := range map[time.Duration]bool{time.Second: true, 2 * time.Minute: false, -time.Hour: false} {
		c := &counter{failures: []rules.Failure{{Time: now, Client: p.Addr(), Counted: true}}, asked: now.Add(-ago).UnixNano()}
		m.clients.keep(keyOf(p), c, now, w)
		if got := s.isFresh(p.String()); got != want {
			t.Errorf("asked %v ago: %t, want %t", ago, got, want)
		}
	}
}
