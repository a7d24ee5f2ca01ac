package ledger_test

import (
	"testing"
	"time"

	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
)

// aboutRestarts are the suite's tests of what a restart loses, or mends: this
// ledger has none. In all others it goes on as it was where the suite restarts.
var aboutRestarts = []string{
	"login of a default domain", "quota survives", "clock set forward", "logins seen, clock", "failures survive",
}

func TestVolatile(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		v, err := ledger.NewVolatile(1000)
		if err != nil {
			t.Fatal(err)
		}
		return v, func(time.Duration) ledger.Ledger { return v }
	}, aboutRestarts...)
}

func TestVolatileNeedsRoom(t *testing.T) {
	if _, err := ledger.NewVolatile(0); err == nil {
		t.Error("tables of no size are made")
	}
}
