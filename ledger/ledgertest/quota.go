package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

const account = "jan@domena.cz"

var hourly = rules.Limits{Messages: 3, Recipients: 5}

func (s *suite) reserve(transaction string, after time.Duration) bool {
	return !s.Reserve(account, transaction, hourly, at(after), false).Full
}

func (s *suite) finish(transaction string, accepted bool, after time.Duration) {
	s.Helper()
	if err := s.Finish(context.Background(), transaction, accepted, at(after)); err != nil {
		s.Fatal(err)
	}
}

// uses checks messages and recipients, used and under way.
func (s *suite) uses(after time.Duration, want ledger.Usage) {
	s.Helper()
	if got := s.Usage(account, at(after)); got != want {
		s.Errorf("%s after noon the account has used %+v, want %+v", after, got, want)
	}
}

// A message takes one place with its first recipient, and each recipient one.
func quotaReserves(s *suite) {
	for n, want := range []bool{true, true, true, true, true, false} {
		if got := s.reserve("a", 0); got != want {
			s.Errorf("recipient %d finds a place: %v", n+1, got)
		}
	}
	s.uses(0, ledger.Usage{ReservedMessages: 1, ReservedRecipients: 5})
	if s.reserve("b", 0) {
		s.Error("what is reserved does not count against others")
	}
	s.finish("a", false, 0)
	s.uses(0, ledger.Usage{})
	for _, transaction := range []string{"b", "c", "d"} {
		if !s.reserve(transaction, 0) {
			s.Errorf("message %s finds no place", transaction)
		}
		s.finish(transaction, true, 0)
		s.finish(transaction, false, 0) // Postfix's ABORT after the message changes nothing
		s.finish(transaction, true, 0)
	}
	s.uses(0, ledger.Usage{Messages: 3, Recipients: 3})
	if s.reserve("e", 0) {
		s.Error("a fourth message finds a place")
	}
	if s.Reserve(account, "e", hourly, at(0), true); s.Usage(account, at(0)).ReservedMessages != 1 {
		s.Error("an observed limit reserves nothing")
	}
	if s.Reserve("eva@domena.cz", "f", hourly, at(0), false).Full {
		s.Error("another account finds no place")
	}
}

// The hour slides, to the minute.
func quotaSlides(s *suite) {
	for n := range 3 {
		transaction := fmt.Sprint(n)
		s.reserve(transaction, time.Duration(n)*time.Minute)
		s.finish(transaction, true, time.Duration(n)*time.Minute)
	}
	if s.reserve("x", 59*time.Minute) {
		s.Error("a place before the hour has passed")
	}
	if !s.reserve("x", time.Hour) || s.reserve("y", time.Hour) {
		s.Error("after an hour the first message's place is free, and no other")
	}
	s.uses(2*time.Hour, ledger.Usage{ReservedMessages: 1, ReservedRecipients: 1})
}

// What was charged survives a restart; what was under way does not.
func quotaSurvives(s *suite) {
	s.reserve("a", 0)
	s.reserve("a", 0)
	s.finish("a", true, 0)
	s.reserve("b", 0)
	s.restart(time.Minute)
	s.uses(time.Minute, ledger.Usage{Messages: 1, Recipients: 2})
	if err := s.Reset(context.Background(), account); err != nil {
		s.Fatal(err)
	}
	s.uses(time.Minute, ledger.Usage{})
	s.restart(2 * time.Minute)
	s.uses(2*time.Minute, ledger.Usage{})
	s.pruneAt(3 * time.Hour)
}

// Two sessions that race for the last place cannot both get it.
func quotaRace(s *suite) {
	var got atomic.Int32
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			if s.reserve(fmt.Sprint(n), 0) {
				got.Add(1)
			}
		})
	}
	all.Wait()
	if got.Load() != 3 {
		s.Errorf("%d of 40 found one of three places", got.Load())
	}
}

// The policy service charges at the end of the message, once per instance, and
// once with the milter.
func quotaCharge(s *suite) {
	charge := func(instance string, recipients int) rules.Room {
		s.Helper()
		room, err := s.Charge(context.Background(), ledger.Charge{Login: account, Instance: instance, Recipients: recipients}, hourly, at(0))
		if err != nil {
			s.Fatal(err)
		}
		return room
	}
	for range 3 { // Postfix repeats a request whose answer it lost
		if charge("1.2", 2).Full {
			s.Fatal("no place")
		}
	}
	s.uses(0, ledger.Usage{Messages: 1, Recipients: 2})
	if !charge("1.3", 4).Full {
		s.Error("more recipients than places")
	}
	s.reserve("a", 0)
	s.reserve("a", 0)
	if charge("1.4", 2).Full {
		s.Error("the message's own reservation stands in its way")
	}
	s.finish("a", true, 0)
	s.uses(0, ledger.Usage{Messages: 2, Recipients: 4})
	if !s.Look(account, rules.Limits{Messages: 2}, at(0)).Full || s.Look(account, hourly, at(0)).Full {
		s.Error("a look says otherwise")
	}
}
