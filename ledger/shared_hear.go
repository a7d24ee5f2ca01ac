package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"portreeve/internal/store"
	"portreeve/ledger/valkey"
)

// hear takes over what others have changed. What it could not finish it goes on with
// at the next call.
func (s *Shared) hear(ctx context.Context, changes valkey.Changes) error {
	for _, login := range changes.Resets {
		s.quotas.reset(login)
		s.others.forget(login)
		s.db.Later(dropCharged(login))
	}
	if changes.Lost {
		s.renewed = time.Time{} // nor has it the places of messages that are under way
	}
	if changes.Start {
		// Before what others know is in this host's file as well: it would be told that. If
		// hearing does not come to its end, it starts again; once is enough.
		if marks := s.link.Marks(); marks != s.toldTo {
			if err := s.compareMarks(ctx, changes.Lost); err != nil && ctx.Err() == nil {
				s.o.Log.Error("shared store may miss what this host knows", "error", err)
			}
			s.toldTo = marks
		}
		// What is blocked here, too: its block may have been lifted, and times are of the
		// clocks as they were.
		changes.Counters = append(changes.Counters, s.above()...)
	}
	s.unheard = append(s.unheard, changes.Counters...)
	slices.Sort(s.unheard)
	s.unheard = slices.Compact(s.unheard)
	for len(s.unheard) > 0 {
		some := s.unheard[:min(len(s.unheard), batchSize)]
		if err := s.hearSome(ctx, some); err != nil {
			return err
		}
		s.unheard = s.unheard[len(some):]
	}
	s.toldTo = ""
	return nil
}

func (s *Shared) hearSome(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	b := s.link.Batch()
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.window(name).Limit == 0 })
	for _, name := range names {
		b.Look(name, s.window(name))
	}
	told, err := b.Send(ctx)
	if err != nil {
		return err
	}
	for i, t := range told {
		s.odd("hearing what has changed", t.Err)
		if t.Counter != nil {
			s.take(names[i], *t.Counter)
		}
	}
	return nil
}

// above names the clients and the logins that are above the limit here.
func (s *Shared) above() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	s.logins.above.All(func(login, _ []byte) bool {
		names = append(names, string(login))
		return true
	})
	s.clients.above.All(func(client, _ []byte) bool {
		names = append(names, prefixOf(client).String())
		return true
	})
	return names
}

// compareMarks finds out whether the store is the one that it was when this host saw
// it last. If not, it is told all that this host knows.
func (s *Shared) compareMarks(ctx context.Context, lost bool) error {
	const name = "marks"
	marks := s.link.Marks()
	var old string
	err := s.db.Reader().QueryRowContext(ctx, "select coalesce(max(value), '') from shared where name = ?", name).Scan(&old)
	if err != nil {
		return fmt.Errorf("reading what is known of the shared store: %w", s.db.Read(err))
	}
	if old == marks && !lost {
		return nil
	}
	n, err := s.tellAll(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		s.o.Log.Info("shared store has lost what it had, or is new: it is told what this host knows", "events", n)
	}
	return s.putShared(ctx, name, marks)
}

func (s *Shared) putShared(ctx context.Context, name, value string) error {
	err := s.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("insert into shared(name, value) values(?, ?) on conflict(name) do update set value = excluded.value", name, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("keeping what is known of the shared store: %w", err)
	}
	return nil
}
