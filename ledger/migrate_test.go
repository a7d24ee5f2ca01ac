package ledger_test

import (
	"context"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger/ledgertest"
)

// earlier are the schemas that packed counters in another form: what leads back to them.
var earlier = map[int][]string{
	6: {
		"alter table packed_until rename to later",
		"create table packed_until(one integer primary key check (one = 1), last blob not null, counting text not null)",
		"insert into packed_until(one, last, counting) select one, last, '1' || substr(counting, 2) from later",
		"drop table later",
		"drop table packed",
		"create table packed(login integer not null, key blob not null, body blob not null)",
		"insert into packed(login, key, body) values(0, x'0102030420', x'00')",
		"pragma user_version = 6",
	},
	7: {
		"update packed_until set counting = '3' || substr(counting, 2)",
		"drop table packed",
		"create table packed(login integer not null, key blob not null, body blob not null)",
		"insert into packed(login, key, body) values(0, x'0102030420', x'00')",
		"pragma user_version = 7",
	},
}

// What an earlier version has left packed is not used: the failures are counted again,
// and none twice.
func TestStartWithCountersOfAnEarlierSchema(t *testing.T) {
	ctx := context.Background()
	for version, queries := range earlier {
		if len(store.Schema) <= version {
			t.Fatalf("%d is the present one", version)
		}
		h := newHost(t, 1000)
		for range 11 {
			h.fail(numbered(1), time.Minute)
		}
		if _, err := h.BeginBlock(ctx, numbered(1), "first", ledgertest.Noon.Add(time.Minute), ledgertest.Window); err != nil {
			t.Fatal(err)
		}
		if err := h.Snapshot(ctx, ledgertest.Counting); err != nil {
			t.Fatal(err)
		}
		for _, query := range queries {
			if err := h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec(query)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		h.reopen(2 * time.Minute)
		if tally := h.Tally(numbered(1), ledgertest.Noon.Add(2*time.Minute), ledgertest.Window); tally.Count != 11 || tally.Block != "first" {
			t.Errorf("from schema %d: %+v, want 11 failures and the block's id", version, tally)
		}
		if n := h.rows("packed"); n != 0 {
			t.Errorf("%d rows of schema %d", n, version)
		}
		if err := h.CheckpointNow(ctx, ledgertest.Counting); err != nil {
			t.Fatal(err)
		}
		h.onlyLast()
		h.reopen(3 * time.Minute)
		h.wantCounts(3*time.Minute, map[int]int{1: 11})
	}
}
