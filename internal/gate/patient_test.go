package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"portreeve/directory"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// The parts of a gate, which tell an asker when they are asked what may wait.

type patientLog struct {
	slog.Handler
	a *asker
}

func (l patientLog) Handle(ctx context.Context, r slog.Record) error {
	if l.a.LogWaits == nil || l.a.logWaits {
		l.a.mayWait("the log was written: " + r.Message)
	}
	return l.Handler.Handle(ctx, r)
}

type patientJournal struct {
	*journal.Journal
	a *asker
}

func (j patientJournal) Write(ctx context.Context, e journal.Entry) error {
	j.a.mayWait("the journal was written")
	return j.Journal.Write(ctx, e)
}

type patientMeter struct {
	*meter
	a *asker
}

func (m patientMeter) Took(int, rules.Protocol, time.Duration)      { m.a.took++ }
func (m patientMeter) Looked(_ int, result string, _ time.Duration) { m.a.lookedUp[result]++ }

// patientLedger has the answers that may wait: all that change something, and those of a
// shared ledger that others have.
type patientLedger struct {
	ledger.Ledger
	a      *asker
	remote bool
}

func (l patientLedger) asksOthers(what string) {
	if l.remote {
		l.a.mayWait(what)
	}
}

func (l patientLedger) AddFailure(ctx context.Context, p netip.Prefix, f rules.Failure, c ledger.Counting) (ledger.Tallies, error) {
	l.a.mayWait("AddFailure")
	return l.Ledger.AddFailure(ctx, p, f, c)
}

func (l patientLedger) BeginBlock(ctx context.Context, p netip.Prefix, id string, now time.Time, w ledger.Window) (string, error) {
	l.a.mayWait("BeginBlock")
	return l.Ledger.BeginBlock(ctx, p, id, now, w)
}

func (l patientLedger) BeginGuessed(ctx context.Context, login, id string, now time.Time, w ledger.Window) (string, error) {
	l.a.mayWait("BeginGuessed")
	return l.Ledger.BeginGuessed(ctx, login, id, now, w)
}

func (l patientLedger) Reserve(login, transaction string, m rules.Limits, now time.Time, always bool) rules.Room {
	l.a.mayWait("Reserve")
	return l.Ledger.Reserve(login, transaction, m, now, always)
}

func (l patientLedger) Charge(ctx context.Context, c ledger.Charge, m rules.Limits, now time.Time) (rules.Room, error) {
	l.a.mayWait("Charge")
	return l.Ledger.Charge(ctx, c, m, now)
}

func (l patientLedger) Failures(p netip.Prefix, client netip.Addr, since time.Time) []rules.Failure {
	l.asksOthers("Failures")
	return l.Ledger.Failures(p, client, since)
}

func (l patientLedger) LoginFailures(login string, since time.Time) []rules.Failure {
	l.asksOthers("LoginFailures")
	return l.Ledger.LoginFailures(login, since)
}

func (l patientLedger) HasLoggedIn(login string, p netip.Prefix, now time.Time) bool {
	l.asksOthers("HasLoggedIn")
	return l.Ledger.HasLoggedIn(login, p, now)
}

func (l patientLedger) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	l.asksOthers("Grants")
	return l.Ledger.Grants(client, now, validity)
}

func (l patientLedger) Look(login string, m rules.Limits, now time.Time) rules.Room {
	l.asksOthers("Look")
	return l.Ledger.Look(login, m, now)
}

type remoteLedger struct{ patientLedger }

func (remoteLedger) Remote() {}

// patientDirectory is one that does not say that it is in memory.
type patientDirectory struct {
	directory.Directory
	a      *asker
	broken bool
}

func (d patientDirectory) fails(what string) error {
	d.a.mayWait("the directory was asked for " + what)
	if d.broken {
		return fmt.Errorf("no %s today", what)
	}
	return nil
}

func (d patientDirectory) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if err := d.fails("an account"); err != nil {
		return nil, false, err
	}
	return d.Directory.Account(ctx, login)
}

func (d patientDirectory) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if err := d.fails("domains"); err != nil {
		return nil, false, err
	}
	return d.Directory.Domains(ctx, domain)
}

func (d patientDirectory) Addresses(ctx context.Context, login string) ([]string, error) {
	if err := d.fails("addresses"); err != nil {
		return nil, err
	}
	return d.Directory.Addresses(ctx, login)
}

func (d patientDirectory) Senders(ctx context.Context, login string) ([]string, error) {
	if err := d.fails("senders"); err != nil {
		return nil, err
	}
	return d.Directory.Senders(ctx, login)
}

func (d patientDirectory) Local(ctx context.Context, domain string) (bool, error) {
	if err := d.fails("a domain of ours"); err != nil {
		return false, err
	}
	return d.Directory.Local(ctx, domain)
}
