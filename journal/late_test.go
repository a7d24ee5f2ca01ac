package journal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"portreeve/internal/store"
	"portreeve/journal"
)

// pages bounds the store's size: beyond it, it is as full as a disk.
func (f *fixture) pages(n int) {
	f.t.Helper()
	err := f.db.Write(f.t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(fmt.Sprintf("pragma max_page_count = %d", n))
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// large is an entry that needs a page of its own.
func (f *fixture) large() journal.Entry {
	return journal.Entry{
		ID: f.ids.Next(noon).String(), Time: noon, Last: noon, Count: 1, Rule: "sender", Observed: true,
		Reply: strings.Repeat("x", 8000), Facts: []byte("null"),
	}
}

// What the store did not take is known all the same, counted, and written when the
// store takes it again.
func TestDeliver(t *testing.T) {
	f := open(t)
	f.pages(40)
	var stored, kept []journal.Entry
	for range 60 {
		e := f.large()
		if err := f.Write(t.Context(), e); err == nil {
			stored = append(stored, e)
		} else {
			kept = append(kept, e)
		}
	}
	if len(stored) == 0 || len(kept) < 10 {
		t.Fatalf("%d stored, %d not", len(stored), len(kept))
	}
	count := func(e journal.Entry, want int) {
		t.Helper()
		got, err := f.Get(t.Context(), e.ID)
		if err != nil || got.Count != want || !got.Observed {
			t.Errorf("%s: %d times, observed %v, %v; want %d", e.ID, got.Count, got.Observed, err, want)
		}
	}
	last := kept[len(kept)-1]
	f.Again(last.ID, journal.Repeats{Times: 2, Last: noon, Observed: true})
	count(last, 3)
	f.Again(stored[0].ID, journal.Repeats{Times: 2, Last: noon, Observed: true}) // cannot be written
	if n, err := f.Deliver(t.Context()); n != 0 || err == nil {
		t.Errorf("on a full disk: %d delivered, %v", n, err)
	}

	f.pages(1 << 20)
	if n, err := f.Deliver(t.Context()); n != len(kept) || err != nil {
		t.Fatalf("%d of %d delivered, %v", n, len(kept), err)
	}
	if n, err := f.Deliver(t.Context()); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
	f.reopen()
	for _, e := range append(stored, kept...) {
		want := 1
		if e.ID == last.ID || e.ID == stored[0].ID {
			want = 3
		}
		count(e, want)
	}
	if _, err := f.Get(t.Context(), f.ids.Next(noon).String()); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("an id that nobody wrote: %v", err)
	}
}

// What waits is bounded: the oldest go, which the log has.
func TestDeliverIsBounded(t *testing.T) {
	f := open(t)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	var first, last string
	for i := range 10_001 {
		e := f.large()
		e.Reply = ""
		if err := f.Write(t.Context(), e); err == nil {
			t.Fatal("a closed store took an entry")
		}
		if i == 0 {
			first = e.ID
		}
		last = e.ID
	}
	if _, err := f.Get(t.Context(), first); err == nil {
		t.Error("the first of 10,001 still waits")
	}
	if _, err := f.Get(t.Context(), last); err != nil {
		t.Errorf("the last of them: %v", err)
	}
	f.open()
}
