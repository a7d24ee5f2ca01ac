package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// answers is a daemon that says what a test wants.
type answers struct {
	in     string // standard input
	config string // more of it

	status   admin.Status
	explain  admin.ExplainAnswer
	blocks   []admin.Block
	unblock  []admin.Unblocked
	reloaded admin.Reloaded
	tested   admin.Tested
	usage    admin.UsageAnswer
	err      error

	decisions []journal.Entry
	failures  admin.FailuresAnswer
	asked     []any // of the verbs that have filters
}

func (a *answers) Status(context.Context) (admin.Status, error) { return a.status, a.err }
func (a *answers) Blocks(_ context.Context, r admin.BlocksRequest) ([]admin.Block, error) {
	a.asked = append(a.asked, r)
	return a.blocks, a.err
}

func (a *answers) Decisions(_ context.Context, r admin.DecisionsRequest) ([]journal.Entry, error) {
	a.asked = append(a.asked, r)
	return a.decisions, a.err
}

func (a *answers) Failures(_ context.Context, r admin.FailuresRequest) (admin.FailuresAnswer, error) {
	a.asked = append(a.asked, r)
	return a.failures, a.err
}

func (a *answers) Reload(context.Context) (admin.Reloaded, error) { return a.reloaded, a.err }

func (a *answers) Explain(_ context.Context, r admin.ExplainRequest) (admin.ExplainAnswer, error) {
	a.asked = append(a.asked, r)
	return a.explain, a.err
}

func (a *answers) Unblock(context.Context, admin.UnblockRequest) ([]admin.Unblocked, error) {
	return a.unblock, a.err
}

func (a *answers) Usage(context.Context, admin.UsageRequest) (admin.UsageAnswer, error) {
	return a.usage, a.err
}

func (a *answers) Reset(context.Context, admin.UsageRequest) (admin.UsageAnswer, error) {
	return admin.UsageAnswer{Login: a.usage.Login, Limits: a.usage.Limits}, a.err
}

func (a *answers) Test(context.Context, admin.TestRequest) (admin.Tested, error) {
	return a.tested, a.err
}

// verb runs one verb against that daemon.
func (a *answers) verb(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	here := time.Local
	time.Local = time.UTC // as the scripts' TZ
	defer func() { time.Local = here }()
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: admin.Handler(a, slog.New(slog.DiscardHandler))}}
	s.Start()
	defer s.Close()
	config := filepath.Join(dir, "portreeve.toml")
	if err := os.WriteFile(config, []byte("[listen]\nadmin = \"unix:a.sock\"\n"+a.config), 0o600); err != nil {
		t.Fatal(err)
	}
	var o, e bytes.Buffer
	status = run(t.Context(), append([]string{"--config", config}, args...), strings.NewReader(a.in), &o, &e)
	return status, o.String(), e.String()
}

