package valkey

import (
	"context"
	"slices"
	"time"
)

// Batch is what is told together, in the background.
type Batch struct {
	c       *Client
	ops     []op
	counted []bool // which answers are Counters
}

// Batch makes an empty one.
func (c *Client) Batch() *Batch { return &Batch{c: c} }

// Len is how much is in it.
func (b *Batch) Len() int { return len(b.ops) }

func (b *Batch) add(o op, counted bool) {
	b.ops, b.counted = append(b.ops, o), append(b.counted, counted)
}

// Add counts a failure, as Client.AddFailures.
func (b *Batch) Add(a Add) { b.add(b.c.addOp(a), true) }

// Look asks what is known of a name.
func (b *Batch) Look(name string, w Window) { b.add(b.c.counterOp("look", name, w), true) }

// Begin is Client.Begin.
func (b *Batch) Begin(name, id string, since time.Time, w Window) {
	b.add(b.c.beginOp(name, id, since, w), true)
}

// Clear is Client.Clear for one name. It may be told again.
func (b *Batch) Clear(name string, at time.Time, w Window) {
	o := b.c.clearOp(name, at, w)
	o.args = append(o.args, "1")
	b.add(o, true)
}

// Grant tells of a POP login from an address.
func (b *Batch) Grant(client, login string, at time.Time, keep time.Duration, most int) {
	b.add(b.c.seenOp(kindGrants, client, login, at, keep, most), false)
}

// Visit tells of a login from a client.
func (b *Batch) Visit(login, client string, at time.Time, keep time.Duration, most int) {
	b.add(b.c.seenOp(kindVisits, login, client, at, keep, most), false)
}

// Commit charges a message that ended then, once, and ends its reservation.
func (b *Batch) Commit(p Place, at time.Time) { b.add(b.c.commitOp(p, at), false) }

// Renew keeps a reservation alive.
func (b *Batch) Renew(p Place) {
	p.Always = true
	b.add(b.c.quotaOp("reserve", p, Limits{}, micros(ReservedFor.Microseconds())), false)
}

// Release ends a reservation.
func (b *Batch) Release(p Place) { b.add(b.c.quotaOp("release", p, Limits{}), false) }

// Reset forgets what an account had used then. name is that of this reset, on all hosts.
func (b *Batch) Reset(login, name string, at time.Time) {
	b.add(b.c.quotaOp("reset", Place{Login: login, Message: name}, Limits{}, b.c.server(at)), false)
}

// Entry puts a journal entry.
func (b *Batch) Entry(id, body string, keep time.Duration) { b.add(putOp(id, body, keep), false) }

// Again counts further refusals under an id. It is the only thing here that must not
// be told twice.
func (b *Batch) Again(id string, a Again) { b.add(b.c.againOp(id, a), false) }

// Told is what became of one of a batch.
type Told struct {
	Counter *Counter // of Add, Look, Begin and Clear
	Err     error    // the store will never take it (Refused)
}

// Send tells all, in order as far as one server has them, and returns an answer for
// each. With an error nobody knows which of them were heard; ErrAway stands for the
// store's being away.
func (b *Batch) Send(ctx context.Context) ([]Told, error) {
	if !b.c.up.Load() {
		return nil, ErrAway
	}
	told := make([]Told, 0, len(b.ops))
	for ops := range slices.Chunk(b.ops, atOnce) {
		for _, r := range b.c.run(ctx, ops...) {
			var one Told
			if one.Err = r.Error(); one.Err == nil && b.counted[len(told)] {
				var k Counter
				if k, one.Err = b.c.counter(r); one.Err == nil {
					one.Counter = &k
				}
			}
			if away(one.Err) {
				return nil, b.c.trip(one.Err)
			}
			told = append(told, one)
		}
	}
	return told, nil
}

// atOnce is how many commands are sent together. What a decision asks in between waits for
// them: some 0.1 ms of the server's time for each.
const atOnce = 50
