//go:build real

package integration

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portreeve/integration/real"
)

// leastSituations is how many the table must have.
const leastSituations = 25

// score counts the situations, those whose cause was named, and those whose
// remedy helped.
type score struct{ all, explained, remedied atomic.Int32 }

func (s *score) String() string {
	return fmt.Sprintf("%d of %d explained, %d of %d remedied", s.explained.Load(), s.all.Load(), s.remedied.Load(), s.all.Load())
}

// A customer's message is refused, and the text of the reply is all that the help
// desk gets. `explain` must name the cause and a remedy; the remedy is carried out
// as it was printed, and the same message must then be accepted.
func TestSituations(t *testing.T) {
	listed := 0
	for _, h := range situationHosts {
		listed += len(h.situations)
	}
	if listed < leastSituations {
		t.Errorf("the table has %d situations, and should have %d at least", listed, leastSituations)
	}
	var counts score
	t.Run("on", func(t *testing.T) {
		for n, h := range situationHosts {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				h.play(t, n, &counts)
			})
		}
	})
	t.Log(&counts)
	if all := counts.all.Load(); counts.explained.Load() != all || counts.remedied.Load() != all {
		t.Errorf("not every situation was explained and remedied: %s", &counts)
	}
}

// situationHost is a mail host and what happens to its customers.
type situationHost struct {
	name, recipe string
	settings     map[string]any // over testdata/portreeve.toml
	// alone: one situation after another, each from the same start, since their
	// remedies change what holds for everybody.
	alone      bool
	situations []situation
}

// play starts the host and plays its situations. n tells it from the others.
func (h situationHost) play(t *testing.T, n int, counts *score) {
	desk := h.start(t, n)
	for i, s := range h.situations {
		t.Run(s.name, func(t *testing.T) {
			if !h.alone {
				t.Parallel()
			}
			counts.all.Add(1)
			client := netip.AddrFrom4([4]byte{127, 1, byte(100 + n), byte(1 + i)})
			st := &stage{helpDesk: desk, t: t, client: client.String()}
			if h.alone {
				st.restore(s.settings)
			}
			s.play(st, counts)
		})
	}
}

// helpDesk is one host with its files, and those who change them.
type helpDesk struct {
	*real.World
	dir    string
	before map[string][]byte // the files as they were at the start

	mu sync.Mutex // held while a file is changed
}

// start starts Postfix and Dovecot with users of their own, and the daemon.
func (h situationHost) start(t *testing.T, n int) *helpDesk {
	t.Helper()
	dir := filepath.Join(host.Dir, "situations-"+h.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	i, err := real.Start(t.Context(), real.Options{
		Dir:     dir,
		Contrib: filepath.Join(host.Root, "contrib"),
		Users:   filepath.Join(host.Root, "integration/testdata/situations.users"),
		Addr:    netip.AddrFrom4([4]byte{127, 77, 1, byte(1 + n)}),
		Recipe:  h.recipe,
		Token:   "of-the-tests",
		Peers:   "127.0.0.1/32",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	})
	desk := &helpDesk{dir: t.TempDir(), before: map[string][]byte{}}
	d, err := i.NewDaemon(desk.dir, real.Files{
		Program:  host.Program,
		Base:     filepath.Join(host.Root, "integration/testdata/portreeve.toml"),
		Accounts: filepath.Join(host.Root, "integration/testdata/situations.toml"),
		Settings: maps.Clone(h.settings),
	})
	if err != nil {
		t.Fatal(err)
	}
	desk.World = &real.World{Instance: i, Daemon: d}
	for _, file := range []string{desk.config(), desk.accounts()} {
		if desk.before[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(lastLines(t, i.MailLog()), lastLines(t, i.DovecotLog()), lastLines(t, d.Log))
		}
	})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return desk
}

func (d *helpDesk) config() string   { return d.Daemon.Config }
func (d *helpDesk) accounts() string { return filepath.Join(d.dir, "accounts.toml") }

// lastLines is the end of a log, for a test that has failed.
func lastLines(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return fmt.Sprintf("--- the last lines of %s\n%s\n", filepath.Base(path), strings.Join(lines[max(0, len(lines)-40):], "\n"))
}
