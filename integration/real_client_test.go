//go:build real

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/textproto"
	"regexp"
	"strconv"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

// client is an SMTP client for the tests that no story can tell.
type client struct {
	t    *testing.T
	text *textproto.Conn
}

// connect opens a session and sends EHLO.
func connect(t *testing.T, w *real.World, from string, port int) *client {
	t.Helper()
	c := open(t, w, from, port)
	c.expect(`^220 `, "")
	c.expect(`^250 `, "EHLO pc.test")
	return c
}

// connectPOP opens a POP3 session.
func connectPOP(t *testing.T, w *real.World, from string) *client {
	t.Helper()
	c := open(t, w, from, 110)
	c.expect(`^\+OK`, "")
	return c
}

func open(t *testing.T, w *real.World, from string, port int) *client {
	t.Helper()
	n, err := w.Dial(t.Context(), netip.MustParseAddr(from), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() }) //nolint:errcheck // the server may have gone first
	if err := n.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{t, textproto.NewConn(n)}
}

// ask sends a line, unless it is empty, and returns the reply's last line.
func (c *client) ask(line string) (string, error) {
	if line != "" {
		if err := c.text.PrintfLine("%s", line); err != nil {
			return "", fmt.Errorf("sending %q: %w", line, err)
		}
	}
	for {
		got, err := c.text.ReadLine()
		if err != nil {
			return "", fmt.Errorf("reading the reply to %q: %w", line, err)
		}
		if len(got) <= 3 || got[3] != '-' {
			return got, nil
		}
	}
}

// expect asks, and matches the reply.
func (c *client) expect(pattern, line string) string {
	c.t.Helper()
	got, err := c.ask(line)
	if err != nil {
		c.t.Fatal(err)
	}
	if !regexp.MustCompile(pattern).MatchString(got) {
		c.t.Fatalf("%q was answered %q, not %s", line, got, pattern)
	}
	return got
}

// auth logs in, or tries to.
func (c *client) auth(pattern, user, password string) {
	c.t.Helper()
	c.expect(pattern, authPlain(user, password))
}

// authPlain is the whole command.
func authPlain(user, password string) string {
	return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password))
}

var idPattern = regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`)

// idIn is the journal id in a reply.
func idIn(t *testing.T, reply string) string {
	t.Helper()
	id := idPattern.FindString(reply)
	if id == "" {
		t.Fatalf("no id in %q", reply)
	}
	return id
}

// counted is how many failures are held against an address, as `portreeve test`
// shows it.
func counted(t *testing.T, w *real.World, addr string) int {
	t.Helper()
	out, err := w.Verb(t.Context(), "test", "--json", "--client-ip", addr, "--port", "587", "--sender", account)
	if err != nil {
		t.Fatal(err)
	}
	var tested struct {
		Steps []struct{ Facts struct{ Limit, Count int } }
	}
	if err := json.Unmarshal([]byte(out.Stdout), &tested); err != nil {
		t.Fatalf("test --json printed %q and %q: %v", out.Stdout, out.Stderr, err)
	}
	for _, step := range tested.Steps {
		if step.Facts.Limit > 0 { // the failures were asked for
			return step.Facts.Count
		}
	}
	t.Fatalf("no step asked for failures: %s", out.Stdout)
	return 0
}

// reported is how many logins of a result the daemon has been told of since its
// start (portreeve_auth_reports_total).
func reported(t *testing.T, w *real.World, result string) int {
	t.Helper()
	res, err := http.Get("http://" + w.Instance.WebAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^portreeve_auth_reports_total\{.*result="`+result+`"\} (\d+)$`).FindAllSubmatch(body, -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// settled fails once more, from an address of its own, and returns when that is
// counted. A log is read in order, so whatever happened before has been read then.
func settled(t *testing.T, w *real.World, addr string) {
	t.Helper()
	before := counted(t, w, addr)
	connect(t, w, addr, 587).auth(`^535 `, account, "wrong")
	for deadline := time.Now().Add(time.Minute); counted(t, w, addr) == before; {
		if time.Now().After(deadline) {
			t.Fatalf("a failure of %s is not counted within a minute", addr)
		}
	}
}

// verb runs a verb and wants its exit status.
func verb(t *testing.T, w *real.World, exit int, args ...string) dialogue.Output {
	t.Helper()
	out, err := w.Verb(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if out.Exit != exit {
		t.Fatalf("portreeve %q ended with status %d, not %d; it said %q and %q", args, out.Exit, exit, out.Stdout, out.Stderr)
	}
	return out
}
