package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/rules"
)

// host is one embedded ledger with its file.
type host struct {
	*ledger.Embedded
	t    testing.TB
	path string
	most int
	db   *store.DB
}

func newHost(t testing.TB, maxClients int) *host {
	t.Helper()
	h := &host{t: t, path: filepath.Join(t.TempDir(), "portreeve.db"), most: maxClients}
	h.open(0)
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *host) open(after time.Duration) {
	h.t.Helper()
	now := ledgertest.Noon.Add(after)
	var err error
	if h.db, err = store.Open(h.path, store.Schema, now); err != nil {
		h.t.Fatal(err)
	}
	// New ids, as a new process would make them.
	h.Embedded, err = ledger.OpenEmbedded(context.Background(), h.db, journal.NewIDs("mx1"), h.most, now, ledgertest.Counting, ledgertest.Validity)
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) reopen(after time.Duration) ledger.Ledger {
	h.t.Helper()
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open(after)
	return h.Embedded
}

func (h *host) fail(p netip.Prefix, after time.Duration) rules.Tally {
	h.t.Helper()
	f := rules.Failure{Time: ledgertest.Noon.Add(after), Client: p.Addr(), Login: "jan@domena.cz", Shown: "jan@domena.cz", Protocol: "smtp", Counted: true}
	t, err := h.AddFailure(context.Background(), p, f, ledgertest.Counting)
	if err != nil {
		h.t.Fatal(err)
	}
	return t.Client
}

func (h *host) rows(table string) (n int) {
	h.t.Helper()
	if err := h.db.Reader().QueryRow("select count(*) from " + table).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

func TestEmbedded(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		h := newHost(t, 1000)
		return h.Embedded, h.reopen
	})
}

// A daemon that was told to stop leaves its counters, and one that was killed after it had
// begun with them, none that are good.
func TestEmbeddedSnapshot(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		h := newHost(t, 1000)
		n := 0
		return h.Embedded, func(after time.Duration) ledger.Ledger {
			if n++; n%3 > 0 {
				if err := h.Snapshot(context.Background(), ledgertest.Counting); err != nil {
					t.Fatal(err)
				}
			}
			return h.reopen(after)
		}
	})
}

