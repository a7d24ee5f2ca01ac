package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/ledger"
)

// backend is what the daemon offers on its admin socket.
type backend struct{ *Daemon }

var _ admin.Backend = backend{}

// maxGuesses bounds the guessed logins that a status names.
const maxGuesses = 20

// Status implements admin.Backend.
func (b backend) Status(context.Context) (admin.Status, error) {
	c := b.config.Load()
	s := admin.Status{
		Version: b.Version, Host: b.host, Since: b.since.UTC(), Now: b.Now().UTC(),
		Mode: string(c.Mode), Observe: []string{}, Config: c.Path, Loaded: b.loaded.Load().UTC(),
		Listeners: map[string]string{}, Passed: []string{},
		Directory: b.directoryStatus(c),
		Store:     admin.StoreStatus{Kind: string(c.Store.Kind), Path: c.Store.Path, Up: true},
		Blocked:   b.ledger.Blocked(b.Now(), b.window()), Counts: b.metrics.Counts(), Talkers: b.talkers.top(b.Now()),
		Warnings: append([]string{}, b.warnings(c)...),
	}
	for _, rule := range c.Observe {
		s.Observe = append(s.Observe, string(rule))
	}
	for _, l := range b.sockets {
		s.Listeners[l.name] = l.address.String()
		if l.passed {
			s.Passed = append(s.Passed, l.name)
		}
	}
	guessed := b.ledger.Guessed(b.Now(), gate.Counting(b.gate.State().Policy).Login)
	s.Guessed, s.Guesses = len(guessed), []admin.Guess{}
	for _, g := range guessed[:min(len(guessed), maxGuesses)] {
		s.Guesses = append(s.Guesses, admin.Guess{Login: g.Login, ID: g.ID, Since: g.Since.UTC(), Until: g.Until.UTC(), Failures: g.Count})
	}
	if err := b.storeFault(); err != nil {
		s.Store.Up, s.Store.Error = false, err.Error()
	}
	set, err := b.db.SetAside()
	if err != nil {
		return s, err
	}
	s.Store.SetAside = set
	if b.shared != nil {
		s.Store.Waiting = b.shared.Waiting()
	}
	return s, nil
}

func shownBlock(b ledger.Block) admin.Block {
	shown := admin.Block{
		Prefix: gate.PrefixText(b.Prefix), ID: b.ID, Since: b.Since.UTC(), Until: b.Until.UTC(),
		Failures: b.Count, Logins: []admin.LoginCount{}, Attempts: gate.FailureFacts(b.Failures),
	}
	counts := map[string]int{}
	for _, f := range b.Failures {
		counts[f.Shown]++
	}
	for login, n := range counts {
		shown.Logins = append(shown.Logins, admin.LoginCount{Login: login, Count: n})
	}
	slices.SortFunc(shown.Logins, func(x, y admin.LoginCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), strings.Compare(x.Login, y.Login))
	})
	return shown
}

// Unblock implements admin.Backend.
func (b backend) Unblock(ctx context.Context, r admin.UnblockRequest) ([]admin.Unblocked, error) {
	var addresses []netip.Addr
	for _, text := range r.Addresses {
		a, err := b.parseBlocked(text)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, a)
	}
	results := []admin.Unblocked{}
	var failed error // what fails for one address must not leave the others blocked
	for i, a := range addresses {
		lifted, err := b.ledger.Unblock(ctx, a, b.Now(), b.window())
		if failed == nil {
			failed = err
		}
		u := admin.Unblocked{Address: r.Addresses[i], Lifted: []string{}}
		for _, block := range lifted {
			u.Lifted = append(u.Lifted, gate.PrefixText(block.Prefix))
			b.Log.Info("client unblocked", "client", a.String(), "prefix", block.Prefix.String(), "id", block.ID)
		}
		results = append(results, u)
	}
	if failed != nil {
		return nil, failed
	}
	return results, nil
}

// parseBlocked reads an address, or a prefix as `blocks` shows it. A wider one
// is refused: only one of the blocks in it would be found.
func (b backend) parseBlocked(text string) (netip.Addr, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return parseClient(text)
	}
	p = p.Masked()
	if counted := b.countedBy(p); p.Bits() < counted.Bits() {
		return netip.Addr{}, fmt.Errorf("%q is wider than one block (/%d): name each as `portreeve blocks` shows it%w", text, counted.Bits(), admin.ErrRequest)
	}
	return p.Addr().Unmap(), nil
}

// countedBy is the prefix that a network's failures are counted against: the
// policy's, or, where that was wider before, that of a block in force.
func (b backend) countedBy(p netip.Prefix) netip.Prefix {
	counted, _ := b.gate.State().Policy.Throttle.Prefix(p.Addr().Unmap())
	shown := func(one ledger.Block) bool { return one.Prefix == p }
	if p.Bits() < counted.Bits() && slices.ContainsFunc(b.ledger.Blocks(b.Now(), b.window()), shown) {
		return p
	}
	return counted
}

// parseClient reads one address.
func parseClient(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no IP address: give one such as 192.0.2.1 or 2001:db8::1%w", text, admin.ErrRequest)
	}
	return a.Unmap().WithZone(""), nil
}

// Reload implements admin.Backend.
func (b backend) Reload(context.Context) (admin.Reloaded, error) { return b.reload(), nil }