// expect wants each expression somewhere in the text.
func expect(t *testing.T, what, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(text) {
			t.Errorf("%s says\n%s\nand not %s", what, text, w)
		}
	}
	if strings.ContainsAny(text, "\x1b\x07\r") {
		t.Errorf("%s obeys a client: %q", what, text)
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const someID = "0kHG086hcEUJCINrgXbGZl"

func TestBlocksTable(t *testing.T) {
	a := &answers{blocks: []admin.Block{
		{
			Prefix: "192.0.2.7", ID: someID, Since: noon, Until: noon.Add(time.Hour), Failures: 12,
			Logins: []admin.LoginCount{{Login: "jan@domena.cz", Count: 11}, {Login: "\x1b[2Jx@y", Count: 1}},
		},
		{Prefix: "2001:db8::/64", Until: noon.Add(time.Minute), Failures: 11, Logins: []admin.LoginCount{{Count: 11}}},
	}}
	status, out, _ := a.verb(t, "blocks")
	expect(t, "blocks", out,
		`(?m)^CLIENT +SINCE +UNTIL +FAILURES +ID +LOGINS$`,
		`(?m)^192\.0\.2\.7 +2026-11-22 12:00:00 UTC +2026-11-22 13:00:00 UTC +12 +`+someID+` +jan@domena\.cz \(11\), \?\[2Jx@y \(1\)$`,
		`(?m)^2001:db8::/64 +- +2026-11-22 12:01:00 UTC +11 +- +- \(11\)$`)
	if status != 0 || strings.Count(out, "\n") != 3 {
		t.Errorf("status %d, %q", status, out)
	}
	status, out, _ = a.verb(t, "blocks", "--json")
	var list []admin.Block
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 || len(list) != 2 || list[0].ID != someID {
		t.Errorf("--json: %d %s %v", status, out, err)
	}
}

func TestUnblockSays(t *testing.T) {
	a := &answers{unblock: []admin.Unblocked{{Address: "192.0.2.7", Lifted: []string{"192.0.2.7"}}, {Address: "192.0.2.8"}}}
	status, out, _ := a.verb(t, "unblock", "192.0.2.7", "192.0.2.8")
	if want := "192.0.2.7: unblocked\n192.0.2.8: was not blocked; its failed logins are forgotten\n"; status != 0 || out != want {
		t.Errorf("%d %q", status, out)
	}
	if status, out, errOut := a.verb(t, "unblock"); status != exitFailure || out != "" || !strings.Contains(errOut, "run `portreeve unblock --help`") {
		t.Errorf("without an address: %d %q %q", status, out, errOut)
	}
}

func TestStatusShows(t *testing.T) {
	a := &answers{status: admin.Status{
		Version: "1.2", Host: "mx.test", Since: noon, Now: noon.Add(90 * time.Minute), Mode: "enforce", Observe: []string{"sender", "relay"},
		Config: "/etc/p.toml", Loaded: noon.Add(time.Hour), Listeners: map[string]string{"policy": "unix:/p", "auth": "inet:127.0.0.1:9192"}, Passed: []string{"policy"},
		Store:   admin.StoreStatus{Kind: "embedded", Path: "/var/p.db", Error: "disk full"},
		Guessed: 7, Guesses: []admin.Guess{
			{Login: "jan@domena.cz", ID: someID, Since: noon, Until: noon.Add(time.Hour), Failures: 51},
			{Login: "\x1b[2Jx@y", Until: noon.Add(time.Minute), Failures: 52},
		},
		Blocked: 3, Counts: metrics.Counts{Passed: 10, Refused: 4, Observed: 2, Delayed: 1, AuthReports: 7, ProtocolErrors: 1, FailedLookups: 5, Unrecorded: 6},
		Warnings: []string{"nobody tells of failed logins"},
	}}
	status, out, _ := a.verb(t, "status")
	expect(t, "status", out,
		`(?m)^version +1\.2$`, `(?m)^up since +2026-11-22 12:00:00 UTC \(1h30m0s\)$`, `(?m)^mode +enforce, observing sender, relay$`,
		`(?m)^configuration +/etc/p\.toml, read 2026-11-22 13:00:00 UTC$`, `(?m)^store +embedded, /var/p\.db, DOWN: disk full$`,
		`(?m)^blocked clients +3$`, `(?m)^decisions +10 passed, 4 refused, 2 observed, 1 delayed$`, `(?m)^login reports +7$`,
		`(?m)^guessed logins +7: jan@domena\.cz \(51 failures, until 2026-11-22 13:00:00 UTC\), \?\[2Jx@y \(52 `,
		`(?m)^errors +1 protocol errors, 5 failed look-ups, 6 not stored$`,
		`(?ms)^listen\.auth +inet:127\.0\.0\.1:9192$.*^listen\.policy +unix:/p, opened by the service manager, open while the daemon restarts$`, `(?m)^warning +nobody tells of failed logins$`)
	if status != 0 {
		t.Errorf("status %d", status)
	}
}

// A refused file is a finding (SPEC.md section 5); keys that wait are none.
func TestReloadSays(t *testing.T) {
	for want, a := range map[string]*answers{
		"0 reloaded\n": {},
		"0 these keys take effect at the next start only: listen.policy, store.path\nreloaded\n": {reloaded: admin.Reloaded{NeedsRestart: []string{"listen.policy", "store.path"}}},
		"1 a.toml:1: x\na.toml:2: y\n": {reloaded: admin.Reloaded{Problems: []string{"a.toml:1: x", "a.toml:2: y"}}},
	} {
		status, out, errOut := a.verb(t, "reload")
		if got := string(rune('0'+status)) + " " + out; got != want || errOut != "" {
			t.Errorf("got %q, want %q (%q)", got, want, errOut)
		}
	}
	a := &answers{reloaded: admin.Reloaded{Problems: []string{"x"}}}
	if status, out, _ := a.verb(t, "reload", "--json"); status != exitFinding || !strings.Contains(out, `"problems": [`) {
		t.Errorf("--json: %d %s", status, out)
	}
}

func TestTestShows(t *testing.T) {
	step := func(stage, action string) admin.TestStep {
		return admin.TestStep{Stage: stage, Action: action, As: "jan@domena.cz"}
	}
	observed := step("mail", "pass")
	observed.Observed = []string{"sender"}
	refused := admin.TestStep{Stage: "rcpt", Recipient: "a\a@b.cz", Action: "refuse", Rule: "auth_failed", Reason: "relaying-without-auth", Reply: "550 5.1.0 {id} authentication failed"}
	for name, tt := range map[string]struct {
		tested admin.Tested
		status int
		want   []string
	}{
		"passes": {admin.Tested{Action: "pass", Steps: []admin.TestStep{step("helo", "pass")}}, 0, []string{
			`(?m)^helo +pass as jan@domena\.cz$`, `(?m)^Portreeve would let the client go on$`,
		}},
		"every rule": {admin.Tested{Action: "pass", Delay: 5, Offline: true, Steps: []admin.TestStep{{Stage: "auth", Action: "pass", Rules: []gate.Tried{
			{Rule: "2 throttle", Result: "passes", Facts: []string{"0 failed logins", "a second \x1b[2J"}},
			{Rule: "4 login", Result: "refuses", Reason: "login-unknown"},
			{Rule: "11 slow guessing", Result: "not reached"},
		}}}}, 0, []string{
			`(?m)^auth     pass\n    2 throttle        passes                   0 failed logins\n +a second \?\[2J\n    4 login           refuses \(login-unknown\)  \n    11 slow guessing  not reached              \n`,
			`(?m)^Portreeve would let the client go on, after AUTH has waited for 5 s \(offline: `,
		}},
		"observes": {admin.Tested{Action: "pass", Observed: true, Reply: "550 no", Steps: []admin.TestStep{observed}, Facts: gate.Facts{LookedAt: "jan@nova.cz"}}, 0, []string{
			`(?m)^mail +pass as jan@domena\.cz, would refuse: sender$`, `(?m)^  because looked at "jan@nova\.cz"$`,
			`(?m)^Portreeve would let the client go on; enforced, it would say: 550 no$`,
		}},
		"refuses": {admin.Tested{Action: "refuse", Reply: refused.Reply, Steps: []admin.TestStep{refused}}, exitFinding, []string{
			`(?m)^rcpt <a\?@b\.cz> +refuse \(auth_failed, relaying-without-auth\): 550 5\.1\.0 \{id\} authentication failed$`,
			`(?m)^Portreeve would refuse the client: 550 5\.1\.0 \{id\} authentication failed$`,
		}},
	} {
		a := &answers{tested: tt.tested}
		status, out, _ := a.verb(t, "test", "--client-ip", "192.0.2.7", "--port", "587", "--sender", "<>")
		expect(t, name, out, tt.want...)
		if status != tt.status {
			t.Errorf("%s: status %d", name, status)
		}
	}
}

// Whatever the daemon says is wrong is one sentence on standard error.
func TestDaemonSaysNo(t *testing.T) {
	a := &answers{err: errors.New("disk full: make room")}
	for _, args := range [][]string{
		{"status"},
		{"blocks"},
		{"decisions"},
		{"decisions", "--follow"},
		{"failures", "192.0.2.1"},
		{"unblock", "192.0.2.1"},
		{"reload"},
		{"explain", someID},
		{"test", "--client-ip", "192.0.2.7", "--port", "587", "--sender", "a@b.cz"},
	} {
		status, out, errOut := a.verb(t, args...)
		if status != exitFailure || out != "" || errOut != "portreeve: the daemon says: disk full: make room\n" {
			t.Errorf("%s: %d %q %q", args[0], status, out, errOut)
		}
	}
}

// systemd is told of a reload's begin with its time, and of its end.
func TestTellReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	for done, want := range map[bool]string{false: `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\n?$`, true: `^READY=1$`} {
		tellReload(done)
		buf := make([]byte, 512)
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buf)
		if err != nil || !regexp.MustCompile(want).Match(buf[:n]) {
			t.Errorf("done=%v: %q %v", done, buf[:n], err)
		}
	}
}

