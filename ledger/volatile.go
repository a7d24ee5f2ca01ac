package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"portreeve/rules"
)

// Volatile is a ledger without a file: what it remembers ends with it. Old logs
// are judged with it (portreeve replay), where nothing may be written.
type Volatile struct {
	*memory
	quotas *quotas
}

var _ Ledger = (*Volatile)(nil)

// NewVolatile makes an empty one. maxClients bounds each table.
func NewVolatile(maxClients int) (*Volatile, error) {
	m, err := newMemory(maxClients)
	if err != nil {
		return nil, fmt.Errorf("making the ledger's tables: %w: raise their size", err)
	}
	q, err := newQuotas(maxClients)
	if err != nil {
		return nil, fmt.Errorf("making the quota tables: %w: raise their size", err)
	}
	return &Volatile{memory: m, quotas: q}, nil
}

// AddFailure implements Ledger.
func (v *Volatile) AddFailure(_ context.Context, prefix netip.Prefix, f rules.Failure, c Counting) (Tallies, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.addFailure(prefix, f, c).Tallies, nil
}

// Tally implements Ledger.
func (v *Volatile) Tally(prefix netip.Prefix, now time.Time, w Window) rules.Tally {
	return v.tally(prefix, now, w)
}

// Failures implements Ledger.
func (v *Volatile) Failures(prefix netip.Prefix, client netip.Addr, since time.Time) []rules.Failure {
	return v.failures(prefix, client, since)
}

// BeginBlock implements Ledger.
func (v *Volatile) BeginBlock(_ context.Context, prefix netip.Prefix, id string, now time.Time, w Window) (string, error) {
	return v.beginBlock(prefix, id, now, w), nil
}

// Blocks implements Ledger.
func (v *Volatile) Blocks(now time.Time, w Window) []Block { return v.blocks(now, w) }

// Blocked implements Ledger.
func (v *Volatile) Blocked(now time.Time, w Window) int { return v.countBlocked(now, w) }

// Unblock implements Ledger.
func (v *Volatile) Unblock(_ context.Context, client netip.Addr, now time.Time, w Window) ([]Block, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, lifted := v.unblock(client, now, w)
	return lifted, nil
}

// BeginGuessed implements Ledger.
func (v *Volatile) BeginGuessed(_ context.Context, login, id string, now time.Time, w Window) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.logins.begin([]byte(login), id, now, w), nil
}

// AddLogin implements Ledger.
func (v *Volatile) AddLogin(_ context.Context, login string, client netip.Prefix, now time.Time) error {
	v.addLogin(visit{login, client}, now)
	return nil
}

// AddGrant implements Ledger.
func (v *Volatile) AddGrant(_ context.Context, client netip.Addr, g rules.Grant) error {
	v.addGrant(client, g)
	return nil
}

// Grants implements Ledger.
func (v *Volatile) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	return v.validGrants(client, now, validity)
}

// Look implements Ledger.
func (v *Volatile) Look(login string, l rules.Limits, now time.Time) rules.Room {
	return v.quotas.look(login, l, now)
}

// Reserve implements Ledger.
func (v *Volatile) Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	return v.quotas.reserve(login, transaction, l, now, always)
}

// Finish implements Ledger.
func (v *Volatile) Finish(_ context.Context, transaction string, accepted bool, now time.Time) error {
	v.quotas.finish(transaction, accepted, now)
	return nil
}

// Charge implements Ledger.
func (v *Volatile) Charge(_ context.Context, c Charge, l rules.Limits, now time.Time) (rules.Room, error) {
	room, _ := v.quotas.charge(c, l, now)
	return room, nil
}

// Usage implements Ledger.
func (v *Volatile) Usage(login string, now time.Time) Usage { return v.quotas.usage(login, now) }

// Reset implements Ledger.
func (v *Volatile) Reset(_ context.Context, login string) error {
	v.quotas.reset(login)
	return nil
}

// Prune implements Ledger.
func (v *Volatile) Prune(_ context.Context, now time.Time, c Counting, validity time.Duration) error {
	v.prune(now, c, validity)
	v.quotas.prune(now)
	return nil
}

// Healthy implements Ledger.
func (v *Volatile) Healthy() error { return nil }
