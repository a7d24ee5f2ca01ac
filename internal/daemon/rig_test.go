package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"portreeve/internal/admin"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// plain is a configuration with every listener; paths are relative to it.
const plain = `
[listen]
policy = "unix:policy.sock"
milter = "unix:milter.sock"
auth = "inet:127.0.0.1:0"
admin = "unix:admin.sock"
web = "inet:127.0.0.1:0"
[directory]
file = "accounts.toml"
[auth_policy]
token_file = "token"
[smtp_after_pop]
enabled = true
[store]
path = "portreeve.db"
`

const accounts = `
[domains]
"domena.cz" = { aliases = ["domena.eu"] }
"firma.cz" = {}
[accounts]
"jan@domena.cz" = {}
"eva@domena.cz" = { smtp = false }
"mta@firma.cz" = { forward = true }
`

// lines is a log that can be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// clock stands still until it is moved.
type clock struct{ passed atomic.Int64 }

func (c *clock) now() time.Time          { return noon.Add(time.Duration(c.passed.Load())) }
func (c *clock) forward(d time.Duration) { c.passed.Add(int64(d)) }

// host is a directory with the files of a daemon, and that daemon.
type host struct {
	t      testing.TB
	dir    string
	clock  *clock
	log    lines
	reload chan os.Signal
	tells  chan bool // what systemd would be told of a reload

	admin *admin.Client
	ended chan error
	end   context.CancelFunc
}

// prepare makes the files.
func prepare(t testing.TB, config string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), clock: &clock{}, reload: make(chan os.Signal), tells: make(chan bool, 100)}
	h.admin = admin.NewClient("unix", h.path("admin.sock"))
	h.write("portreeve.toml", config)
	h.write("accounts.toml", accounts)
	h.write("token", "secret\n")
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, body string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(body), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) options() Options {
	return Options{
		ConfigPath: h.path("portreeve.toml"), Version: "test", Now: h.clock.now, Reload: h.reload,
		Log:       slog.New(slog.NewTextHandler(&h.log, nil)),
		Reloading: func(done bool) { h.tells <- done },
	}
}

// start runs a daemon until the test ends, or stop.
func start(t testing.TB, config string) *host {
	t.Helper()
	h := prepare(t, config)
	h.run()
	return h
}

func (h *host) run() {
	h.t.Helper()
	h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, h.options(), ready) })
}

// launch waits until what runs is ready.
func (h *host) launch(run func(context.Context, func()) error) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan struct{})
	h.end, h.ended = cancel, ended
	go func() { ended <- run(ctx, func() { close(ready) }) }() // a second call would panic
	h.t.Cleanup(func() {
		if h.ended != nil {
			h.stop()
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		h.ended = nil
		h.t.Fatalf("the daemon did not start: %v", err)
	case <-time.After(patience):
		h.t.Fatal("the daemon is not ready")
	}
}

// stop ends the daemon and waits for it.
func (h *host) stop() {
	h.t.Helper()
	h.end()
	h.wait()
}

// wait is for a daemon that has been told to end.
func (h *host) wait() {
	h.t.Helper()
	ended := h.ended
	h.ended = nil
	select {
	case err := <-ended:
		if err != nil {
			h.t.Errorf("the daemon ended with %v", err)
		}
	case <-time.After(patience):
		h.t.Fatalf("the daemon does not end; its log:\n%s", h.log.String())
	}
}

// must is the value of a call that has to succeed.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (h *host) status() admin.Status {
	h.t.Helper()
	return must[admin.Status](h.t)(h.admin.Status(h.t.Context()))
}

func (h *host) blocks() []admin.Block {
	h.t.Helper()
	return must[[]admin.Block](h.t)(h.admin.Blocks(h.t.Context(), admin.BlocksRequest{}))
}

func (h *host) explain(r admin.ExplainRequest) admin.ExplainAnswer {
	h.t.Helper()
	return must[admin.ExplainAnswer](h.t)(h.admin.Explain(h.t.Context(), r))
}

func (h *host) reloaded() admin.Reloaded {
	h.t.Helper()
	return must[admin.Reloaded](h.t)(h.admin.Reload(h.t.Context()))
}

// open connects to a unix socket of the host, with a deadline for everything.
func (h *host) open(name string) net.Conn {
	h.t.Helper()
	c := must[net.Conn](h.t)(net.Dial("unix", h.path(name)))
	h.t.Cleanup(func() { _ = c.Close() }) // the daemon may have closed it
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// envelope is a policy request at RCPT.
type envelope struct {
	client, login, sender, recipient, context string
	port                                      int
}

func (e envelope) String() string {
	if e.port == 0 {
		e.port = 587
	}
	return fmt.Sprintf("request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=%s\nserver_port=%d\n"+
		"sasl_username=%s\nsender=%s\nrecipient=%s\npolicy_context=%s\n\n", e.client, e.port, e.login, e.sender, e.recipient, e.context)
}

// ask is the policy service's action.
func (h *host) ask(e envelope) string {
	h.t.Helper()
	c := h.open("policy.sock")
	defer c.Close()
	return exchange(h.t, c, bufio.NewReader(c), e.String())
}

// exchange sends a whole request, or the rest of one, and reads the answer.
func exchange(t testing.TB, c net.Conn, r *bufio.Reader, request string) string {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	line := must[string](t)(r.ReadString('\n'))
	if blank := must[string](t)(r.ReadString('\n')); blank != "\n" {
		t.Fatalf("%q follows the answer %q", blank, line)
	}
	return strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "action=")
}

// report is what Dovecot tells of one login. It returns the HTTP status.
func (h *host) report(service, client, login string, success bool) int {
	h.t.Helper()
	status, _ := h.dovecot("report", "secret", map[string]any{
		"login": login, "protocol": service, "remote": client, "success": success, "policy_reject": false,
	})
	return status
}

// block makes a client fail until it is blocked.
func (h *host) block(client, login string) {
	h.t.Helper()
	for range 11 {
		if status := h.report("submission", client, login, false); status != http.StatusOK {
			h.t.Fatalf("a report is answered with %d", status)
		}
	}
}

// dovecot posts to the auth policy listener.
func (h *host) dovecot(command, token string, body map[string]any) (status int, answer string) {
	h.t.Helper()
	data := must[[]byte](h.t)(json.Marshal(body))
	where := strings.TrimPrefix(h.status().Listeners["auth"], "inet:")
	r := must[*http.Request](h.t)(http.NewRequestWithContext(h.t.Context(), http.MethodPost, "http://"+where+"/?command="+command, bytes.NewReader(data)))
	r.Header.Set("X-Api-Key", token)
	res := must[*http.Response](h.t)(http.DefaultClient.Do(r))
	defer res.Body.Close()
	return res.StatusCode, string(must[[]byte](h.t)(io.ReadAll(res.Body)))
}

// get is a page of the web listener.
func (h *host) get(path string) (status int, body string) {
	h.t.Helper()
	where := strings.TrimPrefix(h.status().Listeners["web"], "inet:")
	res := must[*http.Response](h.t)(http.Get("http://" + where + path))
	defer res.Body.Close()
	return res.StatusCode, string(must[[]byte](h.t)(io.ReadAll(res.Body)))
}
