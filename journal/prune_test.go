package journal_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
)

func (f *fixture) prune(now time.Time, keep time.Duration, size int64) {
	f.t.Helper()
	if err := f.Prune(context.Background(), now, keep, size); err != nil {
		f.t.Fatal(err)
	}
}

func TestPruneByAge(t *testing.T) {
	f := open(t)
	old := f.refusal(-time.Nanosecond, nil)
	edge, young := f.refusal(0, nil), f.refusal(time.Hour, nil)
	f.write(old, edge, young)
	f.prune(noon.Add(720*time.Hour), 720*time.Hour, 0)
	if got, want := f.find(journal.Query{}), []string{young.ID, edge.ID}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	f.prune(noon.Add(10000*time.Hour), 0, 0)
	if n := len(f.find(journal.Query{})); n != 2 {
		t.Errorf("keep = 0 keeps everything, but %d are left", n)
	}
}

func TestPruneMoreThanOneChunk(t *testing.T) {
	f := open(t)
	f.many(4100, 0, 10)
	young := f.refusal(time.Hour, nil)
	f.write(young)
	f.prune(noon.Add(time.Hour), time.Minute, 0)
	if got := f.find(journal.Query{}); !slices.Equal(got, []string{young.ID}) {
		t.Errorf("%d entries left", len(got))
	}
}

// many writes n entries, a nanosecond apart, with facts of that size.
func (f *fixture) many(n int, after time.Duration, size int) {
	f.t.Helper()
	facts := json.RawMessage(`"` + strings.Repeat("x", size) + `"`)
	errs := make(chan error, n)
	for i := range n {
		e := f.refusal(after+time.Duration(i), func(e *journal.Entry) { e.Facts = facts })
		go func() { errs <- f.Write(context.Background(), e) }()
	}
	for range n {
		if err := <-errs; err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestPruneBySize(t *testing.T) {
	f := open(t)
	f.many(3000, 0, 1000)
	newest := f.refusal(time.Second, nil)
	f.write(newest)
	const most = 4 << 20
	f.prune(noon.Add(time.Minute), 0, most)
	left := f.find(journal.Query{Limit: 10000})
	if len(left) < 600 || len(left) > 2500 {
		t.Errorf("%d entries left in %d bytes", len(left), most)
	}
	if len(left) > 0 && left[0] != newest.ID {
		t.Error("the newest is gone")
	}
	if !slices.IsSortedFunc(left, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Error("not newest first")
	}
	// What is freed is used again: the file does not grow for ever.
	size := f.size()
	for round := range 4 {
		f.many(1000, time.Duration(round+1)*time.Minute, 1000)
		f.prune(noon.Add(time.Hour), 0, most)
	}
	if now := f.size(); now > size*3/2 {
		t.Errorf("the file grew from %d to %d bytes", size, now)
	}
}

func (f *fixture) size() int64 {
	f.t.Helper()
	f.reopen() // checkpoints
	info, err := os.Stat(f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	return info.Size()
}

// Entries from before the clock was set back must not keep the file full.
func TestPruneBySizeAfterClockWasSetBack(t *testing.T) {
	f := open(t)
	f.many(1500, 0, 1000)
	f.prune(noon.Add(-24*time.Hour), 720*time.Hour, 2<<20)
	if n := len(f.find(journal.Query{Limit: 10000})); n == 0 || n > 1200 {
		t.Errorf("%d entries left", n)
	}
}

// A size that not even an empty store keeps must not loop for ever.
func TestPruneToNothing(t *testing.T) {
	f := open(t)
	f.many(10, 0, 10)
	f.prune(noon.Add(time.Hour), 0, 1)
	if n := len(f.find(journal.Query{})); n != 0 {
		t.Errorf("%d entries left", n)
	}
	f.prune(noon.Add(time.Hour), 0, 1)
}

func TestPruneSaysWhatFailed(t *testing.T) {
	f := open(t)
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	err := journal.New(f.db).Prune(context.Background(), noon, time.Hour, 0)
	if err == nil || err.Error() != "pruning the journal: "+store.ErrClosed.Error() {
		t.Errorf("got %v", err)
	}
}
