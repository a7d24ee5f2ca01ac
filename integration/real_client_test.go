//go:build real

package integration

import (
	"encoding/base64"
	"net/netip"
	"net/textproto"
	"regexp"
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
	n, err := w.Dial(t.Context(), netip.MustParseAddr(from), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() }) //nolint:errcheck // the server may have gone first
	if err := n.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &client{t, textproto.NewConn(n)}
	c.expect(`^220 `, "")
	c.expect(`^250 `, "EHLO pc.test")
	return c
}

// expect sends a line, unless it is empty, and matches the reply's last line.
func (c *client) expect(pattern, line string) string {
	c.t.Helper()
	if line != "" {
		if err := c.text.PrintfLine("%s", line); err != nil {
			c.t.Fatalf("sending %q: %v", line, err)
		}
	}
	for {
		got, err := c.text.ReadLine()
		if err != nil {
			c.t.Fatalf("reading the reply to %q: %v", line, err)
		}
		if len(got) > 3 && got[3] == '-' {
			continue
		}
		if !regexp.MustCompile(pattern).MatchString(got) {
			c.t.Fatalf("%q was answered %q, not %s", line, got, pattern)
		}
		return got
	}
}

// auth logs in, or tries to.
func (c *client) auth(pattern, user, password string) {
	c.t.Helper()
	c.expect(pattern, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
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
