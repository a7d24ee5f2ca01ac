//go:build real

package browser

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
	"portreeve/internal/daemon"
)

const configuration = `
observe = ["access_disabled"]
[listen]
policy = "unix:policy.sock"
milter = ""
auth = "inet:127.0.0.1:0"
admin = "unix:admin.sock"
web = "inet:127.0.0.1:0"
[directory]
file = "accounts.toml"
[auth_policy]
token_file = "token"
[web]
token_file = "web-token"
[store]
path = "portreeve.db"
`

const accounts = `
[domains]
"domena.cz" = { aliases = ["domena.eu"] }
"firma.cz" = {}
[accounts]
"jan.novak@domena.cz" = {}
"hana@domena.cz" = {}
"eva@domena.cz" = { smtp = false }
"obchod@firma.cz" = { messages_per_hour = 200, recipients_per_hour = 1000 }
`

// token is what the help desk logs in with.
const token = "8f1d7c0be2a94f53"

// begin is when the hour of the tests begins.
var begin = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

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

// host is a running daemon on a clock that the test moves.
type host struct {
	t      *testing.T
	dir    string
	passed atomic.Int64
	admin  *admin.Client
	page   string // the help-desk page's address
	auth   string // the auth policy's
	log    lines
}

func (h *host) now() time.Time           { return begin.Add(time.Duration(h.passed.Load())) }
func (h *host) forward(by time.Duration) { h.passed.Add(int64(by)) }

// to moves the clock to that time after the beginning, never back.
func (h *host) to(after time.Duration) { h.passed.Store(max(int64(after), h.passed.Load())) }

// start runs a daemon until the test ends.
func start(t *testing.T) *host {
	t.Helper()
	return startIn(t, t.TempDir())
}

func startIn(t *testing.T, dir string) *host {
	t.Helper()
	h := &host{t: t, dir: dir}
	for name, body := range map[string]string{
		"portreeve.toml": configuration, "accounts.toml": accounts, "token": "dovecot-token\n", "web-token": token + "\n",
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- daemon.Run(ctx, daemon.Options{
			ConfigPath: filepath.Join(h.dir, "portreeve.toml"), Version: "test", Now: h.now,
			Log: slog.New(slog.NewTextHandler(&h.log, nil)),
		}, func() { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", h.log.String())
		}
	})
	h.admin = admin.NewClient("unix", filepath.Join(h.dir, "admin.sock"))
	status, err := h.admin.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.page = "http://" + strings.TrimPrefix(status.Listeners["web"], "inet:") + "/"
	h.auth = "http://" + strings.TrimPrefix(status.Listeners["auth"], "inet:") + "/"
	return h
}

// ask sends one policy request and returns the action.
func (h *host) ask(state, client, login, sender, recipient, helo string) string {
	h.t.Helper()
	c, err := net.Dial("unix", filepath.Join(h.dir, "policy.sock"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	fmt.Fprintf(c, "request=smtpd_access_policy\nprotocol_state=%s\nclient_address=%s\nserver_port=587\nsasl_username=%s\n"+
		"sender=%s\nrecipient=%s\nhelo_name=%s\ninstance=%d\nrecipient_count=3\n\n", state, client, login, sender, recipient, helo, h.passed.Add(1))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "action=")
}

// send is one recipient of one message.
func (h *host) send(client, login, sender string) string {
	h.t.Helper()
	return h.ask("RCPT", client, login, sender, "eva@example.com", "pc.example.cz")
}

// fail is a failed login, as Dovecot reports it.
func (h *host) fail(client, login string, times int) {
	h.t.Helper()
	for range times {
		body, err := json.Marshal(map[string]any{
			"login": login, "protocol": "submission", "remote": client, "success": false, "policy_reject": false, "pwhash": "a1",
		})
		if err != nil {
			h.t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.auth+"?command=report", bytes.NewReader(body))
		if err != nil {
			h.t.Fatal(err)
		}
		r.Header.Set("X-Api-Key", "dovecot-token")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			h.t.Fatalf("a report is answered with %s %s %v", answer.Status, text, err)
		}
		h.forward(4 * time.Second)
	}
}

// The clients of the hour.
const (
	office   = "112.67.35.229" // blocked: a telephone there has an old password
	attacker = "203.0.113.77"  // blocked, over IPv6 too
	customer = "198.51.100.24"
)

// anHour plays what a help desk sees, and returns the reply that the blocked
// office got.
func (h *host) anHour() (reply string) {
	h.t.Helper()
	for minute := range 58 {
		for range 14 + (minute*7)%11 + minute/4 {
			h.send(customer, "jan.novak@domena.cz", "jan.novak@domena.eu")
		}
		for range minute % 7 / 5 * (1 + minute%3) {
			h.send("198.51.100.80", "jan.novak@domena.cz", fmt.Sprintf("jan.novak%d@seznam.cz", minute))
		}
		if minute%13 == 6 {
			h.send("2001:db8:7::15", "eva@domena.cz", "eva@domena.cz") // observed
		}
		if minute >= 20 && minute < 45 { // goes on in spite of its block
			for range 1 + (minute*5)%4 {
				h.send(attacker, "", "info@firma.cz")
			}
		}
		switch minute {
		case 19:
			h.fail(attacker, "admin", 3)
			h.fail(attacker, "info@firma.cz", 9)
		case 33:
			h.fail("2001:db8:66::1", "root@domena.cz", 12)
		case 48:
			h.fail(office, "jan.novak@domena.cz", 9)
			h.fail(office, "hana@domena.cz", 2)
		}
		if minute > 48 && minute%2 == 0 {
			reply = h.send(office, "", "jan.novak@domena.cz")
		}
		for range 3 {
			h.ask("END-OF-MESSAGE", customer, "obchod@firma.cz", "obchod@firma.cz", "", "pc.example.cz")
		}
		h.to(time.Duration(minute+1) * time.Minute)
	}
	h.send("198.51.100.80", "jan.novak@domena.cz", "jan.novak@seznam.cz")
	h.forward(25 * time.Second)
	return reply
}
