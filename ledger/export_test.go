package ledger

import (
	"context"
	"errors"
	"net/netip"
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

// CheckpointNow is Checkpoint that is due.
func (e *Embedded) CheckpointNow(ctx context.Context, c Counting) error {
	if err := e.writeSnapshot(ctx, c, e.inPieces); err != nil {
		return err
	}
	return e.prunePacked(ctx)
}

// WalkPieces shows the keys of each piece of a checkpoint.
func (e *Embedded) WalkPieces(show func(keys []string) error) error {
	return e.inPieces(func(p *chunk) error {
		var keys []string
		if p.login == 0 && !p.each(func(key, _ []byte) bool {
			keys = append(keys, string(key))
			return true
		}) {
			return errors.New("a chunk cannot be read")
		}
		p.counters = p.counters[:0]
		return show(keys)
	})
}

// Note counts a failure in memory only.
func (e *Embedded) Note(p netip.Prefix, f rules.Failure, c Counting) { e.note(p, f, c) }

// CheckpointAnd is a checkpoint that is due; do is called before each of its pieces is
// written.
func (e *Embedded) CheckpointAnd(ctx context.Context, c Counting, do func()) error {
	return e.writeSnapshot(ctx, c, func(write func(*chunk) error) error {
		return e.inPieces(func(p *chunk) error {
			do()
			return write(p)
		})
	})
}

// Take is an answer of the store about the name: what another host has told it.
func (s *Shared) Take(name string, others []rules.Failure, block string, since time.Time) {
	k := valkey.Counter{Count: len(others), Block: block, Since: since}
	for _, f := range others {
		w := toWire(f, 2, f.Time)
		k.Failures = append(k.Failures, w)
	}
	s.take(name, k)
}
