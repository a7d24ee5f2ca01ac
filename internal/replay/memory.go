package replay

import (
	"context"
	"net/netip"
	"time"

	"portreeve/directory"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// remembered is what the ledger answered about one request: enough to decide it
// once more later, under another configuration.
type remembered struct {
	tally  rules.Tally
	grants []rules.Grant
	room   rules.Room
}

// watched is the ledger of a replay. It keeps its latest answers.
type watched struct {
	*ledger.Volatile
	said remembered
}

// Tally implements ledger.Ledger.
func (w *watched) Tally(prefix netip.Prefix, now time.Time, length ledger.Window) rules.Tally {
	w.said.tally = w.Volatile.Tally(prefix, now, length)
	return w.said.tally
}

// Grants implements ledger.Ledger.
func (w *watched) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	w.said.grants = w.Volatile.Grants(client, now, validity)
	return w.said.grants
}

// Reserve implements ledger.Ledger.
func (w *watched) Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	w.said.room = w.Volatile.Reserve(login, transaction, l, now, always)
	return w.said.room
}

// frozen is a ledger that answers what was remembered.
type frozen struct {
	*ledger.Volatile
	said remembered
}

// Tally implements ledger.Ledger.
func (f *frozen) Tally(netip.Prefix, time.Time, ledger.Window) rules.Tally { return f.said.tally }

// Grants implements ledger.Ledger.
func (f *frozen) Grants(netip.Addr, time.Time, time.Duration) []rules.Grant { return f.said.grants }

// Reserve implements ledger.Ledger.
func (f *frozen) Reserve(string, string, rules.Limits, time.Time, bool) rules.Room {
	return f.said.room
}

// Look implements ledger.Ledger.
func (f *frozen) Look(string, rules.Limits, time.Time) rules.Room { return f.said.room }

// honest is a directory that remembers its first error. The daemon defers mail
// while its directory cannot answer; a report full of that would tell nothing.
type honest struct {
	directory.Directory
	err error
}

func (h *honest) note(err error) {
	if h.err == nil {
		h.err = err
	}
}

// Account implements directory.Directory.
func (h *honest) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	a, found, err := h.Directory.Account(ctx, login)
	h.note(err)
	return a, found, err
}

// Domains implements directory.Directory.
func (h *honest) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	group, found, err := h.Directory.Domains(ctx, domain)
	h.note(err)
	return group, found, err
}

// Addresses implements directory.Directory.
func (h *honest) Addresses(ctx context.Context, login string) ([]string, error) {
	list, err := h.Directory.Addresses(ctx, login)
	h.note(err)
	return list, err
}

// Senders implements directory.Directory.
func (h *honest) Senders(ctx context.Context, login string) ([]string, error) {
	list, err := h.Directory.Senders(ctx, login)
	h.note(err)
	return list, err
}

// Local implements directory.Directory.
func (h *honest) Local(ctx context.Context, domain string) (bool, error) {
	ours, err := h.Directory.Local(ctx, domain)
	h.note(err)
	return ours, err
}

// noJournal counts the blocks that would have begun, and keeps nothing.
type noJournal struct {
	counts func(time.Time) bool
	blocks int
}

// Write implements gate.Recorder. An entry of no refusal is the begin of a block.
func (n *noJournal) Write(_ context.Context, e journal.Entry) error {
	if e.Rule == string(rules.RuleThrottled) && e.Count == 0 && n.counts(e.Time) {
		n.blocks++
	}
	return nil
}

// Again implements gate.Recorder.
func (*noJournal) Again(string, journal.Repeats) {}

// noMeter measures nothing.
type noMeter struct{}

// Decided implements gate.Meter.
func (noMeter) Decided(int, time.Time, rules.Rule, string, rules.Protocol) {}

// Took implements gate.Meter.
func (noMeter) Took(int, rules.Protocol, time.Duration) {}

// Looked implements gate.Meter.
func (noMeter) Looked(int, string, time.Duration) {}

// Unrecorded implements gate.Meter.
func (noMeter) Unrecorded() {}
