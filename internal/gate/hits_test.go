package gate

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// Of a flood, what is told every second is told every five, and nothing is lost.
func TestFloodIsToldNowAndThen(t *testing.T) {
	f := open(t)
	for i := range 11 {
		f.fail("192.0.2.7", "jan@domena.cz", time.Duration(i)*time.Second)
	}
	said := func() (id string, count, lines int) {
		for range 100 {
			id = f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", time.Minute).ID
		}
		f.FlushDue()
		f.fail("192.0.2.8", "eva@domena.cz", 0) // a write that is waited for comes after those that are not
		return id, f.entry(id).Count, strings.Count(f.log.String(), "msg=refused id="+id)
	}
	for second, want := range []struct{ count, lines int }{{100, 3}, {100, 6}, {100, 6}, {100, 6}, {100, 6}, {600, 6}, {600, 9}} {
		if _, count, lines := said(); count != want.count || lines != want.lines {
			t.Errorf("second %d: count %d, %d lines, want %+v", second, count, lines, want)
		}
	}
	id, _, _ := said()
	f.Flush()
	f.Flush()
	f.fail("192.0.2.8", "eva@domena.cz", 0)
	if n := f.entry(id).Count; n != 800 {
		t.Errorf("%d of 800 at the end", n)
	}
	for range 2 * floodFlushes {
		f.FlushDue()
	}
	if n := len(f.hits.lately) + len(f.hits.floods); n != 0 {
		t.Errorf("%d ids are remembered", n)
	}
}

// Refusals under one id have a line each while they are few; of a flood the log gets
// the number.
func TestLogOfAFlood(t *testing.T) {
	f := open(t)
	for i := range 11 {
		f.fail("192.0.2.7", "jan@domena.cz", time.Duration(i)*time.Second)
	}
	refuse := func(n int) (id string) {
		for range n {
			id = f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", time.Minute).ID
		}
		return id
	}
	lines := func(text string) int { return strings.Count(f.log.String(), text) }
	id := refuse(3)
	f.Flush()
	if got := lines("msg=refused id=" + id); got != 3 || lines("and more like it") != 0 {
		t.Errorf("%d lines for three refusals: %s", got, f.log)
	}
	refuse(500)
	f.Flush()
	if got := lines("msg=refused id=" + id); got != 6 || lines(`msg="and more like it" id=`+id+" times=497") != 1 {
		t.Errorf("%d lines for 503 refusals: %s", got, f.log)
	}
	f.Flush()
	if lines("and more like it") != 1 {
		t.Errorf("told twice: %s", f.log)
	}
	refuse(1)
	if got := lines("msg=refused id=" + id); got != 7 {
		t.Errorf("%d lines, one of them after the flood: %s", got, f.log)
	}
}

// summing is a journal that only adds up how often it was told of more refusals.
type summing struct {
	*journal.Journal
	times atomic.Int64
}

func (s *summing) Again(_ string, r journal.Repeats) { s.times.Add(int64(r.Times)) }

// TestNoCountIsLost: whoever is refused while counts are handed over is counted once.
func TestNoCountIsLost(t *testing.T) {
	f := open(t)
	sum := &summing{Journal: f.journal}
	o := f.Options
	o.Journal = sum
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	const each = 40_000
	var refused atomic.Int64
	var refusing, handing sync.WaitGroup
	for seed := range uint64(3) {
		refusing.Go(func() {
			ids, r := rand.New(rand.NewPCG(seed, 0)), &rules.Request{Stage: rules.StageMail, Time: noon}
			for range each {
				id := strconv.Itoa(ids.IntN(5) * ids.IntN(300)) // some more often than others
				if !g.oneMore(id, r) {
					g.again(id, r, false)
				}
				refused.Add(1)
			}
		})
	}
	over := make(chan struct{})
	handing.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-over:
				return
			default:
			}
			if g.FlushDue(); i%50 == 0 {
				g.Flush()
			}
		}
	})
	refusing.Wait()
	close(over)
	handing.Wait()
	g.Flush()
	if got := sum.times.Load(); got != refused.Load() || got != 3*each {
		t.Errorf("%d of %d were told", got, refused.Load())
	}
}
