package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/rules"
)

// Embedded is the ledger of one host: memory, backed by the SQLite file.
type Embedded struct {
	*memory
	quotas *quotas
	db     *store.DB
	ids    *journal.IDs
	most   int         // entries of each table
	aged   atomic.Bool // the file may have logins that are too old
	last   time.Time   // of the latest id that was given to a failure or a clearing

	loose     int         // failures that came after the latest snapshot; memory's lock
	leftovers atomic.Bool // the file may have counters of other snapshots
	packing   sync.Mutex  // held while counters are written or left over ones deleted
}

var _ Ledger = (*Embedded)(nil)

// OpenEmbedded reads back what the file remembers. maxClients bounds each table.
func OpenEmbedded(ctx context.Context, db *store.DB, ids *journal.IDs, maxClients int, now time.Time, c Counting, validity time.Duration) (*Embedded, error) {
	m, err := newMemory(maxClients)
	if err != nil {
		return nil, fmt.Errorf("making the ledger's tables: %w: raise store.max_clients", err)
	}
	q, err := newQuotas(maxClients)
	if err != nil {
		return nil, fmt.Errorf("making the quota tables: %w: raise store.max_clients", err)
	}
	e := &Embedded{memory: m, quotas: q, db: db, ids: ids, most: maxClients}
	e.aged.Store(true)
	e.leftovers.Store(true)
	if err := e.load(ctx, now, c, validity); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return e, nil
}

const insertFailure = `insert into failures(id, prefix, client, time, login, service, password, counted)
	values(?, ?, ?, ?, ?, ?, ?, ?) on conflict(id) do nothing`

// deleteEndedBlock keeps a block that is over from lending its id to the next
// one, should the daemon be killed before that has its own. A block that began
// after the failure is that next one already.
const deleteEndedBlock = "delete from blocks where prefix = ? and since < ?"

// next is an id above all that the ledger has given, even if the clock was set
// back or a witness told late. The lock is held.
func (e *Embedded) next(t time.Time) journal.ID {
	if !t.After(e.last) {
		t = e.last.Add(1)
	}
	id := e.ids.Next(t)
	e.last = id.Time()
	return id
}

// eventBytes is the random part of an id. That of a failure whose witness numbers
// its events is the number instead, so that it is known after a restart, too.
const eventBytes = 6

func putEvent(id *journal.ID, event uint64) {
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], event)
	copy(id[len(id)-eventBytes:], number[len(number)-eventBytes:])
}

func eventOf(id journal.ID) uint64 {
	var number [8]byte
	copy(number[len(number)-eventBytes:], id[len(id)-eventBytes:])
	return binary.BigEndian.Uint64(number[:])
}

// endedGuess is the same for a login.
const deleteEndedGuess = "delete from guessed where login = ? and since < ?"

// noted is a failure that memory has, to be written.
type noted struct {
	added
	id     journal.ID
	prefix netip.Prefix
	f      rules.Failure // with an ID
}

// note counts a failure in memory. It has an ID from then on, by which hosts that
// share a store know it.
func (e *Embedded) note(prefix netip.Prefix, f rules.Failure, c Counting) noted {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := noted{prefix: prefix}
	if f.ID == 0 {
		n.id = e.next(f.Time)
		f.ID = eventOf(n.id)
	}
	n.f, n.added = f, e.addFailure(prefix, f, c)
	if n.id == (journal.ID{}) && !n.known {
		n.id = e.next(f.Time) // under the lock: Unblock overrules by the order of ids
		putEvent(&n.id, f.ID)
	}
	if !n.known {
		e.loose++
	}
	return n
}

// AddFailure implements Ledger.
func (e *Embedded) AddFailure(ctx context.Context, prefix netip.Prefix, f rules.Failure, c Counting) (Tallies, error) {
	n := e.note(prefix, f, c)
	if n.known {
		return n.Tallies, nil
	}
	err := e.db.Write(ctx, n.write)
	if err != nil {
		err = fmt.Errorf("remembering a failed login: %w", err)
	}
	return n.Tallies, err
}

