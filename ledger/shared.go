package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger/valkey"
)

const (
	// listenEvery is how often the store is asked what has changed, and so how late a
	// block, or its end, is known on the other hosts.
	listenEvery = 200 * time.Millisecond
	// retryEvery is how often a store that is away is looked for.
	retryEvery = time.Second
	// tellWithin bounds one batch of what is told in the background.
	tellWithin = 5 * time.Second
	// startWithin bounds the wait for the store at the start: then the host goes on
	// without, as it would later.
	startWithin = 2 * time.Second
)

// SharedOptions are what a Shared is made from.
type SharedOptions struct {
	Store valkey.Options
	Host  string        // this host's name, as in its ids
	Keep  time.Duration // journal.keep
	Log   *slog.Logger
	// Entry reads a journal entry that another host may ask for; false: it has gone.
	Entry func(ctx context.Context, id string) (body []byte, found bool, err error)
}

// Shared is the ledger of hosts that share a store. It wraps an Embedded, which has
// everything that this host counts and answers alone while the store is away.
//
// Blocks and guessed logins of all hosts are kept in memory, so no client that may
// pass costs a question; the store's feed says which have changed. What is counted
// is counted by the store; what it does not acknowledge waits in the outbox.
type Shared struct {
	*Embedded
	o        SharedOptions
	link     *valkey.Client
	out      *outbox
	host     uint16
	process  string       // names this process in its messages' names
	validity atomic.Int64 // a time.Duration
	others   *others
	lifted   lifted      // guarded by the memory's lock
	repeats  chan repeat // refusals to be counted at the store
	counting atomic.Pointer[Counting]
	status   atomic.Pointer[linkStatus]
	peers    atomic.Pointer[[]string]
	oddAt    atomic.Int64 // when an unusable answer was logged last

	poll    sync.Mutex // one at a time; it guards what follows
	unheard []string   // names that have changed and could not be asked for
	toldTo  string     // the marks of a store that was told all, and has not been heard to the end
	other   bool       // it may not have what it acknowledged of late
	toldAll []int64    // the numbers of the events that told it all, the last time
	renewed time.Time  // the places of messages
	asked   time.Time  // for the hosts' names, and the store's memory
	full    bool       // the store's memory, as it was logged
	evicts  bool
	twin    bool // another host has this one's name

	stop  context.CancelFunc
	ended sync.WaitGroup
}

// linkStatus is the store as this host sees it.
type linkStatus struct {
	err   error
	since time.Time
}

var _ Ledger = (*Shared)(nil)

// OpenShared joins the hosts that share the store. It waits for the store for a
// moment only: a host must start without it. Close ends it; the embedded ledger's
// file stays open.
func OpenShared(ctx context.Context, e *Embedded, c Counting, validity time.Duration, o SharedOptions) (*Shared, error) {
	out, err := openOutbox(ctx, e.db)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox of the shared store: %w", err)
	}
	s := &Shared{
		Embedded: e, o: o, out: out, host: journal.HostNumber(o.Host), process: journal.NewIDs(o.Host).Next(o.Store.Now()).String(),
		others: newOthers(), repeats: make(chan repeat, maxRepeats),
	}
	s.counting.Store(&c)
	s.validity.Store(int64(validity))
	if err := s.loadPeers(ctx); err != nil {
		return nil, fmt.Errorf("reading the hosts of the shared store: %w", err)
	}
	o.Store.Host = o.Host
	s.link = valkey.New(o.Store)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	first := make(chan struct{})
	s.ended.Go(func() { s.listen(running, first) })
	s.ended.Go(func() { s.deliver(running) })
	s.ended.Go(func() { s.tellRepeats(running) })
	select {
	case <-first:
	case <-time.After(startWithin):
	case <-ctx.Done():
	}
	return s, nil
}

// Close gives back what is under way, tells what waits if the store is there, and
// ends.
func (s *Shared) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	s.releaseAll()
	s.stop()
	s.ended.Wait()
	var err error
	for s.link.Up() && err == nil {
		var n int
		if n, err = s.deliverSome(ctx); n == 0 {
			break
		}
	}
	s.link.Close()
	if errors.Is(err, valkey.ErrAway) {
		err = nil // it waits in the outbox
	}
	return errors.Join(err, s.out.sweep(ctx))
}

// Remote tells, by being there, that some answers come from others: all but the tallies,
// which are kept here.
func (s *Shared) Remote() {}

// Away returns nil, or why the shared store cannot be used, and since when.
func (s *Shared) Away() error {
	st := s.status.Load()
	if st == nil || st.err == nil {
		return nil
	}
	return fmt.Errorf("the shared store has been away since %s, this host goes on by itself: %w", st.since.UTC().Format(time.RFC3339), st.err)
}