func TestUsageAndReset(t *testing.T) {
	a := &answers{usage: admin.UsageAnswer{
		Login: "jan@domena.cz", Limits: rules.Limits{Messages: 10},
		Usage: ledger.Usage{Messages: 7, Recipients: 20, ReservedMessages: 1, ReservedRecipients: 2},
	}}
	status, out, _ := a.verb(t, "usage", "jan@domena.cz")
	want := "jan@domena.cz  USED  UNDER WAY  LIMIT  LEFT\nmessages       7     1          10     2\nrecipients     20    2          none   -\n"
	if status != 0 || out != want {
		t.Errorf("usage: %d\n%s\nwant\n%s", status, out, want)
	}
	if status, out, _ := a.verb(t, "reset", "jan@domena.cz"); status != 0 || !strings.Contains(out, "messages       0     0          10     10") {
		t.Errorf("reset: %d\n%s", status, out)
	}
	if status, out, _ := a.verb(t, "usage", "jan@domena.cz", "--json"); status != 0 || !strings.Contains(out, `"reserved_recipients": 2`) {
		t.Errorf("usage --json: %d\n%s", status, out)
	}
	if status, _, errOut := a.verb(t, "usage"); status != 2 || !strings.Contains(errOut, "--help") {
		t.Errorf("usage of nobody: %d %s", status, errOut)
	}
}
