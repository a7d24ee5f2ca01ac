package maillog

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running starts a follower and returns what ends it.
func (r *rig) running(files ...string) (stop func()) {
	r.Helper()
	f, err := Open(r.Context(), r.options(files...))
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	return func() {
		r.Helper()
		cancel()
		if err := <-ended; err != nil {
			r.Error(err)
		}
	}
}

// until waits until the logins were told, in order.
func (r *rig) until(logins string) {
	r.Helper()
	got := r.gate.logins()
	timeout := time.After(30 * time.Second)
	for got != logins {
		select {
		case <-r.gate.more:
			got = strings.TrimSpace(got + " " + r.gate.logins())
		case <-timeout:
			r.Fatalf("told %q, want %q", got, logins)
		}
	}
}

func TestRun(t *testing.T) {
	r := newRig(t)
	second := filepath.Join(t.TempDir(), "dovecot.log")
	r.failures("old")
	r.write(second, loginLine)
	stop := r.running(r.path, second)
	r.failures("a")
	r.until("a")
	r.write(second, loginLine)
	r.until("jan@domena.cz")
	r.rename()
	r.failures("b c")
	r.until("b c")
	stop()
	r.failures("d")
	stop = r.running(r.path, second)
	r.until("d")
	stop()
}

// journalctl puts a script in the place of journalctl: it tells the journal's
// end, if it has one; asked to follow, it writes its arguments to a file, prints
// the entries and goes on like one that follows.
func (r *rig) journalctl(end, then string, entries ...string) (arguments string) {
	r.Helper()
	dir := r.TempDir()
	arguments = filepath.Join(dir, "arguments")
	if end != "" {
		end = "echo '-- cursor: " + end + "'"
	}
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *--show-cursor*) %s; exit;; esac\necho \"$@\" > %s\ncat %s\n%s\n",
		cmp.Or(end, "exit 1"), arguments, filepath.Join(dir, "entries"), then)
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755); err != nil {
		r.Fatal(err)
	}
	r.write(filepath.Join(dir, "entries"), strings.Join(entries, ""))
	r.Setenv("PATH", dir+":/bin:/usr/bin")
	return arguments
}

// asked compares what journalctl was asked to follow.
func (r *rig) asked(arguments, want string) {
	r.Helper()
	got, err := os.ReadFile(arguments)
	if err != nil || !strings.Contains(" "+string(got), " "+want+" ") {
		r.Errorf("journalctl was asked %q (%v), want %s", got, err, want)
	}
}

func journalEntry(cursor, login string) string {
	return fmt.Sprintf(`{"__CURSOR":%q,"__REALTIME_TIMESTAMP":"1795348800123456","SYSLOG_IDENTIFIER":"postfix/smtpd","MESSAGE":"warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%s"}`+"\n", cursor, login)
}

func TestJournal(t *testing.T) {
	r := newRig(t)
	// The second message is no UTF-8, the third is not of a mail program, the
	// fourth cannot be read, the fifth is too long.
	bytes := strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]byte("warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: x, sasl_username=\xff"))), ","), "[]")
	args := r.journalctl("", "exec sleep 1000",
		strings.Replace(journalEntry("c0", "old"), "1795348800", "1795348799", 1),
		journalEntry("c1", "a"),
		`{"__CURSOR":"c2","__REALTIME_TIMESTAMP":"1795348800123456","SYSLOG_IDENTIFIER":"postfix/smtpd","MESSAGE":[`+bytes+"]}\n",
		strings.Replace(journalEntry("c3", "x"), "postfix/smtpd", "sshd", 1),
		"what\n",
		journalEntry("c5", strings.Repeat("x", maxEntry)),
		strings.Replace(journalEntry("c6", "x"), "failed: ", `failed:\nNov 22 `, 1),
		journalEntry("c7", "b"))
	stop := r.running(Journal)
	r.until("a \xff b")
	stop()
	if r.meter.long != 2 {
		t.Errorf("%d entries were counted as unreadable, want 2", r.meter.long)
	}
	r.asked(args, "--since=@1795348800")
	args = r.journalctl("", "exec sleep 1000", journalEntry("c7", "b"), journalEntry("c8", "d"))
	stop = r.running(Journal)
	r.until("d") // c7 is known
	stop()
	r.asked(args, "--cursor=c7")
}

// The place is known before the first entry comes, and kept if none does.
func TestJournalEnd(t *testing.T) {
	r := newRig(t)
	args := r.journalctl("s=1;i=2", "exec sleep 1000", journalEntry("c1", "a"))
	stop := r.running(Journal)
	r.until("a")
	r.asked(args, "--cursor=s=1;i=2")
	stop()

	r = newRig(t)
	r.journalctl("s=1;i=2", "exit 1")
	if _, err := Open(t.Context(), r.options(Journal)); err != nil {
		t.Fatal(err)
	}
	r.journalctl("s=1;i=9", "exit 1")
	f, err := Open(t.Context(), r.options(Journal))
	if err != nil {
		t.Fatal(err)
	}
	if cursor := f.sources[0].(*systemd).cursor; cursor != "s=1;i=2" {
		t.Errorf("goes on after %q", cursor)
	}
}

func TestJournalMissing(t *testing.T) {
	r := newRig(t)
	t.Setenv("PATH", t.TempDir())
	_, err := Open(t.Context(), r.options(Journal))
	if err == nil || !strings.Contains(err.Error(), "install systemd, or name the mail log's file") {
		t.Errorf("got %v", err)
	}
}

// What journalctl complains of is said, with what to do.
func TestJournalEnds(t *testing.T) {
	r := newRig(t)
	r.journalctl("", "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", journalEntry("c1", "a"))
	teller, err := newTeller(r.options())
	if err != nil {
		t.Fatal(err)
	}
	s := &systemd{teller: teller}
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = s.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 1: No journal files were opened due to insufficient permissions.: let Portreeve's user") {
		t.Errorf("got %v", err)
	}
	r.until("a")
	if saved, err := r.options().Positions.Position(t.Context(), Journal); err != nil || string(saved) != "c1" {
		t.Errorf("the place is %q (%v)", saved, err)
	}
}
