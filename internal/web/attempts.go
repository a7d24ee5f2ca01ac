package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// triesWindow is how long a wrong token is held against its sender.
	triesWindow = 10 * time.Minute
	// triesEach is how many wrong tokens one address may send within it.
	triesEach = 10
	// triesAll is how many all addresses together may, before those that have
	// never logged in have to wait: a guesser with many addresses.
	triesAll = 200
	// maxTriers bounds the addresses that are remembered.
	maxTriers = 10000
)

// attempts slows down who guesses the token. Every attempt counts from its
// beginning, so that many at once gain nothing; the right token takes it back.
type attempts struct {
	mu    sync.Mutex
	each  *simplelru.LRU[netip.Prefix, *tries]
	known *simplelru.LRU[netip.Prefix, struct{}] // have logged in
	all   tries
}

type tries struct {
	since time.Time
	count int
}

func newAttempts() *attempts {
	each, err := simplelru.NewLRU[netip.Prefix, *tries](maxTriers, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	known, err := simplelru.NewLRU[netip.Prefix, struct{}](maxTriers, nil)
	if err != nil {
		panic(err)
	}
	return &attempts{each: each, known: known}
}

// begin counts an attempt. A wait above 0 means that it must not be made.
func (a *attempts) begin(from netip.Prefix, now time.Time) (wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one, ok := a.each.Get(from)
	if !ok {
		one = &tries{}
		a.each.Add(from, one)
	}
	wait = one.wait(now, triesEach)
	if !a.known.Contains(from) {
		wait = max(wait, a.all.wait(now, triesAll))
	}
	if wait == 0 {
		one.count++
		a.all.count++
	}
	return wait
}

// succeeded forgets what was held against the address.
func (a *attempts) succeeded(from netip.Prefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one, ok := a.each.Get(from); ok {
		a.all.count = max(a.all.count-one.count, 0)
		a.each.Remove(from)
	}
	a.known.Add(from, struct{}{})
}

// wait begins a new window when the last one is over; a clock that was set back
// must not make anybody wait longer than a window.
func (t *tries) wait(now time.Time, most int) time.Duration {
	if age := now.Sub(t.since); age < 0 || age >= triesWindow {
		*t = tries{since: now}
	}
	if t.count < most {
		return 0
	}
	return t.since.Add(triesWindow).Sub(now)
}

// origin is who asks: an IPv4 address, or an IPv6 /64. Behind a proxy on this
// host it is the address that the proxy has appended; what stands before that
// is the client's own invention.
func origin(r *http.Request) netip.Prefix {
	peer := peerAddr(r)
	if forwarded := r.Header.Values("X-Forwarded-For"); local(peer) && len(forwarded) > 0 {
		list := strings.Split(forwarded[len(forwarded)-1], ",")
		if a, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
			peer = a.Unmap()
		}
	}
	bits := peer.BitLen()
	if peer.Is6() {
		bits = 64
	}
	p, err := peer.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // a unix socket without a proxy that says for whom
	}
	return p
}

// peerAddr is invalid for a unix socket.
func peerAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

// local tells whether the peer is on this host, and may be a proxy of its own.
func local(peer netip.Addr) bool { return !peer.IsValid() || peer.IsLoopback() }
