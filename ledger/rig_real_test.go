//go:build real

package ledger_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
)

func TestMain(m *testing.M) {
	ledger.AskAlways()
	os.Exit(m.Run())
}

// hand is a clock that is set by hand, that of the hosts and of the store.
type hand struct {
	mu    sync.Mutex
	now   time.Time
	keys  *shelf
	noted time.Time // when the keys were looked at last
}

func newHand(keys *shelf) *hand {
	return &hand{now: ledgertest.Noon, noted: ledgertest.Noon, keys: keys}
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.Sub(h.noted).Abs() >= time.Minute {
		h.keys.note(h.now)
		h.noted = t
	}
	h.now = t
}

// expire lets go what has expired by this clock. The embedded ledger forgets then,
// too: when it is pruned, and when it starts.
func (h *hand) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys.note(h.now)
	h.keys.expire(h.now)
}

// atLeast moves the clock, but not back: what is told may be late.
func (h *hand) atLeast(t time.Time) {
	if t.After(h.Now()) {
		h.set(t)
	}
}

// lines is a log that is read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how many lines have the text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// mx is one host that shares a store: its file, its ledger, its journal.
type mx struct {
	*ledger.Shared
	t       testing.TB
	name    string
	path    string
	store   valkey.Options
	most    int // clients that it remembers
	db      *store.DB
	journal *journal.Journal
	entry   func(context.Context, string) ([]byte, bool, error) // nil: the journal's
	log     lines
}

// newMX makes a host and opens it. It remembers 20,000 clients, or as many as it
// is told.
func newMX(t testing.TB, name string, o valkey.Options, most ...int) *mx {
	t.Helper()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout == 0 {
		o.Timeout = 8 * time.Second // what is tried here is not how fast this machine is
	}
	h := &mx{t: t, name: name, path: filepath.Join(t.TempDir(), name+".db"), store: o, most: slices.Max(append(most, 20_000))}
	h.open()
	t.Cleanup(func() {
		if h.db != nil {
			h.close()
		}
		if t.Failed() {
			t.Logf("%s's log:\n%s", name, h.log.text.String())
		}
	})
	return h
}

func (h *mx) open() {
	h.t.Helper()
	ctx := context.Background()
	var err error
	if h.db, err = store.Open(h.path, store.Schema, h.store.Now()); err != nil {
		h.t.Fatal(err)
	}
	e, err := ledger.OpenEmbedded(ctx, h.db, journal.NewIDs(h.name), h.most, h.store.Now(), ledgertest.Counting, ledgertest.Validity)
	if err != nil {
		h.t.Fatal(err)
	}
	h.journal = journal.New(h.db)
	entry := h.entry
	if entry == nil {
		entry = h.journal.Body
	}
	h.Shared, err = ledger.OpenShared(ctx, e, ledgertest.Counting, ledgertest.Validity, ledger.SharedOptions{
		Store: h.store, Host: h.name, Keep: 720 * time.Hour, Entry: entry,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.journal.Share(h.Entries())
}

func (h *mx) close() {
	h.t.Helper()
	if err := h.Shared.Close(); err != nil {
		h.t.Error(err)
	}
	if err := h.db.Close(); err != nil {
		h.t.Error(err)
	}
	h.db = nil
}

// patience is how long a test waits for what should come soon.
const patience = 30 * time.Second

func (h *mx) until(what string, is func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	h.t.Fatalf("%s: waited in vain until %s", h.name, what)
}

// told waits until the store has heard everything.
func (h *mx) told() {
	h.t.Helper()
	h.until("the store has heard everything", func() bool { return h.Waiting() == 0 })
}

// hears asks the store what has changed.
func (h *mx) hears() {
	h.t.Helper()
	if err := h.Listen(context.Background()); err != nil {
		h.t.Fatalf("%s: %v", h.name, err)
	}
}

// up waits until the store is known to be there, or not.
func (h *mx) up(want bool) {
	h.t.Helper()
	h.until("the store's state is known", func() bool { return (h.Away() == nil) == want })
}

// refusal is one for the journal.
func (h *mx) refusal(rule string) journal.Entry {
	now := h.store.Now().UTC()
	return journal.Entry{
		ID: journal.NewIDs(h.name).Next(now).String(), Time: now, Last: now, Count: 1, Host: h.name, Rule: rule, Reason: "test",
		Observed: true, Protocol: "milter", Stage: "MAIL", Reply: "550 5.1.0 <a@b.cz> sender rejected", Client: "192.0.2.7",
		Login: "jan@domena.cz", Facts: json.RawMessage(`{"limit":10,"count":3}`),
	}
}

// server starts one store.
func server(t testing.TB, options ...string) (*valkeytest.Server, valkey.Options) {
	t.Helper()
	s := valkeytest.Start(t, options...).Ready()
	return s, valkey.Options{Addresses: []string{s.Addr}}
}

// each calls use for each of the servers.
func each(t testing.TB, addrs []string, use func(rueidis.Client)) {
	t.Helper()
	for _, addr := range addrs {
		conn, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
		if err != nil {
			t.Fatal(err)
		}
		use(conn)
		conn.Close()
	}
}

// flushAll empties the servers.
func flushAll(t testing.TB, addrs []string) {
	t.Helper()
	each(t, addrs, func(c rueidis.Client) {
		if err := c.Do(context.Background(), c.B().Flushall().Build()).Error(); err != nil {
			t.Fatal(err)
		}
	})
}

// shelf knows when each key of the servers expires by a clock that is set by hand:
// the servers' own nobody can set.
type shelf struct {
	t     testing.TB
	addrs []string
	given map[string]int64 // the time of the servers at which a key expires, as noted last
	until map[string]time.Time
}

func newShelf(t testing.TB, addrs []string) *shelf {
	return &shelf{t: t, addrs: addrs, given: map[string]int64{}, until: map[string]time.Time{}}
}

// note finds the keys that were given a time to live since it looked last.
func (s *shelf) note(now time.Time) {
	s.t.Helper()
	s.each(func(c rueidis.Client, key string) {
		at, err := c.Do(context.Background(), c.B().Pexpiretime().Key(key).Build()).AsInt64()
		if err != nil {
			s.t.Fatal(err)
		}
		if at > 0 && at != s.given[key] {
			s.until[key] = now.Add(time.Until(time.UnixMilli(at)))
		}
		s.given[key] = at
	})
}

func (s *shelf) expire(now time.Time) {
	s.t.Helper()
	s.each(func(c rueidis.Client, key string) {
		if until, ok := s.until[key]; ok && !until.After(now) {
			if err := c.Do(context.Background(), c.B().Del().Key(key).Build()).Error(); err != nil {
				s.t.Fatal(err)
			}
			delete(s.until, key)
			delete(s.given, key)
		}
	})
}

func (s *shelf) each(use func(c rueidis.Client, key string)) {
	s.t.Helper()
	each(s.t, s.addrs, func(c rueidis.Client) {
		keys, err := c.Do(context.Background(), c.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, key := range keys {
			use(c, key)
		}
	})
}
