package main

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
)

func TestReadBenchmarks(t *testing.T) {
	got := readBenchmarks(`goos: linux
pkg: portreeve/policyd
BenchmarkParse-2       	   40335	      6671 ns/op	  97.73 MB/s	       0 B/op	       0 allocs/op
BenchmarkParse-2       	   40335	      6673 ns/op	  97.73 MB/s	       0 B/op	       0 allocs/op
PASS
pkg: portreeve/internal/gate
BenchmarkDecide/pass-2 	   48158	      4447 ns/op	     416 B/op	       2 allocs/op
ok  	portreeve/internal/gate	2.345s
`)
	if len(got) != 2 || got[0].name != "policyd.Parse" || got[1].name != "gate.Decide/pass" {
		t.Fatalf("%+v", got)
	}
	if !slices.Equal(got[0].nanoseconds, []float64{6671, 6673}) || !slices.Equal(got[1].bytes, []float64{416}) || got[1].allocations[0] != 2 {
		t.Errorf("%+v", got)
	}
}

func TestWholeMachine(t *testing.T) {
	cpu, err := wholeMachine("cpu  100 1 20 5000 30 2 3 4 0 0\ncpu0 1\n")
	if err != nil || cpu != 1260*time.Millisecond {
		t.Errorf("%v %v", cpu, err)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu a b c d e f g h i"} {
		if _, err := wholeMachine(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(scenarios) {
		t.Errorf("%d %v", len(all), err)
	}
	some, err := choose("idle,passes")
	if err != nil || len(some) != 2 || some[0].name != "idle" {
		t.Errorf("%v %v", some, err)
	}
	if _, err := choose("idle,nothing"); err == nil {
		t.Error("there is no such scenario, and no error")
	}
}

// TestFilledStore: the harness writes what the ledger and the journal read, in
// the schema of today.
func TestFilledStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portreeve.db")
	const clients, rows = 250, 700
	for _, fill := range []func(context.Context, string) error{fillFailures(clients, toBlock, 100), fillJournal(rows, 100)} {
		if err := fill(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	db, err := store.Open(path, store.Schema, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	counting := ledger.Counting{Client: ledger.Window{Limit: 10, Length: time.Hour}}
	memory, err := ledger.OpenEmbedded(t.Context(), db, journal.NewIDs("bench"), 1000, time.Now(), counting, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	blocks := memory.Blocks(time.Now(), counting.Client)
	if len(blocks) != clients || blocks[0].ID == "" || blocks[0].Count != toBlock {
		t.Errorf("%d blocks: %+v", len(blocks), blocks[:min(1, len(blocks))])
	}
	found, err := journal.New(db).Find(t.Context(), journal.Query{Rule: "sender"})
	if err != nil || len(found) != rows || found[0].Facts == nil {
		t.Errorf("%d entries, %v", len(found), err)
	}
}
