package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"portreeve/internal/store"
)

const (
	// maxWaiting bounds the events that wait for the shared store; beyond it the oldest
	// are forgotten: they are the first to matter no more.
	maxWaiting = 500_000
	// keepTold is how long an event that was acknowledged is remembered, and maxTold how
	// many are. A replica that takes over may not have heard of them: then they are told
	// again, however long it has taken to take over.
	keepTold = 15 * time.Second
	maxTold  = 50_000
	// batchSize is how many are told together.
	batchSize = 256
)

// The kinds of events.
const (
	tellFailure = "failure"
	tellBlock   = "block" // of a client or of a login
	tellClear   = "clear"
	tellGrant   = "grant"
	tellVisit   = "visit"
	tellCharge  = "charge"
	tellRelease = "release"
	tellReset   = "reset"
	tellEntry   = "entry"
)

// event is what the other hosts should know. It names itself (ID), so that it may be
// told again.
type event struct {
	Kind  string   `json:"kind"`
	Time  int64    `json:"time"`           // Unix nanoseconds, of this host's clock
	Told  int64    `json:"told,omitempty"` // when this host heard of it
	Names []string `json:"names,omitempty"`

	ID         string `json:"id,omitempty"`     // of a block, an entry, a message
	Client     string `json:"client,omitempty"` // an address, or where a login came from
	Login      string `json:"login,omitempty"`
	Recipients int    `json:"recipients,omitempty"` // of a message

	Event   uint64 `json:"event,omitempty"` // of a failure
	Same    uint32 `json:"same,omitempty"`
	Counted bool   `json:"counted,omitempty"`
	Detail  []byte `json:"detail,omitempty"`
}

func (e event) at() time.Time { return time.Unix(0, e.Time) }

// outbox is what the shared store has not acknowledged. Each event is written in the
// transaction that writes what it is about.
type outbox struct {
	db   *store.DB
	wake chan struct{}
	most int // that wait

	mu      sync.Mutex
	last    int64
	waiting []int64         // in order
	gone    []int64         // to be deleted
	told    []acknowledged  // of late, the oldest first
	held    bool            // of late is: before the store was lost
	only    map[int64]event // what waits and could not be written, or not in time
	dropped int             // since somebody asked
}

// acknowledged is an event that the store has.
type acknowledged struct {
	numbered
	at time.Time
}

func openOutbox(ctx context.Context, db *store.DB) (*outbox, error) {
	o := &outbox{db: db, wake: make(chan struct{}, 1), most: maxWaiting}
	rows, err := db.Reader().QueryContext(ctx, "select seq from outbox order by seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&o.last); err != nil {
			return nil, err
		}
		o.waiting = append(o.waiting, o.last)
	}
	return o, rows.Err()
}

// number is for an event that will be put.
func (o *outbox) number() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	return o.last
}

const insertEvent = "insert into outbox(seq, event) values(?, ?) on conflict(seq) do nothing"

// put writes an event; nobody tells it yet.
func (e event) put(seq int64) func(store.Tx) error {
	return func(tx store.Tx) error {
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("writing an event: %w", err)
		}
		_, err = tx.Exec(insertEvent, seq, body)
		return err
	}
}

// send makes an event that was put, and was not told at once, one to be told. One whose
// write failed, or takes longer than its caller could wait, is told from memory.
func (o *outbox) send(n numbered, written error) {
	o.mu.Lock()
	if written != nil && len(o.only) < maxTold {
		if o.only == nil {
			o.only = map[int64]event{}
		}
		o.only[n.seq] = n.event
	}
	o.insert(n.seq)
	for len(o.waiting) > o.most {
		o.forget(o.waiting[0])
		o.dropped++
	}
	o.mu.Unlock()
	o.stir()
}

func (o *outbox) stir() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// insert keeps the order. The lock is held.
func (o *outbox) insert(seq int64) {
	if n := len(o.waiting); n == 0 || o.waiting[n-1] < seq {
		o.waiting = append(o.waiting, seq)
		return
	}
	if at, known := slices.BinarySearch(o.waiting, seq); !known {
		o.waiting = slices.Insert(o.waiting, at, seq)
	}
}

