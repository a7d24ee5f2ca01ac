package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/internal/store"
	"portreeve/journal"
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
		Listeners: map[string]string{},
		Store:     admin.StoreStatus{Kind: string(c.Store.Kind), Path: c.Store.Path, Up: true},
		Blocked:   b.ledger.Blocked(b.Now(), b.window()), Counts: b.metrics.Counts(),
		Warnings: append([]string{}, warnings(c)...),
	}
	for _, rule := range c.Observe {
		s.Observe = append(s.Observe, string(rule))
	}
	for _, l := range b.sockets {
		s.Listeners[l.name] = l.address.String()
	}
	guessed := b.ledger.Guessed(b.Now(), gate.Counting(b.gate.State().Policy).Login)
	s.Guessed, s.Guesses = len(guessed), []admin.Guess{}
	for _, g := range guessed[:min(len(guessed), maxGuesses)] {
		s.Guesses = append(s.Guesses, admin.Guess{Login: g.Login, ID: g.ID, Since: g.Since.UTC(), Until: g.Until.UTC(), Failures: g.Count})
	}
	if err := b.ledger.Healthy(); err != nil {
		s.Store.Up, s.Store.Error = false, err.Error()
	}
	return s, nil
}

// maxSenders bounds the senders of one text: each is a look through the journal.
const maxSenders = 5

// maxCandidates bounds what a sender without an id may mean.
const maxCandidates = 10

// Explain implements admin.Backend.
func (b backend) Explain(ctx context.Context, r admin.ExplainRequest) (admin.ExplainAnswer, error) {
	b.gate.Flush() // the counts of the last second
	if err := b.db.Write(ctx, func(store.Tx) error { return nil }); err != nil {
		b.Log.Warn("counts may lag behind", "error", err)
	}
	a := admin.ExplainAnswer{Found: []explain.Explanation{}, Unknown: []string{}}
	add := func(e journal.Entry) error {
		if slices.ContainsFunc(a.Found, func(x explain.Explanation) bool { return x.ID == e.ID }) {
			return nil // named twice, or by its id and by its sender
		}
		x, err := explain.Of(e, b.Now())
		if err == nil {
			a.Found = append(a.Found, x)
		}
		return err
	}
	for _, id := range r.IDs {
		if _, err := journal.ParseID(id); err != nil {
			a.Unknown = append(a.Unknown, id)
			continue
		}
		e, err := b.journal.Get(ctx, id)
		if errors.Is(err, journal.ErrUnknown) {
			a.Unknown = append(a.Unknown, id)
			continue
		}
		if err == nil {
			err = add(e)
		}
		if err != nil {
			return a, err
		}
	}
	for i, sender := range r.Senders {
		if i >= maxSenders {
			a.Unknown = append(a.Unknown, "<"+sender+"> (one text with too many: ask again for this one)")
			continue
		}
		entries, err := b.journal.FindShownSender(ctx, sender, r.Since, maxCandidates)
		if err != nil {
			return a, err
		}
		if len(entries) == 0 {
			a.Unknown = append(a.Unknown, "<"+sender+">")
		}
		for _, e := range entries {
			if err := add(e); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// Blocks implements admin.Backend.
func (b backend) Blocks(context.Context) ([]admin.Block, error) {
	list := []admin.Block{}
	for _, block := range b.ledger.Blocks(b.Now(), b.window()) {
		list = append(list, shownBlock(block))
	}
	return list, nil
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
	for i, a := range addresses {
		lifted, err := b.ledger.Unblock(ctx, a, b.Now(), b.window())
		if err != nil {
			return nil, err
		}
		u := admin.Unblocked{Address: r.Addresses[i], Lifted: []string{}}
		for _, block := range lifted {
			u.Lifted = append(u.Lifted, gate.PrefixText(block.Prefix))
			b.Log.Info("client unblocked", "client", a.String(), "prefix", block.Prefix.String(), "id", block.ID)
		}
		results = append(results, u)
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
	counted, _ := b.gate.State().Policy.Throttle.Prefix(p.Addr().Unmap())
	shown := func(one ledger.Block) bool { return one.Prefix == p }
	if p.Bits() < counted.Bits() && !slices.ContainsFunc(b.ledger.Blocks(b.Now(), b.window()), shown) {
		return netip.Addr{}, fmt.Errorf("%q is wider than one block (/%d): name each as `portreeve blocks` shows it%w", text, counted.Bits(), admin.ErrRequest)
	}
	return p.Addr().Unmap(), nil
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
