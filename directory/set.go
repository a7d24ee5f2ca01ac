package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Set is a directory with the sources behind it: none for a file, and one more
// for [directory.senders].
type Set struct {
	Directory
	sources []*Cache

	mu   sync.Mutex
	down []bool // of each source, as the log has it
}

// NewSet joins a directory with another source of senders; nil: there is none.
func NewSet(main Directory, senders *Cache) *Set {
	s := &Set{Directory: main}
	if c, ok := main.(*Cache); ok {
		s.sources = append(s.sources, c)
	}
	if senders != nil {
		s.sources = append(s.sources, senders)
		s.Directory = withSenders{main, senders}
	}
	s.down = make([]bool, len(s.sources))
	return s
}

// withSenders is a directory whose accounts have further external senders in
// another source.
type withSenders struct {
	Directory
	more Directory
}

// Senders implements Directory. If one of the two cannot answer, nobody knows
// whether it would have named the sender.
func (w withSenders) Senders(ctx context.Context, login string) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errNoAnswer) // of both
	defer cancel()
	list, err := w.Directory.Senders(ctx, login)
	if err != nil {
		return nil, err
	}
	more, err := w.more.Senders(ctx, login)
	if err != nil {
		return nil, err
	}
	switch {
	case len(more) == 0:
		return list, nil
	case len(list) == 0:
		return more, nil
	}
	return slices.Concat(list, more), nil
}

// Sources are those that may fail.
func (s *Set) Sources() []*Cache { return s.sources }

// Health tells how each source does.
func (s *Set) Health() []Health {
	list := make([]Health, len(s.sources))
	for i, c := range s.sources {
		list[i] = c.Health()
	}
	return list
}

// Check asks every question of every source once.
func (s *Set) Check(ctx context.Context) error {
	errs := make([]error, len(s.sources))
	for i, c := range s.sources {
		if err := c.Check(ctx); err != nil {
			errs[i] = fmt.Errorf("%s: %w", c.o.Name, err)
		}
	}
	return errors.Join(errs...)
}

// Tick is Cache.Tick of each source, and logs the changes since the last one.
func (s *Set) Tick(log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.sources {
		c.Tick()
		h := c.Health()
		switch {
		case !h.Up && !s.down[i]:
			log.Error("directory does not answer, known answers go on", "source", h.Name, "for", goOnFor, "error", h.Err)
		case h.Up && s.down[i]:
			log.Info("directory answers again", "source", h.Name)
		}
		s.down[i] = !h.Up
	}
}

// Purge drops every answer.
func (s *Set) Purge() {
	for _, c := range s.sources {
		c.Purge()
	}
}

// Close closes every source.
func (s *Set) Close() error {
	errs := make([]error, len(s.sources))
	for i, c := range s.sources {
		errs[i] = c.Close()
	}
	return errors.Join(errs...)
}
