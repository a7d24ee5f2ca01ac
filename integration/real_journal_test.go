//go:build real

package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

// journal is a host whose Postfix logs to systemd's journal, the only witness.
func journal(t *testing.T) *real.World {
	t.Helper()
	return host.World(t, dialogue.Settings{Recipe: real.RecipeSyslog, Portreeve: map[string]any{
		"listen.auth": "", "maillog.files": []any{"journal"}, "auth_failures.limit": 1000,
	}})
}

// Every failure counts once: those of the moment after the start, those that
// happen while nobody follows, and those on both sides of a rotation.
func TestJournal(t *testing.T) {
	t.Parallel()
	w := journal(t)
	const guesser = "127.1.252.1"
	want := 0
	guess := func(port int) {
		t.Helper()
		c := connect(t, w, guesser, port)
		for range 3 {
			c.auth(`^535 5\.7\.8 Error: authentication failed: `, account, "wrong")
			want++
		}
	}
	check := func(after string) {
		t.Helper()
		settled(t, w, "127.1.252.2")
		if n := counted(t, w, guesser); n != want {
			t.Errorf("%s: %d failures are counted, want %d", after, n, want)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rotate := func() { t.Helper(); do(w.Instance.Journalctl(t.Context(), "--rotate")) }

	guess(587)
	check("after the start")
	do(w.Restart(t.Context(), false))
	check("after a restart")
	do(w.Restart(t.Context(), true))
	guess(587)
	check("after a kill")

	do(w.Daemon.Stop())
	guess(25) // where mail goes on
	do(w.Daemon.Start(t.Context()))
	check("nobody followed")

	rotate()
	guess(587)
	check("rotated beneath the follower")

	do(w.Daemon.Kill())
	guess(25)
	rotate()
	guess(25)
	do(w.Daemon.Start(t.Context()))
	check("rotated while nobody followed")
}

// After an orderly restart no entry is even read again.
//
// It runs alone, since there is one journal: what other hosts log there would be
// reported as well.
func TestJournalResumes(t *testing.T) {
	w := journal(t)
	c := connect(t, w, "127.1.238.1", 25)
	for range 3 {
		c.auth(`^535 `, account, "wrong")
	}
	settled(t, w, "127.1.238.2")
	if err := w.Restart(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	settled(t, w, "127.1.238.2")
	if n := reported(t, w, "failure"); n != 1 {
		t.Errorf("%d failures are told after the restart, want the one that came after it", n)
	}
}

// The entry that was read last has been vacuumed away. Nothing is lost: not even
// the first entry after it, which journalctl 252 would pass over.
//
// It runs alone: the others need what is in the journal.
func TestJournalVacuumed(t *testing.T) {
	w := journal(t)
	if !real.OwnsJournal() {
		t.Log("this machine's own journal is not thrown away; a container shows this")
		return
	}
	const guesser = "127.1.255.1"
	c := connect(t, w, guesser, 25) // so that a failure is the first thing to be logged
	settled(t, w, "127.1.255.2")
	if err := w.Daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{"--rotate", "--vacuum-time=1us"} {
		if err := w.Instance.Journalctl(t.Context(), flag); err != nil {
			t.Fatal(err)
		}
	}
	c.auth(`^535 5\.7\.8 Error: authentication failed: `, account, "wrong")
	if err := w.Daemon.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, w, "127.1.255.2")
	if n := counted(t, w, guesser); n != 1 {
		t.Errorf("%d failures are counted, want 1", n)
	}
}

// A daemon that has never followed the journal begins where its start found it:
// not before, and no entry later.
func TestJournalFromTheFirst(t *testing.T) {
	t.Parallel()
	w := journal(t)
	const guesser = "127.1.252.3"
	syslog, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		t.Fatal(err)
	}
	defer syslog.Close()
	burst := func() { // as syslog(3) does: facility mail, priority warning
		t.Helper()
		for range 20 {
			_, err := fmt.Fprintf(syslog, "<20>postfix/smtpd[1]: warning: unknown[%s]: SASL PLAIN authentication failed: x, sasl_username=y", guesser)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	stores, err := filepath.Glob(filepath.Join(filepath.Dir(w.Daemon.Config), "portreeve.db*"))
	if err != nil || len(stores) == 0 {
		t.Fatalf("no store: %v", err)
	}
	for _, file := range stores {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	burst()
	if err := w.Daemon.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	verb(t, w, 0, "status") // it is answered when everything is open
	burst()
	settled(t, w, "127.1.252.4")
	if n := counted(t, w, guesser); n != 20 {
		t.Errorf("%d failures are counted, want the 20 after the start", n)
	}
}

// A login is one field of an entry, whatever is in it.
func TestJournalHostile(t *testing.T) {
	t.Parallel()
	w := journal(t)
	const guesser = "127.1.253.1"
	for _, login := range guessed {
		connect(t, w, guesser, 587).auth(`^535 5\.7\.8 Error: authentication failed: `, login, "wrong")
	}
	settled(t, w, "127.1.253.2")
	for addr, want := range map[string]int{guesser: len(guessed), victim: 0} {
		if n := counted(t, w, addr); n != want {
			t.Errorf("%d failures of %s are counted, want %d", n, addr, want)
		}
	}
}

// A blocked client of such a host, once more from the start to the end.
func TestJournalBlocks(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{Recipe: real.RecipeSyslog, Portreeve: map[string]any{
		"listen.auth": "", "maillog.files": []any{"journal"},
	}})
	const guesser = "127.1.254.1"
	guess := func(n int) {
		t.Helper()
		c := connect(t, w, guesser, 587)
		for range n {
			c.auth(`^535 `, account, "wrong")
		}
		settled(t, w, "127.1.254.2")
	}
	guess(10)
	connect(t, w, guesser, 587).auth(`^235 `, account, password)
	guess(1)
	c := connect(t, w, guesser, 587)
	c.expect(`^550 5\.1\.0 \w{22} Connection refused from 127\.1\.254\.1\. Too many`, "AUTH LOGIN")
	c.expect(`^550 5\.1\.0 \w{22} Connection refused from 127\.1\.254\.1\. Too many`, "MAIL FROM:<"+account+">")
	connect(t, w, "127.1.254.3", 587).auth(`^235 `, account, password)
}