// Waiting is how many events wait for the shared store.
func (s *Shared) Waiting() int { return s.out.length() }

// listen hears what others have changed, and probes a store that is away.
func (s *Shared) listen(ctx context.Context, first chan struct{}) {
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	var next time.Time
	for {
		if now := time.Now(); !now.Before(next) {
			if s.Listen(ctx) != nil {
				next = now.Add(retryEvery)
			}
			if first != nil {
				close(first)
				first = nil
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.link.Wake():
			next = time.Time{}
		case <-tick.C:
		}
	}
}

// Listen asks once what others have changed. It is called all the time.
func (s *Shared) Listen(ctx context.Context) error {
	s.poll.Lock()
	defer s.poll.Unlock()
	if !s.link.Up() {
		s.out.hold()
	}
	changes, err := s.link.Probe(ctx)
	if err == nil {
		s.other = s.other || changes.Other || changes.Lost
		if err = s.hear(ctx, changes); err != nil && s.link.Why() != nil {
			err = s.link.Why()
		}
	}
	if ctx.Err() != nil {
		return err
	}
	if err != nil {
		s.report(err)
		return err
	}
	s.report(s.link.Slow())
	// A replica that took over may not have what the old server acknowledged.
	if s.other {
		s.other = false
		if _, err := s.laterAll(ctx, s.out.lately()); err != nil {
			s.o.Log.Error("shared store may miss what was told last", "error", err)
		}
	}
	s.out.unhold()
	s.upkeep(ctx)
	return nil
}

// report logs each change of the store's state once.
func (s *Shared) report(err error) {
	old := s.status.Load()
	now := s.o.Store.Now()
	switch {
	case err != nil && (old == nil || old.err == nil):
		s.status.Store(&linkStatus{err, now})
		s.o.Log.Error("shared store is away, this host goes on with what it knows and counts by itself", "error", err)
	case err != nil:
		s.status.Store(&linkStatus{err, old.since})
	case old == nil:
		s.status.Store(&linkStatus{nil, now})
	case old.err != nil:
		s.status.Store(&linkStatus{nil, now})
		s.o.Log.Info("shared store is back", "away", now.Sub(old.since).Round(time.Millisecond), "waiting", s.out.length())
	}
}

// odd logs an answer that the store gave, and should not have. Its absence is no such:
// that is logged once.
func (s *Shared) odd(doing string, err error) {
	if valkey.Refused(err) {
		s.unusable(doing, err)
	}
}

// unusable logs what nobody understands, once a second at most.
func (s *Shared) unusable(doing string, err error) {
	now, last := time.Now().UnixNano(), s.oddAt.Load()
	if now-last >= int64(time.Second) && s.oddAt.CompareAndSwap(last, now) {
		s.o.Log.Error("shared store gave no usable answer", "doing", doing, "error", err)
	}
}

// window is how failures of the name are counted.
func (s *Shared) window(name string) valkey.Window {
	c := *s.counting.Load()
	w := c.Client
	if isLogin(name) {
		w = c.Login
	}
	return c.wire(w)
}

func (c Counting) wire(w Window) valkey.Window {
	return valkey.Window{Limit: w.Limit, Length: w.Length, Once: w.Once, Keep: c.retention()}
}

func (s *Shared) grantsLast() time.Duration { return time.Duration(s.validity.Load()) }

func (s *Shared) wire(w Window) valkey.Window { return s.counting.Load().wire(w) }

// write puts an event into the file, in the transaction of what it is about.
func (s *Shared) write(ctx context.Context, seq int64, e event, writes ...func(store.Tx) error) error {
	return s.db.Write(ctx, func(tx store.Tx) error {
		for _, write := range writes {
			if err := write(tx); err != nil {
				return err
			}
		}
		return e.put(seq)(tx)
	})
}

// later tells an event in the background, once it is written.
func (s *Shared) later(ctx context.Context, e event, writes ...func(store.Tx) error) error {
	seq := s.out.number()
	err := s.write(ctx, seq, e, writes...)
	s.out.send(numbered{seq, e}, err)
	return err
}

// Prune implements Ledger.
func (s *Shared) Prune(ctx context.Context, now time.Time, c Counting, validity time.Duration) error {
	s.counting.Store(&c)
	s.validity.Store(int64(validity))
	if err := s.pruneCharged(ctx, now); err != nil {
		return err
	}
	return s.Embedded.Prune(ctx, now, c, validity)
}
