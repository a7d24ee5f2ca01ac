//go:build real

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
	"portreeve/rules"
)

// The journal's entries, and how often they were given, are known on all hosts. While
// the store is away a host says which one made an id.
func TestJournalIsShared(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	ctx := context.Background()
	e := a.refusal("sender")
	if err := a.journal.Write(ctx, e); err != nil {
		t.Fatal(err)
	}
	a.told()
	got, err := b.journal.Get(ctx, e.ID)
	if err != nil || got.ID != e.ID || got.Reply != e.Reply || string(got.Facts) != string(e.Facts) || !got.Time.Equal(e.Time) || !got.Observed {
		t.Fatalf("the other host reads %+v, %v", got, err)
	}
	later := time.Now().Add(time.Minute).Truncate(time.Microsecond)
	b.journal.Again(e.ID, journal.Repeats{Times: 4, Last: later, Port: 587, Sender: "x@y.cz"})
	a.journal.Again(e.ID, journal.Repeats{Times: 2, Last: later.Add(-time.Second), Observed: true})
	for _, h := range []*mx{a, b} {
		h.until("all refusals are counted", func() bool {
			got, err = h.journal.Get(ctx, e.ID)
			return err == nil && got.Count == 7
		})
		if got.Observed || got.Port != 587 || got.Sender != "x@y.cz" || got.Last.Sub(later).Abs() > time.Second {
			t.Errorf("%s reads %+v", h.name, got)
		}
	}
	if _, err := b.journal.Get(ctx, b.refusal("sender").ID); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("an id that nobody has: %v", err)
	}
	keys := s.Strings("KEYS", "pr1:*:j:"+e.ID)
	if len(keys) != 1 {
		t.Fatalf("the entry is under %v", keys)
	}
	if left := s.Number("TTL", keys[0]); left < 719*3600 || left > 720*3600 {
		t.Errorf("it is kept for %d s more", left)
	}
	b.until("it knows the hosts", func() bool { return strings.Join(b.Peers(), " ") == "mx1 mx2" })
	s.Kill()
	b.up(false)
	if _, err := b.journal.Get(ctx, e.ID); !errors.Is(err, journal.ErrUnknown) || !errors.Is(err, valkey.ErrAway) {
		t.Errorf("while the store is away: %v", err)
	}
	b.close()
	b.open()
	if got := strings.Join(b.Peers(), " "); got != "mx1 mx2" {
		t.Errorf("after a restart it knows the hosts %q", got)
	}
}

// questions is how many commands the server has run for its clients, but for those
// that every host asks all the time.
func questions(s *valkeytest.Server) (n int) {
	text := s.Text("INFO", "commandstats")
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
		calls, _, _ := strings.Cut(strings.TrimPrefix(rest, "calls="), ",")
		switch name {
		case "eval", "evalsha", "zrange", "zscore", "hgetall":
			c, _ := strconv.Atoi(calls)
			n += c
		}
	}
	return n
}

// A client that may pass costs no question: not that it is not blocked, nor that it
// has, or has not, collected mail before.
func TestPassingCostsNoQuestion(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	if err := b.AddGrant(context.Background(), guesser, rules.Grant{Login: account, Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	b.told()
	stranger := netip.MustParseAddr("198.51.100.1")
	pass := func() {
		now := time.Now()
		if got := a.Tally(guessers, now, ledgertest.Window); got.Count != 0 {
			t.Fatalf("%+v", got)
		}
		a.LoginTally(account, now, ledgertest.Counting.Login)
		if got := a.Grants(guesser, now, ledgertest.Validity); len(got) != 1 || got[0].Login != account {
			t.Fatalf("the other host's grant: %+v", got)
		}
		if got := a.Grants(stranger, now, ledgertest.Validity); len(got) != 0 {
			t.Fatalf("a stranger's grants: %+v", got)
		}
	}
	pass()
	before := s.Info("total_commands_processed")
	a.hears()
	after := s.Info("total_commands_processed")
	t.Logf("one look at what has changed: %s to %s commands", before, after)
	asked := questions(s)
	for range 1000 {
		pass()
	}
	if n := questions(s) - asked; n > 60 { // those of listening, in that time
		t.Errorf("a thousand decisions asked %d questions", n)
	}
	// A change is told to those who have asked.
	if err := b.AddGrant(context.Background(), stranger, rules.Grant{Login: "eva@domena.cz", Last: time.Now()}); err != nil {
		t.Fatal(err)
	}
	soon(t, a, "the new grant is known", func() bool { return len(a.Grants(stranger, time.Now(), ledgertest.Validity)) == 1 })
}

// Two hosts race for the last places of many accounts; each is given once.
func TestLastPlace(t *testing.T) {
	_, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	const accounts = 50
	got := make(chan int, 2)
	for _, h := range []*mx{a, b} {
		go func() {
			n := 0
			for i := range accounts {
				login := fmt.Sprintf("user%d@domena.cz", i)
				if !h.Reserve(login, "m"+strconv.Itoa(i), rules.Limits{Messages: 1}, time.Now(), false).Full {
					n++
				}
			}
			got <- n
		}()
	}
	if n := <-got + <-got; n != accounts {
		t.Errorf("%d places of %d accounts were given", n, accounts)
	}
}

// A repeated charge, of one message's end, is one; that of another process, too.
func TestChargedOnce(t *testing.T) {
	_, o := server(t)
	a := newMX(t, "mx1", o)
	c := ledger.Charge{Login: account, Instance: "1a.2b", Recipients: 2}
	for range 2 {
		if _, err := a.Charge(context.Background(), c, limits, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	a.close()
	a.open()
	a.up(true)
	if room, err := a.Charge(context.Background(), c, limits, time.Now()); err != nil || room.Full {
		t.Fatalf("%+v, %v", room, err)
	}
	if got := a.Usage(account, time.Now()); got != (ledger.Usage{Messages: 1, Recipients: 2}) {
		t.Errorf("used: %+v", got)
	}
}