func (n noted) write(tx store.Tx) error {
	f := n.f
	if n.staleClient {
		if _, err := tx.Exec(deleteEndedBlock, prefixText(n.prefix), f.Time.UnixNano()); err != nil {
			return err
		}
	}
	if n.staleLogin {
		if _, err := tx.Exec(deleteEndedGuess, f.Login, f.Time.UnixNano()); err != nil {
			return err
		}
	}
	return putFailure(tx, n.id, n.prefix, f)
}

func putFailure(tx store.Tx, id journal.ID, prefix netip.Prefix, f rules.Failure) error {
	_, err := tx.Exec(insertFailure, id[:], prefixText(prefix), addrText(f.Client), f.Time.UnixNano(),
		f.Shown, f.Protocol, f.Password, f.Counted)
	return err
}

// prefixText and addrText are what the file has; nothing for what is not known.
func prefixText(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Tally implements Ledger.
func (e *Embedded) Tally(prefix netip.Prefix, now time.Time, w Window) rules.Tally {
	return e.tally(prefix, now, w)
}

// Failures implements Ledger.
func (e *Embedded) Failures(prefix netip.Prefix, client netip.Addr, since time.Time) []rules.Failure {
	return e.failures(prefix, client, since)
}

const insertBlock = `insert into blocks(prefix, id, since) values(?, ?, ?)
	on conflict(prefix) do update set id = excluded.id, since = excluded.since`

// BeginBlock implements Ledger.
func (e *Embedded) BeginBlock(ctx context.Context, prefix netip.Prefix, id string, now time.Time, w Window) (string, error) {
	inForce := e.beginBlock(prefix, id, now, w)
	if inForce != id {
		return inForce, nil
	}
	err := e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(insertBlock, prefix.String(), id, now.UnixNano())
		return err
	})
	if err != nil {
		err = fmt.Errorf("remembering a block: %w", err)
	}
	return inForce, err
}

// Blocks implements Ledger.
func (e *Embedded) Blocks(now time.Time, w Window) []Block { return e.blocks(now, w) }

// Blocked implements Ledger.
func (e *Embedded) Blocked(now time.Time, w Window) int { return e.countBlocked(now, w) }

const insertCleared = `insert into cleared(prefix, id) values(?, ?)
	on conflict(prefix) do update set id = excluded.id`

// cleared is what an unblock has made memory forget, to be written.
type cleared struct {
	prefixes []netip.Prefix
	lifted   []Block
	id       journal.ID
}

func (e *Embedded) clear(client netip.Addr, now time.Time, w Window) (c cleared) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.prefixes, c.lifted = e.unblock(client, now, w)
	// The failures' only key is their id, so they are not deleted here but
	// overruled by an id that is later; Prune deletes both.
	c.id = e.next(now)
	return c
}

func (c cleared) write(tx store.Tx) error {
	for _, p := range c.prefixes {
		if _, err := tx.Exec(insertCleared, p.String(), c.id[:]); err != nil {
			return err
		}
		if _, err := tx.Exec("delete from blocks where prefix = ?", p.String()); err != nil {
			return err
		}
	}
	return nil
}

// Unblock implements Ledger.
func (e *Embedded) Unblock(ctx context.Context, client netip.Addr, now time.Time, w Window) ([]Block, error) {
	c := e.clear(client, now, w)
	if len(c.prefixes) == 0 {
		return nil, nil
	}
	err := e.db.Write(ctx, c.write)
	if err != nil {
		err = fmt.Errorf("lifting a block: %w: it is lifted until the daemon restarts", err)
	}
	return c.lifted, err
}

const insertGrant = `insert into grants(client, login, last) values(?, ?, ?)
	on conflict(client, login) do update set last = max(last, excluded.last)`

