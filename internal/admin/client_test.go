package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// listen serves a handler on a unix socket and returns its client.
func listen(t *testing.T, h http.Handler) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h}}
	s.Start()
	t.Cleanup(s.Close)
	return NewClient("unix", path)
}

// Every call reaches the daemon with what was asked and comes back whole.
func TestClientAndHandler(t *testing.T) {
	d := &daemon{}
	c := listen(t, Handler(d, slog.New(slog.DiscardHandler)))
	ctx := t.Context()
	check := func(call string, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v (%v)", call, got, want, err)
		}
	}
	status, err := c.Status(ctx)
	check("status", status, Status{Version: "1", Mode: "enforce", Listeners: map[string]string{"policy": "unix:/p"}}, err)
	found, err := c.Explain(ctx, ExplainRequest{IDs: []string{"x"}, Since: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	check("explain", found, ExplainAnswer{Unknown: []string{"x"}}, err)
	entries, err := c.Decisions(ctx, DecisionsRequest{Rule: "sender", Client: "192.0.2.1"})
	check("decisions", entries, []journal.Entry{{ID: "x", Rule: "sender", Facts: json.RawMessage("{}")}}, err)
	failures, err := c.Failures(ctx, FailuresRequest{Of: "192.0.2.1", Limit: 5})
	check("failures", failures, FailuresAnswer{Of: "192.0.2.1", Count: 3}, err)
	blocks, err := c.Blocks(ctx, BlocksRequest{Login: "jan@domena.cz"})
	check("blocks", blocks, []Block{{Prefix: "2001:db8::/64", Failures: 11}}, err)
	unblocked, err := c.Unblock(ctx, UnblockRequest{Addresses: []string{"192.0.2.1"}})
	check("unblock", unblocked, []Unblocked{{Address: "192.0.2.1", Lifted: []string{"192.0.2.1"}}}, err)
	reloaded, err := c.Reload(ctx)
	check("reload", reloaded, Reloaded{Problems: []string{"a", "b"}}, err)
	tested, err := c.Test(ctx, TestRequest{ClientIP: "192.0.2.1", Port: 587, TLS: true, Message: &rules.Message{}})
	check("test", tested, Tested{Action: "pass", Client: "192.0.2.1"}, err)
	usage, err := c.Usage(ctx, UsageRequest{Login: "jan@domena.cz"})
	check("usage", usage, UsageAnswer{Login: "jan@domena.cz", Usage: ledger.Usage{Messages: 3}}, err)
	reset, err := c.Reset(ctx, UsageRequest{Login: "jan@domena.cz"})
	check("reset", reset, UsageAnswer{Login: "jan@domena.cz"}, err)

	for i, want := range []string{
		"status null", `explain {"ids":["x"],"senders":null,"since":"2026-11-22T00:00:00Z"}`,
		`decisions {"client":"192.0.2.1","rule":"sender",`, `failures {"of":"192.0.2.1","since":"0001-01-01T00:00:00Z","limit":5}`, `blocks {"login":"jan@domena.cz",`,
		`unblock {"addresses":["192.0.2.1"]}`, "reload null", `test {"client_ip":"192.0.2.1","port":587,"login":"","tls":true,`,
		`usage {"login":"jan@domena.cz"}`, `reset {"login":"jan@domena.cz"}`,
	} {
		if !strings.HasPrefix(d.asked[i], want) {
			t.Errorf("the daemon heard %s, want %s", d.asked[i], want)
		}
	}
}

// Whatever goes wrong is one sentence that ends in what to do.
func TestClientSentences(t *testing.T) {
	answers := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if _, err := w.Write([]byte(body)); err != nil {
				t.Error(err)
			}
		})
	}
	hangUp := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	half := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		if _, err := w.Write([]byte(`{"version":"1`)); err != nil {
			t.Error(err)
		}
	})
	away := []string{"half an answer", "hung up"} // a daemon that is restarted
	for name, tt := range map[string]struct {
		daemon http.Handler
		want   string
	}{
		"half an answer":      {half, "the daemon ended while it answered: unexpected EOF: ask again"},
		"a problem":           {Handler(&daemon{err: errors.New("disk full: make room")}, slog.New(slog.DiscardHandler)), "the daemon says: disk full: make room"},
		"a problem of ours":   {answers(400, `{"error":"give an address"}`), "the daemon says: give an address"},
		"no JSON":             {answers(502, "Bad Gateway"), "the daemon answered 502 Bad Gateway: see its log"},
		"a problem of nobody": {answers(500, `{}`), "the daemon answered 500 Internal Server Error: see its log"},
		"another version":     {answers(200, `{"version":7}`), "reading the daemon's answer: json: "},
		"nothing":             {answers(200, ""), "reading the daemon's answer: EOF: is it of the same version?"},
		"hung up":             {hangUp, "the daemon cannot be reached: EOF: start it with `portreeve serve`, or name its configuration with --config"},
	} {
		_, err := listen(t, tt.daemon).Status(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "http://") {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if got := errors.Is(err, ErrAway); got != slices.Contains(away, name) {
			t.Errorf("%s: worth waiting for: %t", name, got)
		}
	}
}

func TestClientWithoutDaemon(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "admin.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: missing + "2", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	for path, cause := range map[string]string{missing: "no such file or directory", missing + "2": "connection refused"} {
		_, err := NewClient("unix", path).Blocks(t.Context(), BlocksRequest{})
		want := fmt.Sprintf("the daemon cannot be reached: dial unix %s: connect: %s: start it with `portreeve serve`, or name its configuration with --config", path, cause)
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient("unix", missing).Reload(ctx); err == nil || err.Error() != "the daemon was not waited for: context canceled: ask again" {
		t.Errorf("interrupted: %v", err)
	}
}

// What cannot be provoked everywhere: root may open every socket.
func TestUnreachable(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}
	for err, want := range map[error]string{
		refused:                  "the daemon cannot be reached: dial unix: connect: permission denied: run this as root or as a member of the daemon's group",
		fs.ErrPermission:         "the daemon cannot be reached: permission denied: run this as root or as a member of the daemon's group",
		os.ErrDeadlineExceeded:   "the daemon does not answer: i/o timeout: see its log",
		context.DeadlineExceeded: "the daemon does not answer: context deadline exceeded: see its log",
	} {
		if got := unreachable(err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("got  %v\nwant %s", got, want)
		}
	}
}
