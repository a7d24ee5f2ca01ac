package ledger

import (
	"context"
	"time"

	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// AskAlways makes every look at failures a question: within a test the clock stands
// still, and what is fresh is not what is meant.
func AskAlways() { fresh = 0 }

// ListenEvery is how late the other hosts may know.
const ListenEvery = listenEvery + 100*time.Millisecond

// CountBy is what a reload does, and the first failure after it.
func (s *Shared) CountBy(c Counting) { s.counting.Store(&c) }

// Abandon ends without a word, as a process that is killed.
func (s *Shared) Abandon() {
	s.stop()
	s.ended.Wait()
	s.link.Close()
}

// Strange puts events that this version does not know.
func (s *Shared) Strange() error {
	_, err := s.laterAll(context.Background(), []event{{Kind: "of another version"}, {Kind: tellClear, Client: "no address"}})
	return err
}

// Wire is a failure as the store has it, told by the first host.
func Wire(f rules.Failure) valkey.Failure { return toWire(f, 1, f.Time) }

// Deaf keeps the host from hearing what others have changed.
func (s *Shared) Deaf() (hear func()) {
	s.poll.Lock()
	return s.poll.Unlock
}

// Forget forgets what was acknowledged of late, as after some time.
func (s *Shared) Forget() { s.out.lately() }

// Events is how many there have been.
func (s *Shared) Events() int64 {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.last
}