// AddGrant implements Ledger.
func (e *Embedded) AddGrant(ctx context.Context, client netip.Addr, g rules.Grant) error {
	e.addGrant(client, g)
	err := e.db.Write(ctx, writeGrant(client, g))
	if err != nil {
		err = fmt.Errorf("remembering a POP login: %w", err)
	}
	return err
}

func writeGrant(client netip.Addr, g rules.Grant) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec(insertGrant, client.String(), g.Login, g.Last.UnixNano())
		return err
	}
}

// Grants implements Ledger.
func (e *Embedded) Grants(client netip.Addr, now time.Time, validity time.Duration) []rules.Grant {
	return e.validGrants(client, now, validity)
}

// Healthy implements Ledger.
func (e *Embedded) Healthy() error { return e.db.Healthy() }

// Prune implements Ledger.
func (e *Embedded) Prune(ctx context.Context, now time.Time, c Counting, validity time.Duration) error {
	if e.prune(now, c, validity) {
		e.aged.Store(true)
	}
	for _, one := range []func() error{
		func() error { return e.pruneFailures(ctx, now, c) },
		func() error { return e.pruneQuotas(ctx, now) },
		func() error { return e.pruneLogins(ctx, now, c) },
		func() error { return e.pruneBlocks(ctx, now, c, validity) },
		func() error { return e.prunePacked(ctx) },
	} {
		if err := one(); err != nil {
			return fmt.Errorf("pruning the ledger: %w", err)
		}
	}
	return nil
}

func (e *Embedded) pruneBlocks(ctx context.Context, now time.Time, c Counting, validity time.Duration) error {
	old := journal.After(now.Add(-c.retention()))
	err := e.db.Write(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec("delete from cleared where id < ?", old[:]); err != nil {
			return err
		}
		_, err := tx.Exec("delete from grants where last < ?", now.Add(-validity).UnixNano())
		return err
	})
	if err != nil {
		return err
	}
	ended, err := e.endedBlocks(ctx, old.Time(), now, c.Client)
	for chunk := range slices.Chunk(ended, pruneChunk) {
		err = errors.Join(err, e.db.Write(ctx, func(tx store.Tx) error {
			for _, prefix := range chunk {
				if _, err := tx.Exec(deleteEndedBlock, prefix, old.Time().UnixNano()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return err
}

// endedBlocks are those that began before a time and are not in force any more.
func (e *Embedded) endedBlocks(ctx context.Context, before, now time.Time, w Window) (ended []string, err error) {
	err = e.each(ctx, "select prefix, id from blocks where since < ?", []any{before.UnixNano()}, func(rows *sql.Rows) error {
		var prefix, id string
		if err := rows.Scan(&prefix, &id); err != nil {
			return err
		}
		p, err := netip.ParsePrefix(prefix)
		if err != nil || e.tally(p, now, w).Block != id {
			ended = append(ended, prefix)
		}
		return nil
	})
	return ended, err
}

// pruneChunk bounds one deletion, so that failures never wait long behind it.
const pruneChunk = 2000

// pruneFailures deletes what is old by its id and, of what a clock that ran
// ahead has given ids of the future, what is old by its time.
func (e *Embedded) pruneFailures(ctx context.Context, now time.Time, c Counting) error {
	keep := c.retention()
	old, future := journal.After(now.Add(-keep)), journal.After(now.Add(keep))
	for {
		var deleted int64
		err := e.db.Write(ctx, func(tx store.Tx) error {
			res, err := tx.Exec(`delete from failures where id in (select id from failures where id < ?
				union all select id from failures where id >= ? and time < ? limit ?)`,
				old[:], future[:], now.Add(-keep).UnixNano(), pruneChunk)
			if err == nil {
				deleted, err = res.RowsAffected()
			}
			return err
		})
		if err != nil || deleted < pruneChunk {
			return err
		}
	}
}
