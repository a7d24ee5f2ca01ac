package maillog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/internal/store"
	"portreeve/rules"
)

// gateway is a gate that writes down what it is told.
type gateway struct {
	mu    sync.Mutex
	told  []rules.Event
	known map[uint64]bool
	fail  error
	more  chan struct{} // gets a value, if there is room, with each event
}

func (g *gateway) Tell(_ context.Context, e rules.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = map[uint64]bool{}
	}
	if e.ID == 0 {
		return errors.New("an event without an id")
	}
	if !g.known[e.ID] { // as the ledger does
		g.known[e.ID] = true
		g.told = append(g.told, e)
	}
	select {
	case g.more <- struct{}{}:
	default:
	}
	return g.fail
}

// logins are those of the events since the last call, in order.
func (g *gateway) logins() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for _, e := range g.told {
		list = append(list, e.Login)
	}
	g.told = nil
	return strings.Join(list, " ")
}

// meter counts.
type meter struct {
	mu      sync.Mutex
	reports map[string]int
	long    int
}

func (m *meter) AuthReport(service, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports[service+" "+result]++
}

func (m *meter) ProtocolError(rules.Protocol) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.long++
}

// rig is a mail log and a follower that is told when to look.
type rig struct {
	*testing.T
	path  string
	gate  gateway
	meter meter
	db    *store.DB
	now   time.Time
	log   strings.Builder
	file  *file
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, path: filepath.Join(t.TempDir(), "mail.log"), now: ref}
	r.meter.reports = map[string]int{}
	r.gate.more = make(chan struct{}, 1)
	var err error
	if r.db, err = store.Open(filepath.Join(t.TempDir(), "portreeve.db"), store.Schema, r.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) options(files ...string) Options {
	return Options{
		Files: files, Gate: &r.gate, Meter: &r.meter, Positions: StoredPositions{r.db},
		Now: func() time.Time { return r.now }, Log: slog.New(slog.NewTextHandler(&r.log, nil)),
		Failures: true, Logins: true,
	}
}

// start opens the log as a starting daemon does.
func (r *rig) start() {
	r.Helper()
	f, err := Open(r.Context(), r.options(r.path))
	if err != nil {
		r.Fatal(err)
	}
	r.file = f.sources[0].(*file)
	r.poll()
}

// stop ends the follower; a crash does so without storing where it was.
func (r *rig) stop(crash bool) {
	r.Helper()
	if !crash {
		if err := r.file.save(r.Context()); err != nil {
			r.Fatal(err)
		}
	}
	if err := r.file.close(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) poll() {
	r.Helper()
	if err := r.file.poll(r.Context()); err != nil {
		r.Fatal(err)
	}
}

// want polls, and compares the logins that were told since it was last called.
func (r *rig) want(logins string) {
	r.Helper()
	r.poll()
	if got := r.gate.logins(); got != logins {
		r.Errorf("told %q, want %q", got, logins)
	}
}

// failure is a line of Postfix's, at the rig's time.
func (r *rig) failure(login string) string {
	return fmt.Sprintf("%s mx postfix/smtpd[1]: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%s\n",
		r.now.Format(traditional), login)
}

func (r *rig) failures(logins string) {
	r.Helper()
	for login := range strings.FieldsSeq(logins) {
		r.write(r.path, r.failure(login))
	}
}

// write appends, as a log daemon does.
func (r *rig) write(path, text string) {
	r.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		r.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		r.Fatal(err)
	}
}

// rename is the first half of logrotate's work; the second is a new file.
func (r *rig) rename() {
	r.Helper()
	if err := os.Rename(r.path, r.path+".1"); err != nil {
		r.Fatal(err)
	}
}

// copyTruncate is logrotate's copytruncate.
func (r *rig) copyTruncate() {
	r.Helper()
	content, err := os.ReadFile(r.path)
	if err == nil {
		err = errors.Join(os.WriteFile(r.path+".1", content, 0o640), os.Truncate(r.path, 0))
	}
	if err != nil {
		r.Fatal(err)
	}
}
