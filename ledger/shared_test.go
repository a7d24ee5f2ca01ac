package ledger_test

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/ledger/ledgertest"
	"portreeve/ledger/valkey"
	"portreeve/rules"
)

// nobody is an address where no server listens: a connection is refused at once.
const nobody = "127.0.0.1:1"

// lonely is a host whose store is away from the beginning.
type lonely struct {
	*ledger.Shared
	t    *testing.T
	path string
	db   *store.DB
	log  strings.Builder
}

func (h *lonely) open(after time.Duration) {
	h.t.Helper()
	now := ledgertest.Noon.Add(after)
	var err error
	if h.db, err = store.Open(h.path, store.Schema, now); err != nil {
		h.t.Fatal(err)
	}
	e, err := ledger.OpenEmbedded(context.Background(), h.db, journal.NewIDs("mx1"), 1000, now, ledgertest.Counting, ledgertest.Validity)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Shared, err = ledger.OpenShared(context.Background(), e, ledgertest.Counting, ledgertest.Validity, ledger.SharedOptions{
		Store: valkey.Options{Addresses: []string{nobody}, Timeout: 100 * time.Millisecond, Now: time.Now, Password: "tajneheslo"},
		Host:  "mx1", Keep: time.Hour, Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *lonely) close() {
	h.t.Helper()
	if err := h.Shared.Close(); err != nil {
		h.t.Error(err)
	}
	if err := h.db.Close(); err != nil {
		h.t.Error(err)
	}
}

func newLonely(t *testing.T) *lonely {
	h := &lonely{t: t, path: filepath.Join(t.TempDir(), "portreeve.db")}
	h.open(0)
	t.Cleanup(h.close)
	return h
}

// liftedHere is a lonely host in the suite, which is told of no error: that the other
// hosts have not heard of a lifted block is one.
type liftedHere struct{ *lonely }

func (h liftedHere) Unblock(ctx context.Context, client netip.Addr, now time.Time, w ledger.Window) ([]ledger.Block, error) {
	lifted, err := h.Shared.Unblock(ctx, client, now, w)
	if err == nil || !strings.Contains(err.Error(), "on the others once the shared store is back") {
		h.t.Errorf("unblock says %v", err)
	}
	return lifted, nil
}

func (h liftedHere) Reset(ctx context.Context, login string) error {
	err := h.Shared.Reset(ctx, login)
	if err == nil || !strings.Contains(err.Error(), "on the others once the shared store is back") {
		h.t.Errorf("reset says %v", err)
	}
	return nil
}

// Without its store a host does all that an embedded ledger does.
func TestSharedAlone(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) (ledger.Ledger, func(time.Duration) ledger.Ledger) {
		h := newLonely(t)
		return liftedHere{h}, func(after time.Duration) ledger.Ledger {
			h.close()
			h.open(after)
			return liftedHere{h}
		}
	})
}

// It starts, says once that it is alone, asks nobody for anything, and keeps what the
// others should know.
func TestSharedAway(t *testing.T) {
	h := newLonely(t)
	err := h.Away()
	if err == nil || !strings.HasSuffix(err.Error(), "see that the server of store.valkey.addresses runs and can be reached") {
		t.Errorf("it says: %v", err)
	}
	if h.Healthy() != nil {
		t.Error("a host without its store is taken out of service")
	}
	began := time.Now()
	for range 100 {
		h.Grants(netip.MustParseAddr("192.0.2.7"), began, time.Hour)
		h.Reserve("jan@domena.cz", "1", rules.Limits{Messages: 5}, began, false)
		h.Failures(netip.MustParsePrefix("192.0.2.7/32"), netip.Addr{}, began)
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("300 questions took %s", took)
	}
	f := rules.Failure{Time: began, Client: netip.MustParseAddr("192.0.2.7"), Login: "tajne", Shown: rules.ShownLogin("tajne"), Counted: true}
	if _, err := h.AddFailure(context.Background(), netip.MustParsePrefix("192.0.2.7/32"), f, ledgertest.Counting); err != nil {
		t.Fatal(err)
	}
	if got := h.Waiting(); got != 1 {
		t.Errorf("%d events wait, want 1", got)
	}
	var kept string
	if err := h.db.Reader().QueryRow("select group_concat(event) from outbox").Scan(&kept); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(kept, "tajne") {
		t.Errorf("what may be a password is kept: %s", kept)
	}
	for range 3 {
		if h.Listen(context.Background()) == nil {
			t.Error("it has found a store")
		}
	}
	h.close()
	if n := strings.Count(h.log.String(), "shared store is away"); n != 1 || strings.Contains(h.log.String(), "tajneheslo") {
		t.Errorf("the log: %s", h.log.String())
	}
	h.open(0)
	if got := h.Waiting(); got != 2 { // the failure, and the places that were given back at the end
		t.Errorf("after a restart %d events wait, want 2", got)
	}
}