// What is not readable, not whole, or was counted in another way, is not used.
func TestSnapshotThatIsNotGood(t *testing.T) {
	ctx := context.Background()
	for what, spoil := range map[string]func(*host) error{
		"nothing": func(*host) error { return nil },
		"a counter that ends too early": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("update packed set counters = substr(counters, 1, length(counters) - 1)")
				return err
			})
		},
		"bytes that are none": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("update packed set counters = x'ff00ff00ff00ff00ff00ff00ff00'")
				return err
			})
		},
		"a sum that is another": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("update packed set sum = sum + 1")
				return err
			})
		},
		"a client's that is said to be a login's": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("update packed set login = 1 - login")
				return err
			})
		},
		"another way of counting": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("update packed_until set counting = 'other'")
				return err
			})
		},
		"a row that is missing": func(h *host) error {
			return h.db.Write(ctx, func(tx store.Tx) error {
				_, err := tx.Exec("delete from packed")
				return err
			})
		},
	} {
		h := newHost(t, 1000)
		for range 11 {
			h.fail(numbered(1), time.Minute)
		}
		if _, err := h.BeginBlock(ctx, numbered(1), "first", ledgertest.Noon.Add(time.Minute), ledgertest.Window); err != nil {
			t.Fatal(err)
		}
		if err := h.Snapshot(ctx, ledgertest.Counting); err != nil {
			t.Fatal(err)
		}
		if err := spoil(h); err != nil {
			t.Fatal(err)
		}
		// The failures are gone, so that it shows what was read.
		if err := h.db.Write(ctx, func(tx store.Tx) error {
			_, err := tx.Exec("delete from failures where id < (select max(id) from failures)")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		h.reopen(4 * time.Minute)
		got := h.Tally(numbered(1), ledgertest.Noon.Add(4*time.Minute), ledgertest.Window)
		if used := got.Count == 11 && got.Block == "first"; used != (what == "nothing") {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// A login without @ may be a password: what is left in the file does not say it, though
// memory knows it as the default domain's.
func TestSnapshotHidesPasswords(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, 1000)
	for range 5 {
		f := rules.Failure{Time: ledgertest.Noon, Client: numbered(1).Addr(), Login: "tajneheslo@domena.cz", Shown: rules.ShownLogin("tajneheslo"), Protocol: "smtp", Counted: true}
		if _, err := h.AddFailure(ctx, numbered(1), f, ledgertest.Counting); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Snapshot(ctx, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	var rows, leaks int
	if err := h.db.Reader().QueryRow("select count(*), coalesce(sum(instr(counters, 'tajneheslo')), 0) from packed").Scan(&rows, &leaks); err != nil {
		t.Fatal(err)
	}
	if rows != 1 || leaks != 0 {
		t.Errorf("%d counters, %d of them with the password", rows, leaks)
	}
	h.reopen(time.Minute)
	got := h.Failures(numbered(1), numbered(1).Addr(), ledgertest.Noon)
	if len(got) != 5 || got[0].Login != "t… (10 characters)" || !got[0].Vague {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestTablesHaveABound(t *testing.T) {
	if _, err := ledger.OpenEmbedded(context.Background(), newHost(t, 1).db, journal.NewIDs("mx1"), 0, ledgertest.Noon, ledgertest.Counting, time.Hour); err == nil ||
		!strings.Contains(err.Error(), "raise store.max_clients") {
		t.Errorf("tables of no size: %v", err)
	}
	h := newHost(t, 5)
	blocked := numbered(0)
	for range 11 {
		h.fail(blocked, 0)
	}
	if _, err := h.BeginBlock(context.Background(), blocked, "first", ledgertest.Noon, ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	// A flood of new addresses forgets the oldest of them, and no block.
	for i := 1; i <= 200; i++ {
		h.fail(numbered(i), time.Minute)
	}
	check := func(when string) {
		t.Helper()
		now := ledgertest.Noon.Add(time.Minute)
		if got := h.Tally(blocked, now, ledgertest.Window); got.Count != 11 || got.Block != "first" {
			t.Errorf("%s the block is %+v", when, got)
		}
		known := 0
		for i := 1; i <= 200; i++ {
			known += h.Tally(numbered(i), now, ledgertest.Window).Count
		}
		if known != 5 {
			t.Errorf("%s %d of the flood are known, want the 5 newest", when, known)
		}
		if h.Tally(numbered(200), now, ledgertest.Window).Count != 1 {
			t.Errorf("%s the newest is not known", when)
		}
	}
	check("after the flood")
	h.reopen(time.Minute)
	check("after a restart")
	for i := range 20 { // blocks have the same bound
		for range 11 {
			h.fail(numbered(1000+i), 2*time.Minute)
		}
	}
	if n := h.Blocked(ledgertest.Noon.Add(2*time.Minute), ledgertest.Window); n != 5 {
		t.Errorf("%d blocks in a table of 5", n)
	}
	for i := range 20 {
		if err := h.AddGrant(context.Background(), numbered(i).Addr(), rules.Grant{Login: "jan@domena.cz", Last: ledgertest.Noon}); err != nil {
			t.Fatal(err)
		}
	}
	known := 0
	for i := range 20 {
		known += len(h.Grants(numbered(i).Addr(), ledgertest.Noon, time.Hour))
	}
	if known != 5 {
		t.Errorf("grants of %d addresses in a table of 5", known)
	}
}

func TestPruneEmptiesTheFile(t *testing.T) {
	h := newHost(t, 10000)
	ctx := context.Background()
	errs := make(chan error)
	for i := range 2500 { // more than one chunk
		go func() {
			f := rules.Failure{Time: ledgertest.Noon, Client: numbered(i).Addr(), Login: "a@b.cz", Shown: "a@b.cz", Protocol: "smtp", Counted: true}
			_, err := h.AddFailure(ctx, numbered(i), f, ledgertest.Counting)
			errs <- err
		}()
	}
	for range 2500 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for range 11 {
		h.fail(numbered(1), 0)
	}
	if _, err := h.BeginBlock(ctx, numbered(1), "first", ledgertest.Noon, ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Unblock(ctx, numbered(2).Addr(), ledgertest.Noon, ledgertest.Window); err != nil {
		t.Fatal(err)
	}
	if err := h.AddGrant(ctx, numbered(1).Addr(), rules.Grant{Login: "a@b.cz", Last: ledgertest.Noon}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.BeginGuessed(ctx, "a@b.cz", "first", ledgertest.Noon, ledgertest.Counting.Login); err != nil {
		t.Fatal(err)
	}
	if err := h.AddLogin(ctx, "a@b.cz", numbered(1), ledgertest.Noon); err != nil {
		t.Fatal(err)
	}
	h.prune(30 * time.Minute)
	for table, n := range map[string]int{"failures": 2511, "blocks": 1, "cleared": 1, "grants": 1, "guessed": 1, "logins": 1} {
		if got := h.rows(table); got != n {
			t.Errorf("within the window %s has %d rows, want %d", table, got, n)
		}
	}
	h.prune(30 * 24 * time.Hour)
	for _, table := range []string{"failures", "blocks", "cleared", "grants", "guessed", "logins"} {
		if got := h.rows(table); got != 0 {
			t.Errorf("%s still has %d rows", table, got)
		}
	}
}

func (h *host) prune(after time.Duration) {
	h.t.Helper()
	if err := h.Prune(context.Background(), ledgertest.Noon.Add(after), ledgertest.Counting, ledgertest.Validity); err != nil {
		h.t.Fatal(err)
	}
}

// The addresses that logins came from have a bound, in the file as well.
func TestLoginsHaveABound(t *testing.T) {
	h := newHost(t, 5)
	for i := range 50 {
		if err := h.AddLogin(context.Background(), "a@b.cz", numbered(i), ledgertest.Noon.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	h.prune(time.Hour)
	if n := h.rows("logins"); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
	h.reopen(time.Hour)
	for i := range 50 {
		if got := h.HasLoggedIn("a@b.cz", numbered(i), ledgertest.Noon.Add(time.Hour)); got != (i >= 45) {
			t.Errorf("address %d: %v", i, got)
		}
	}
}

// Ids of a clock that ran ahead must not keep rows for ever.
func TestPruneAfterClockRanAhead(t *testing.T) {
	h := newHost(t, 100)
	h.fail(numbered(1), 365*24*time.Hour)
	h.reopen(0)
	h.fail(numbered(2), 0) // its id comes after that of next year
	h.prune(2 * time.Hour)
	if n := h.rows("failures"); n != 1 {
		t.Errorf("%d rows, want that of next year only", n)
	}
}

// A store that cannot be written is an error, but memory goes on.
func TestMemoryOutlivesTheStore(t *testing.T) {
	h := newHost(t, 100)
	ctx := context.Background()
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 11 {
		f := rules.Failure{Time: ledgertest.Noon, Client: numbered(1).Addr(), Login: "a@b.cz", Shown: "a@b.cz", Counted: true}
		tally, err := h.AddFailure(ctx, numbered(1), f, ledgertest.Counting)
		if !errors.Is(err, store.ErrClosed) || tally.Client.Count != i+1 {
			t.Fatalf("failure %d: %+v, %v", i+1, tally, err)
		}
	}
	if id, err := h.BeginBlock(ctx, numbered(1), "first", ledgertest.Noon, ledgertest.Window); !errors.Is(err, store.ErrClosed) || id != "first" {
		t.Errorf("BeginBlock: %q, %v", id, err)
	}
	if got := h.Tally(numbered(1), ledgertest.Noon, ledgertest.Window); got.Block != "first" || got.Count != 11 {
		t.Errorf("%+v", got)
	}
	if lifted, err := h.Unblock(ctx, numbered(1).Addr(), ledgertest.Noon, ledgertest.Window); err == nil ||
		!strings.HasSuffix(err.Error(), "it is lifted until the daemon restarts") || len(lifted) != 1 {
		t.Errorf("Unblock: %+v, %v", lifted, err)
	}
	if err := h.AddGrant(ctx, numbered(1).Addr(), rules.Grant{Login: "a@b.cz", Last: ledgertest.Noon}); err == nil {
		t.Error("AddGrant said nothing")
	}
	if len(h.Grants(numbered(1).Addr(), ledgertest.Noon, time.Hour)) != 1 {
		t.Error("the grant does not hold")
	}
	if err := h.Prune(ctx, ledgertest.Noon, ledgertest.Counting, time.Hour); err == nil {
		t.Error("Prune said nothing")
	}
}

// What is no address in the file is reported, not guessed at.
func TestUnreadableRows(t *testing.T) {
	for name, insert := range map[string]string{
		"failure's prefix": "insert into failures values(zeroblob(16), 'x', '192.0.2.7', 1, '', '', '', 1)",
		"failure's client": "insert into failures values(zeroblob(16), '192.0.2.7/32', 'x', 1, '', '', '', 1)",
		"short id":         "insert into failures values(x'00', '192.0.2.7/32', '192.0.2.7', 1, '', '', '', 1)",
		"block":            "insert into blocks values('x', 'id', 1)",
		"grant":            "insert into grants values('x', 'a@b.cz', 1)",
	} {
		h := newHost(t, 10)
		if err := h.db.Write(context.Background(), func(tx store.Tx) error { _, err := tx.Exec(insert); return err }); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.OpenEmbedded(context.Background(), h.db, journal.NewIDs("mx1"), 10, time.Unix(0, 2), ledgertest.Counting, time.Hour); err == nil ||
			!strings.HasPrefix(err.Error(), "reading the ledger: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkAddFailure(b *testing.B) {
	h := newHost(b, 1_000_000)
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			h.fail(numbered(i), 0)
		}
	})
}

func BenchmarkTally(b *testing.B) {
	h := newHost(b, 1_000_000)
	for i := range 2000 {
		for range 11 {
			h.fail(numbered(i), 0)
		}
	}
	for _, blocked := range []bool{true, false} {
		b.Run(fmt.Sprintf("blocked=%t", blocked), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					n := i % 2000
					if !blocked {
						n += 2000
					}
					if got := h.Tally(numbered(n), ledgertest.Noon, ledgertest.Window).Count > 10; got != blocked {
						b.Errorf("client %d is blocked: %t", n, got)
						return
					}
				}
			})
		})
	}
}
