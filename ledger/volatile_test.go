package ledger_test

import (
	"path"
	"slices"
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
)

// aboutRestarts are the suite's tests of what a restart loses, or mends: this
// ledger has none. In all others it goes on as it was where the suite restarts.
var aboutRestarts = []string{
	"login_of_a_default_domain", "quota_survives", "clock_set_forward", "logins_seen,_clock", "failures_survive",
}

func TestVolatile(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		v, err := ledger.NewVolatile(1000)
		if err != nil {
			t.Fatal(err)
		}
		return v, func(time.Duration) ledger.Ledger {
			if slices.Contains(aboutRestarts, path.Base(t.Name())) {
				t.Skip("what it remembers ends with it: the rest of this test is about restarts")
			}
			return v
		}
	})
}

func TestVolatileNeedsRoom(t *testing.T) {
	if _, err := ledger.NewVolatile(0); err == nil {
		t.Error("tables of no size are made")
	}
}
