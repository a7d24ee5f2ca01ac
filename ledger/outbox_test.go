package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/store"
)

type box struct {
	*outbox
	t    *testing.T
	path string
}

func newBox(t *testing.T) *box {
	b := &box{t: t, path: filepath.Join(t.TempDir(), "portreeve.db")}
	b.open()
	t.Cleanup(func() { b.shut() })
	return b
}

func (b *box) open() {
	b.t.Helper()
	db, err := store.Open(b.path, store.Schema, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	if b.outbox, err = openOutbox(context.Background(), db); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) shut() {
	b.t.Helper()
	if err := b.db.Close(); err != nil {
		b.t.Fatal(err)
	}
}

// add puts an event and returns its number.
func (b *box) add(id string) int64 {
	b.t.Helper()
	seq := b.number()
	if err := b.db.Write(context.Background(), event{Kind: tellEntry, ID: id}.put(seq)); err != nil {
		b.t.Fatal(err)
	}
	return seq
}

// ids are those of the events that are to be told next.
func (b *box) ids() (ids []string) {
	b.t.Helper()
	list, err := b.next(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, n := range list {
		ids = append(ids, n.ID)
	}
	return ids
}

func (b *box) want(ids ...string) {
	b.t.Helper()
	if got := b.ids(); !slices.Equal(got, ids) {
		b.t.Errorf("to be told are %v, want %v", got, ids)
	}
}

func TestOutbox(t *testing.T) {
	b := newBox(t)
	one, two, three := b.add("1"), b.add("2"), b.add("3")
	b.want() // nobody has given up telling them at once
	b.send(numbered{seq: three}, nil)
	b.send(numbered{seq: one}, nil)
	b.want("1", "3")
	b.done(numbered{two, event{ID: "2"}})
	b.done(numbered{one, event{ID: "1"}})
	b.want("3")
	if err := b.sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.shut()
	b.open()
	b.want("3") // what was acknowledged is gone, what was not is not
	if next := b.number(); next <= three {
		t.Errorf("the next number is %d, after %d", next, three)
	}
}

// What was acknowledged a moment ago may be lost with the server.
func TestOutboxLately(t *testing.T) {
	b := newBox(t)
	for i := range 3 {
		b.done(numbered{b.add(fmt.Sprint(i)), event{ID: fmt.Sprint(i)}})
	}
	b.told[0].at = time.Now().Add(-keepTold)
	var ids []string
	for _, e := range b.lately() {
		ids = append(ids, e.ID)
	}
	if !slices.Equal(ids, []string{"1", "2"}) || len(b.lately()) != 0 {
		t.Errorf("told again: %v", ids)
	}
}

// A fail-over may take longer than what was acknowledged is remembered otherwise; and
// what is acknowledged after it does not push out what was before.
func TestOutboxLatelyIsBeforeTheLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbox{wake: make(chan struct{}, 1), most: maxWaiting}
		o.done(numbered{1, event{ID: "old"}})
		time.Sleep(keepTold + time.Second)
		o.done(numbered{2, event{ID: "last"}})
		time.Sleep(time.Second)
		o.hold()
		time.Sleep(time.Minute)
		o.hold()
		o.done(numbered{3, event{ID: "after"}})
		var ids []string
		for _, e := range o.lately() {
			ids = append(ids, e.ID)
		}
		if !slices.Equal(ids, []string{"last", "after"}) {
			t.Errorf("told again: %v", ids)
		}
		o.done(numbered{4, event{ID: "later"}})
		time.Sleep(keepTold + time.Second)
		if list := o.lately(); len(list) != 0 {
			t.Errorf("told again, once more: %v", list)
		}
	})
}

func TestOutboxHasABound(t *testing.T) {
	b := newBox(t)
	b.most = 3
	for i := range 5 {
		b.send(numbered{seq: b.add(fmt.Sprint(i))}, nil)
	}
	b.want("2", "3", "4")
	if n := b.forgotten(); n != 2 || b.forgotten() != 0 {
		t.Errorf("%d were forgotten, want 2", n)
	}
	if err := b.sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.shut()
	b.open()
	b.want("2", "3", "4")
	for range 10_000 {
		b.told = append(b.told, acknowledged{numbered{}, time.Now()})
	}
	b.done(numbered{b.last, event{}})
	if len(b.told) > maxTold {
		t.Errorf("%d acknowledged events are remembered", len(b.told))
	}
}

// An event whose write failed is let go, and one that nobody can read is told of.
func TestOutboxWithoutARow(t *testing.T) {
	b := newBox(t)
	b.send(numbered{seq: b.number()}, nil)
	b.send(numbered{seq: b.add("1")}, nil)
	b.want("1")
	if n := b.length(); n != 1 {
		t.Errorf("%d wait, want 1", n)
	}
	seq := b.number()
	err := b.db.Write(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec(insertEvent, seq, []byte("{"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.send(numbered{seq: seq}, nil)
	list, err := b.next(context.Background())
	if err != nil || len(list) != 2 || list[1].Kind != "" {
		t.Errorf("%+v, %v", list, err)
	}
}

// An event whose caller could not wait for the file, and one that the file will never
// have, are told all the same.
func TestOutboxWithASlowFile(t *testing.T) {
	b := newBox(t)
	begun, slow := make(chan bool), make(chan bool)
	go b.db.Write(context.Background(), func(store.Tx) error { //nolint:errcheck // it writes nothing
		close(begun)
		<-slow
		return nil
	})
	<-begun
	n := numbered{b.number(), event{Kind: tellEntry, ID: "late"}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := b.db.Write(ctx, n.put(n.seq))
	if err == nil {
		t.Fatal("it was written at once")
	}
	b.send(n, err)
	never := numbered{b.number(), event{Kind: tellEntry, ID: "never"}}
	b.send(never, errors.New("disk full"))
	b.want("late", "never")
	close(slow)
	b.want("late", "never")
	for _, told := range []numbered{n, never} {
		b.done(told)
	}
	b.want()
	if err := b.sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.shut()
	b.open()
	b.want()
	if len(b.only) > 0 {
		t.Errorf("it is remembered: %v", b.only)
	}
}
