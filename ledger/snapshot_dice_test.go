package ledger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// dice are a daemon's life: failures, some told late or twice, blocks, clearings, and
// checkpoints, within which all of that goes on.
type dice struct {
	*host
	r     *rand.Rand
	by    ledger.Counting
	after time.Duration // since noon
	begun int
	told  []rules.Failure
}

const diceClients, diceLogins = 6, 3

func (d *dice) now() time.Time { return ledgertest.Noon.Add(d.after) }

func diceLogin(n int) string { return fmt.Sprintf("jmeno%d@domena.cz", n) }

func (d *dice) do() {
	d.t.Helper()
	ctx := context.Background()
	d.after += time.Duration(d.r.Int64N(int64(2 * time.Minute)))
	client := numbered(d.r.IntN(diceClients))
	var err error
	switch n := d.r.IntN(100); {
	case n < 70:
		login := diceLogin(d.r.IntN(diceLogins))
		f := rules.Failure{
			Time: d.now().Add(-time.Duration(d.r.Int64N(3)) * time.Second), Client: client.Addr(), Login: login, Shown: login,
			Protocol: "smtp", Password: []string{"02a1", "ff", ""}[d.r.IntN(3)], Counted: d.r.IntN(5) > 0,
		}
		if d.r.IntN(6) == 0 { // it may be a password, which the file does not have
			f.Login, f.Shown = "jmeno@domena.cz", rules.ShownLogin("jmeno")
		}
		if d.r.IntN(3) == 0 {
			f.ID = d.r.Uint64N(1<<48-1) + 1
			d.told = append(d.told, f)
		}
		_, err = d.AddFailure(ctx, client, f, d.by)
	case n < 75 && len(d.told) > 0:
		f := d.told[d.r.IntN(len(d.told))]
		if d.now().Sub(f.Time) < 10*time.Minute { // of those that were trimmed nobody knows
			_, err = d.AddFailure(ctx, numbered(int(f.Client.As4()[3])), f, d.by)
		}
	case n < 90:
		if t := d.Tally(client, d.now(), d.by.Client); t.Count > d.by.Client.Limit && t.Block == "" {
			d.begun++
			_, err = d.BeginBlock(ctx, client, fmt.Sprintf("block %d", d.begun), d.now(), d.by.Client)
		}
		login := diceLogin(d.r.IntN(diceLogins))
		if t := d.LoginTally(login, d.now(), d.by.Login); err == nil && t.Count > d.by.Login.Limit && t.Block == "" {
			d.begun++
			_, err = d.BeginGuessed(ctx, login, fmt.Sprintf("guess %d", d.begun), d.now(), d.by.Login)
		}
	case n < 94:
		_, err = d.Unblock(ctx, client.Addr(), d.now(), d.by.Client)
	default:
		err = d.Prune(ctx, d.now(), d.by, time.Hour)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// killed is what a start finds that comes after kill -9 now, and one that counts all again.
func (d *dice) killed() (found, again string) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "portreeve.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(d.path + suffix)
		if err == nil {
			err = os.WriteFile(path+suffix, b, 0o600)
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
	db, err := store.Open(path, store.Schema, d.now())
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // a copy
	// The clock may have been set before the next start.
	now := d.now().Add([]time.Duration{0, 0, 20 * time.Minute, 70 * time.Minute}[d.r.IntN(4)])
	found = d.start(db, now)
	if err := db.Write(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec("delete from packed_until")
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
	return found, d.start(db, now)
}

func (d *dice) start(db *store.DB, now time.Time) string {
	d.t.Helper()
	e, err := ledger.OpenEmbedded(context.Background(), db, journal.NewIDs("mx1"), d.most, now, d.by, ledgertest.Validity)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.seen(e, now)
}

// seen is what decisions depend on, now and later.
func (d *dice) seen(e *ledger.Embedded, began time.Time) string {
	text := ""
	for _, later := range []time.Duration{0, 20 * time.Minute, 45 * time.Minute} {
		now := began.Add(later)
		for n := range diceClients {
			t := e.Tally(numbered(n), now, d.by.Client)
			text += fmt.Sprintf("client %d: %d %q; ", n, t.Count, t.Block)
		}
		for n := range diceLogins {
			t := e.LoginTally(diceLogin(n), now, d.by.Login)
			text += fmt.Sprintf("login %d: %d %q; ", n, t.Count, t.Block)
		}
		text += "\n"
	}
	return text
}

// Whenever the daemon is killed, within a checkpoint or not, the next one finds what
// one that counts all failures again finds.
func TestKilledAtAnyMoment(t *testing.T) {
	for seed := range uint64(12) {
		d := &dice{host: newHost(t, 1000), r: rand.New(rand.NewPCG(seed, 1)), by: ledgertest.Counting}
		d.by.Client.Once = seed%3 == 2
		for step := range 60 {
			for range d.r.IntN(12) {
				d.do()
			}
			compare := func(where string) {
				if found, again := d.killed(); found != again {
					t.Fatalf("seed %d, step %d, %s:\n%s\nwant\n%s", seed, step, where, found, again)
				}
			}
			switch d.r.IntN(8) {
			case 0:
				err := d.CheckpointAnd(context.Background(), d.by, func() {
					for range d.r.IntN(4) {
						d.do()
					}
					if d.r.IntN(6) == 0 {
						compare("within a checkpoint")
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				compare("after a checkpoint")
			case 1:
				if err := d.Snapshot(context.Background(), d.by); err != nil {
					t.Fatal(err)
				}
				d.reopen(d.after) // counts by ledgertest.Counting
			case 2:
				compare("between")
			}
		}
	}
}
