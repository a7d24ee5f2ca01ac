//go:build real && soak

package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
	"portreeve/internal/admin"
)

// quotaPart is the traffic of the account that has a limit.
const (
	quotaPart  = "above the quota"
	quotaLogin = "karel@b.cz"
	quotaLimit = 60
)

// The margin within which memory is flat: what the last quarter may have more
// than the first, for tables that fill as the traffic goes on.
const memoryMargin = 16 << 10 // KiB

// soak is one run.
type soak struct {
	t     *testing.T
	world *real.World
	admin *admin.Client
	book  *book
	began time.Time
	hold  sync.RWMutex // held for writing, nothing is sent

	mu      sync.Mutex
	outages []*outage
	memory  []sample
}

// outage is a time in which the two sides may not have heard each other.
type outage struct {
	what     string
	from, to time.Time // to is zero while it lasts
	store    bool      // the store alone: everybody is answered
}

type sample struct {
	at  time.Duration
	kib int
}

// Mixed traffic at a steady rate from several hundred addresses through the real
// Postfix and Dovecot, for SOAK_MINUTES, with reloads, restarts, kill -9 and a
// full disk in between. Every message ends queued or refused with an id that is
// known, both sides have counted the same, and memory is flat.
func TestSoak(t *testing.T) {
	length := time.Duration(number(t, "SOAK_MINUTES", 20)) * time.Minute
	s := newSoak(t)
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { s.traffic(ctx, number(t, "SOAK_RATE", 8)) })
	running.Go(func() { s.watch(ctx) })
	last := s.days(length)
	<-ctx.Done()
	running.Wait()
	s.audit(last)
}

// number is a setting of the run.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number above 0", name, text)
	}
	return n
}