// done tells that an event was acknowledged, or matters no more.
func (o *outbox) done(n numbered) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(n.seq)
	o.told = append(o.told, acknowledged{n, now})
	o.age(now)
}

// age lets go what was acknowledged long enough ago. The lock is held.
func (o *outbox) age(now time.Time) {
	old := 0
	for old < len(o.told) && (!o.held && now.Sub(o.told[old].at) > keepTold || len(o.told)-old > maxTold) {
		old++
	}
	o.told = o.told[old:]
}

// hold tells that the store is lost: what it had acknowledged until now is kept until
// lately, or unhold, is called.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.held {
		o.age(time.Now())
		o.held = true
	}
}

func (o *outbox) unhold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = false
}

// drop takes events out that will be put again.
func (o *outbox) drop(seqs []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, seq := range seqs {
		if _, waits := slices.BinarySearch(o.waiting, seq); waits {
			o.forget(seq)
		}
	}
}

// forget takes an event out. The lock is held.
func (o *outbox) forget(seq int64) {
	switch at, known := slices.BinarySearch(o.waiting, seq); {
	case known && at == 0: // nearly always; the rest need not move
		o.waiting = o.waiting[1:]
	case known:
		o.waiting = slices.Delete(o.waiting, at, at+1)
	}
	delete(o.only, seq)
	o.gone = append(o.gone, seq)
}

// lately takes the events that were acknowledged of late.
func (o *outbox) lately() (events []event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.age(time.Now())
	for _, a := range o.told {
		events = append(events, a.event)
	}
	o.told, o.held = nil, false
	return events
}

// length is how many wait.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// forgotten is how many were dropped since the last call.
func (o *outbox) forgotten() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.dropped
	o.dropped = 0
	return n
}

// numbered is an event with its number.
type numbered struct {
	seq int64
	event
}

// next reads the oldest events that wait.
func (o *outbox) next(ctx context.Context) ([]numbered, error) {
	o.mu.Lock()
	wanted := slices.Clone(o.waiting[:min(len(o.waiting), batchSize)])
	o.mu.Unlock()
	if len(wanted) == 0 {
		return nil, nil
	}
	list, err := o.read(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("reading what the shared store should hear: %w", o.db.Read(err))
	}
	for _, n := range list {
		at, _ := slices.BinarySearch(wanted, n.seq)
		wanted = slices.Delete(wanted, at, at+1)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, seq := range wanted { // their writes failed, or are slow
		if e, known := o.only[seq]; known {
			list = append(list, numbered{seq, e})
		} else {
			o.forget(seq)
		}
	}
	slices.SortFunc(list, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	return list, nil
}

func (o *outbox) read(ctx context.Context, wanted []int64) ([]numbered, error) {
	rows, err := o.db.Reader().QueryContext(ctx, "select seq, event from outbox where seq between ? and ? order by seq",
		wanted[0], wanted[len(wanted)-1])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []numbered
	for rows.Next() {
		var (
			n    numbered
			body sql.RawBytes
		)
		if err := rows.Scan(&n.seq, &body); err != nil {
			return nil, err
		}
		if _, is := slices.BinarySearch(wanted, n.seq); !is {
			continue
		}
		if err := json.Unmarshal(body, &n.event); err != nil {
			n.Kind = "" // of another version; it is let go
		}
		list = append(list, n)
	}
	return list, rows.Err()
}

// sweep deletes what need not be told.
func (o *outbox) sweep(ctx context.Context) error {
	o.mu.Lock()
	gone := o.gone
	o.gone = nil
	o.mu.Unlock()
	for chunk := range slices.Chunk(gone, pruneChunk) {
		err := o.db.Write(ctx, func(tx store.Tx) error {
			for _, seq := range chunk {
				if _, err := tx.Exec("delete from outbox where seq = ?", seq); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil { // they would be told again after a restart, which changes nothing
			return fmt.Errorf("clearing the outbox: %w", err)
		}
	}
	return nil
}
