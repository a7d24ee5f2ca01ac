package daemon

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// Somebody who fills the journal on purpose, with refusals that all differ, makes
// it no larger than journal.max_size for more than half a minute; equal ones do not
// fill it at all. The newest stay.
func TestJournalFilledOnPurpose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := prepare(t, plain+"[journal]\nmax_size = \"1MiB\"\n")
		o := h.options()
		o.Now = time.Now // the bubble's
		d, _, err := open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.housekeep(ctx); close(ended) }()
		refuse := func(sender string) string {
			return d.gate.Decide(ctx, &rules.Request{
				Stage: rules.StageMail, Protocol: rules.ProtocolMilter, Port: 587, Login: "jan@domena.cz", Sender: sender, Time: time.Now(),
			}).ID
		}
		const each, at = 100, 20
		var askers sync.WaitGroup
		for a := range at {
			askers.Go(func() {
				for i := range each {
					refuse(fmt.Sprintf("%d.%d.%s@seznam.cz", a, i, strings.Repeat("x", 200)))
					refuse("always@seznam.cz")
				}
			})
		}
		askers.Wait()
		last := refuse("last@seznam.cz")
		kept := func() int {
			list, err := d.journal.Find(ctx, journal.Query{Limit: 10 * each * at})
			if err != nil {
				t.Error(err)
			}
			return len(list)
		}
		if n := kept(); n != each*at+2 {
			t.Errorf("%d entries of %d refusals, all but one of each second alike", n, 2*each*at+1)
		}
		<-time.After(shrinkEvery + time.Second)
		synctest.Wait()
		if n := kept(); n == 0 || n >= each*at {
			t.Errorf("%d entries in 1 MiB", n)
		}
		if _, err := d.journal.Get(ctx, last); err != nil {
			t.Errorf("the newest is gone: %v", err)
		}
		cancel()
		<-ended
		if err := d.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