// newSoak is a host whose store is on a small file system of its own.
func newSoak(t *testing.T) *soak {
	t.Helper()
	w := host.World(t, dialogue.Settings{Portreeve: map[string]any{
		"smtp_after_pop.enabled": true, "store.path": filepath.Join(smallDisk(t, "96m"), "portreeve.db"),
		"log.level": "info", "networks.trusted": []any{"127.0.0.1/32"},
	}})
	s := &soak{t: t, world: w, book: newBook(), began: time.Now()}
	s.admin = admin.NewClient("unix", filepath.Join(filepath.Dir(w.Daemon.Config), "admin.sock"))
	accounts, err := os.ReadFile(filepath.Join(filepath.Dir(w.Daemon.Config), "accounts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	limited := strings.Replace(string(accounts), `"karel@b.cz"          = {}`, fmt.Sprintf(`%q = { messages_per_hour = %d }`, quotaLogin, quotaLimit), 1)
	if limited == string(accounts) {
		t.Fatal("accounts.toml has no line for karel@b.cz any more; mend the soak")
	}
	if err := w.Accounts(t.Context(), limited); err != nil {
		t.Fatal(err)
	}
	verb(t, w, 0, "reload")
	return s
}

// days goes through the bad days of the run, in rounds of about five minutes,
// and returns the totals from which the end is counted.
func (s *soak) days(length time.Duration) totals {
	rounds := max(1, int(length/(5*time.Minute)))
	round := length / time.Duration(rounds)
	for i := range rounds {
		begin := time.Duration(i) * round
		for _, one := range []struct {
			at float64
			do func()
		}{
			{0.12, s.reload},
			{0.20, s.badReload},
			{0.30, func() { s.restart(false) }},
			{0.48, func() { s.restart(true) }},
			{0.66, s.fullDisk},
			{0.80, s.reload},
		} {
			time.Sleep(time.Until(s.began.Add(begin + time.Duration(one.at*float64(round)))))
			one.do()
		}
	}
	return s.totals() // of a moment when nothing is under way
}

func (s *soak) say(format string, args ...any) {
	s.t.Logf("%6s  %s", time.Since(s.began).Round(time.Second), fmt.Sprintf(format, args...))
}

func (s *soak) reload() {
	verb(s.t, s.world, 0, "reload")
	s.say("reloaded")
}

// badReload gives the daemon a file that it must not take.
func (s *soak) badReload() {
	s.t.Helper()
	good, err := os.ReadFile(s.world.Daemon.Config)
	if err != nil {
		s.t.Fatal(err)
	}
	write := func(body []byte) {
		if err := os.WriteFile(s.world.Daemon.Config, body, 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	write(append([]byte("mdoe = \"observe\"\n"), good...))
	got, err := s.admin.Reload(s.t.Context())
	write(good)
	if err != nil || len(got.Problems) == 0 {
		s.t.Fatalf("a bad file is taken: %+v %v", got, err)
	}
	s.say("a bad file is refused: %s", got.Problems[0])
}

// restart ends the daemon and starts it again. The outage is over when Dovecot
// asks again: it backs off from a server that was away.
func (s *soak) restart(kill bool) {
	what := "SIGTERM, and a start"
	if kill {
		what = "kill -9, and a start"
	}
	o := s.away(what, false)
	began := time.Now()
	if err := s.world.Restart(s.t.Context(), kill); err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(began)
	probe := netip.AddrFrom4([4]byte{127, 5, 0, byte(len(s.outages))})
	for deadline := time.Now().Add(2 * time.Minute); ; {
		t := s.dial(s.t.Context(), probe, 587)
		s.guess(t, probe)
		t.close()
		if n := s.failuresOf(probe); n > 0 {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("Dovecot has not asked for two minutes after a restart")
		}
	}
	s.back(o)
	s.say("%s: %s; Dovecot asked again after %s", what, took.Round(time.Millisecond), time.Since(began).Round(time.Second))
}

// fullDisk fills the store's file system for a while.
func (s *soak) fullDisk() {
	s.t.Helper()
	o := s.away("full disk", true)
	store := s.status().Store.Path
	path := filepath.Join(filepath.Dir(store), "filler")
	truncateWAL(s.t, store)
	fill(s.t, path)
	eventually(s.t, "the alarm of a full disk", func() bool { return !s.status().Store.Up })
	time.Sleep(10 * time.Second) // traffic goes on
	if n := s.metric(`portreeve_store_up`); n != 0 {
		s.book.complain("portreeve_store_up is %d on a full disk", n)
	}
	unrecorded := s.status().Counts.Unrecorded
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the end of the alarm", func() bool { return s.status().Store.Up })
	s.back(o)
	s.say("the store's disk was full for 10 s: %d entries and events not stored in time", unrecorded)
}

// truncateWAL gives back the space that the store has in its log: it would write
// there for a long time before it asks a full disk for more.
func truncateWAL(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	eventually(t, "a checkpoint of the store", func() bool {
		var busy, frames, done int
		if err := db.QueryRow("pragma wal_checkpoint(truncate)").Scan(&busy, &frames, &done); err != nil {
			t.Fatal(err)
		}
		return busy == 0
	})
}

func (s *soak) status() admin.Status {
	s.t.Helper()
	got, err := s.admin.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *soak) away(what string, store bool) *outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &outage{what: what, from: time.Now(), store: store}
	s.outages = append(s.outages, o)
	return o
}

func (s *soak) back(o *outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.to = time.Now()
}

// certain tells whether Portreeve was there, and asked, from then until now;
// durable, whether its store was as well.
func (s *soak) certain(since time.Time) bool { return !s.met(since, false) }
func (s *soak) durable(since time.Time) bool { return !s.met(since, true) }

func (s *soak) met(since time.Time, store bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outages {
		if (o.to.IsZero() || o.to.After(since)) && (store || !o.store) {
			return true
		}
	}
	return false
}

// watch notes the daemon's resident size.
func (s *soak) watch(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.world.Daemon.PID()))
		if err != nil {
			continue // it is being restarted
		}
		for line := range strings.Lines(string(body)) {
			var kib int
			if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
				s.mu.Lock()
				s.memory = append(s.memory, sample{time.Since(s.began), kib})
				s.mu.Unlock()
			}
		}
	}
}
