package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
)

// The store is filled through internal/store, in its own schema, by statements
// like the ledger's: one call for each of eleven million failures would take
// longer than everything that is measured.
const (
	putFailures = `insert into failures(id, prefix, client, time, login, service, password, counted) values`
	oneFailure  = `(?, ?, ?, ?, ?, 'submission', ?, 1)`
	putBlock    = `insert into blocks(prefix, id, since) values(?, ?, ?)`
)

// fillBatch is how many clients are written in one call.
const fillBatch = 100

// fillFailures remembers failed logins of many clients, each from the last
// quarter of an hour, and a block where they are more than ten.
func fillFailures(clients, each, accounts int) func(context.Context, string) error {
	return func(ctx context.Context, path string) error {
		return filled(path, func(db *store.DB, ids *journal.IDs) error {
			f := failures{
				each: each, accounts: accounts, ids: ids,
				statement: putFailures + strings.TrimSuffix(strings.Repeat(oneFailure+",", each), ","),
				at:        time.Now().Add(-15 * time.Minute), apart: 15 * time.Minute / time.Duration(clients*each+1),
			}
			for from := 0; from < clients; from += fillBatch {
				err := db.Write(ctx, func(tx store.Tx) error {
					for i := from; i < min(from+fillBatch, clients); i++ {
						if err := f.put(tx, i); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// failures are those of one client after the other.
type failures struct {
	each, accounts int
	ids            *journal.IDs
	statement      string // for all of one client
	at             time.Time
	apart          time.Duration
}

// put writes those of the i-th client.
func (f *failures) put(tx store.Tx, i int) error {
	client := address(remembered, i)
	args := make([]any, 0, 6*f.each)
	for n := range f.each {
		f.at = f.at.Add(f.apart)
		id := f.ids.Next(f.at)
		args = append(args, id[:], client+"/32", client, f.at.UnixNano(), account((i+n)%f.accounts, f.accounts), fmt.Sprintf("%04x", n))
	}
	if _, err := tx.Exec(f.statement, args...); err != nil || f.each < toBlock {
		return err
	}
	_, err := tx.Exec(putBlock, client+"/32", f.ids.Next(f.at).String(), f.at.UnixNano())
	return err
}

// fillJournal writes refusals, as the gate would, over a million addresses.
func fillJournal(rows, accounts int) func(context.Context, string) error {
	const writers = 512
	return func(ctx context.Context, path string) error {
		return filled(path, func(db *store.DB, ids *journal.IDs) error {
			to := journal.New(db)
			var writing sync.WaitGroup
			errs := make([]error, writers)
			for w := range writers {
				writing.Go(func() {
					for i := w; i < rows && errs[w] == nil; i += writers {
						errs[w] = to.Write(ctx, refusal(i, accounts, ids))
					}
				})
			}
			writing.Wait()
			return errors.Join(errs...)
		})
	}
}

// refusal is the journal's entry of a sender that is not the account's.
func refusal(i, accounts int, ids *journal.IDs) journal.Entry {
	now := time.Now()
	login, sender := account(i%accounts, accounts), fmt.Sprintf("x%07d@f%06d.example", i, i%1_000_000)
	return journal.Entry{
		ID: ids.Next(now).String(), Time: now, Last: now, Count: 1, Host: "bench",
		Rule: "sender", Reason: "sender-domain-not-of-account", Protocol: "policy", Stage: "envelope",
		Reply: "550 5.1.0 <" + sender + "> sender rejected", Client: address(journaled, i%1_000_000), Port: 587, TLS: true,
		Helo: "laptop-of-the-sales-office.lan", Login: login, Sender: sender,
		Recipients: []string{"somebody.with.a.name@customer-of-another-host.example"},
		Facts: fmt.Appendf(nil, `{"prefix":"%s/32","limit":10,"accounts":[{"login":%q,"found":true,"smtp":true}],"domains":{%q:[%q]}}`,
			netip.AddrFrom4([4]byte{byte(journaled), 1, 1, 1}), login, login[9:], login[9:]),
	}
}

// filled opens a store, lets it be filled, and closes it again.
func filled(path string, fill func(*store.DB, *journal.IDs) error) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for the host's name: %w", err)
	}
	db, err := store.Open(path, store.Schema, time.Now())
	if err != nil {
		return err
	}
	return errors.Join(fill(db, journal.NewIDs(host)), db.Close())
}
