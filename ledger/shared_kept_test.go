package ledger_test

import (
	"context"
	"testing"
	"time"

	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// A client that failed at several hosts in turn, none of which it has exceeded the limit
// at alone, stays blocked after kill -9 while the store is away.
func TestSharedKeepsABlockThatCameInParts(t *testing.T) {
	h := newLonely(t)
	p := numbered(1)
	began := time.Now()
	var others []rules.Failure
	for i := range 6 {
		at := began.Add(time.Duration(i) * time.Second)
		f := rules.Failure{Time: at, Client: p.Addr(), Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "smtp", Counted: true}
		if i < 5 {
			if _, err := h.AddFailure(context.Background(), p, f, ledgertest.Counting); err != nil {
				t.Fatal(err)
			}
		}
		f.ID = uint64(i + 1)
		others = append(others, f)
		h.Take(p.String(), others, "", time.Time{})
	}
	if n := h.Tally(p, began.Add(10*time.Second), ledgertest.Window).Count; n != 11 {
		t.Fatalf("%d failures before", n)
	}
	h.close()
	h.open(time.Since(ledgertest.Noon))
	if n := h.Tally(p, began.Add(10*time.Second), ledgertest.Window).Count; n != 11 {
		t.Errorf("%d failures after a restart, want 11", n)
	}
}

// What others have counted is written once, however often the store tells it and whatever
// comes to it: a store that is emptied is told all that is in the file.
func TestSharedKeepsEachFailureOnce(t *testing.T) {
	h := newLonely(t)
	p, began := numbered(1), time.Now()
	var others []rules.Failure
	for i := range 20 {
		others = append(others, rules.Failure{
			Time: began.Add(time.Duration(i) * time.Second), Client: p.Addr(), Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "smtp", Counted: true, ID: uint64(i + 1),
		})
		for range 3 {
			h.Take(p.String(), others, "", time.Time{})
		}
	}
	h.close()
	h.open(time.Since(ledgertest.Noon))
	var rows, events int
	if err := h.db.Reader().QueryRow("select count(*), count(distinct substr(id, 11)) from failures").Scan(&rows, &events); err != nil {
		t.Fatal(err)
	}
	if rows != 20 || events != 20 {
		t.Errorf("%d rows of %d failures, want 20 of 20", rows, events)
	}
}

// A block that others had begun before this host's snapshot, and that it has heard of only
// since, has its id after kill -9.
func TestSharedKeepsABlockFromBeforeItsSnapshot(t *testing.T) {
	h := newLonely(t)
	now := time.Now()
	fail := func(n int, at time.Time) rules.Failure {
		return rules.Failure{Time: at, Client: numbered(n).Addr(), Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "smtp", Counted: true}
	}
	if _, err := h.AddFailure(context.Background(), numbered(2), fail(2, now), ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	if err := h.Snapshot(context.Background(), ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	var others []rules.Failure
	for i := range 11 {
		f := fail(1, now.Add(-20*time.Minute))
		f.ID = uint64(i + 1)
		others = append(others, f)
	}
	h.Take(numbered(1).String(), others, "theirs", now.Add(-20*time.Minute))
	h.close()
	h.open(time.Since(ledgertest.Noon))
	if got := h.Tally(numbered(1), now, ledgertest.Window); got.Count != 11 || got.Block != "theirs" {
		t.Errorf("%+v, want 11 failures and the id", got)
	}
}
