package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/replay"
	"portreeve/rules"
)

// A line that is written over and over, five times a second, and then wiped out.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := noon
	p := &progress{out: &out, now: func() time.Time { return now }}
	p.clear()
	p.show(replay.Progress{Lines: 4096, Read: 50, Total: 200})
	p.show(replay.Progress{Lines: 8192, Read: 100, Total: 200}) // too soon
	now = now.Add(progressEach)
	p.show(replay.Progress{Lines: 9}) // standard input alone: nobody knows how much comes
	p.clear()
	want := "\r4096 lines, 25 %\r9 lines         \r       \r"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestTerminal(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if terminal(&bytes.Buffer{}) || terminal(file) || !terminal(null) {
		t.Error("a terminal is not told from a file")
	}
}

// A file that cannot be read to its end is told on standard error; the rest is in
// the report.
func TestReplayOfACutFile(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"portreeve.toml": "[directory]\nfile = \"accounts.toml\"\n", "accounts.toml": "",
		"cut.gz": "\x1f\x8b\x08", "mail.log": "Nov 21 09:00:00 mx postfix/qmgr[7]: A000001: removed\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errOut bytes.Buffer
	status := run(t.Context(), []string{
		"replay", filepath.Join(dir, "cut.gz"), filepath.Join(dir, "mail.log"), "--config", filepath.Join(dir, "portreeve.toml"),
	}, nil, &out, &errOut)
	if status != 0 {
		t.Errorf("status %d", status)
	}
	expect(t, "replay", out.String(), `(?m)^lines +1 read$`)
	expect(t, "replay", errOut.String(), `^portreeve: \S+/cut\.gz: it is no whole gzip file: unexpected EOF: what was read of it is in the report\n$`)
}

// What the verb's script does not come to.
func TestReplayShows(t *testing.T) {
	example := replay.Example{Time: noon, Reason: rules.ReasonBlocked, Client: "192.0.2.1", Login: "j\x1b"}
	names := replay.Top{Distinct: 20000, Others: 5, List: []replay.Named{{Name: "192.0.2.1", Count: 12, Example: example}}}
	r := replay.Report{
		Messages: replay.Messages{Copies: 1, Unjoined: 2},
		Logins:   replay.Logins{Failed: 12, Refused: 1, POP: 3, CommandsRefused: 4},
		Services: []replay.Service{{Name: "postfix/587", Port: 587, Guess: "its name", Judged: 3}},
		Rules: []replay.Rule{
			{Rule: rules.RuleThrottled, Logins: replay.Affected{Count: 12, Addresses: names}},
			{Rule: rules.RuleSender, Observed: true, Messages: replay.Affected{Count: 2}},
		},
		Suggestions: []replay.Suggestion{{Rule: rules.RuleSender, Kind: "inform", Change: "tell them", OnlyIf: "it is so", Of: 9, Concerns: 8}},
	}
	here := time.Local
	time.Local = time.UTC
	defer func() { time.Local = here }()
	var out strings.Builder
	if err := printReplay(&out, r); err != nil {
		t.Fatal(err)
	}
	expect(t, "replay", out.String(),
		`(?m)^time +-$`, `(?m)^not judged +1 passed on by a content filter, 2 whose sender was not logged$`,
		`(?m)^logins +12 failed, 1 of them would be refused earlier, 3 by POP3 and IMAP$`, `(?m)^refused then +4 commands, by Postfix itself$`,
		`(?m)^services +postfix/587 \(port 587, guessed: its name; 3 messages\)$`,
		`(?m)^throttled +0 +0 +0 +12 +20000\+$`, `(?m)^sender \(only observes\) +2 `,
		`(?m)^throttled +FAILED LOGINS +FOR EXAMPLE$`,
		`(?m)^  address +192\.0\.2\.1 +12 +2026-11-22 12:00:00 UTC from 192\.0\.2\.1 with login j\? \(too-many-failures\)$`,
		`(?m)^  sender: tell them: it concerns 8 of 9 messages\.$`, `(?m)^    Only if it is so\.$`)
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestReportWithoutRoom(t *testing.T) {
	report := replay.Report{Rules: []replay.Rule{{Rule: rules.RuleSender}}}
	for _, asJSON := range []bool{false, true} {
		err := writeReport(full{}, report, asJSON)
		if err == nil || err.Error() != "writing the report: no space left on device: write it where there is room" {
			t.Errorf("JSON %v: %v", asJSON, err)
		}
	}
}
