//go:build real

package monitoring

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"portreeve/integration/dialogue"
	"portreeve/integration/mimic"
)

// program is the portreeve under test.
var program = flag.String("program", "../../bin/portreeve", "the portreeve that is run, from make build")

// patience is how long is waited for what should come at once.
const patience = 20 * time.Second

const config = `
[listen]
policy = "unix:policy.sock"
milter = "unix:milter.sock"
auth = "unix:auth.sock"
sasl = "unix:sasl.sock"
admin = "unix:admin.sock"
web = "inet:%s"
[networks]
trusted = ["127.0.0.1/32"]
[directory]
source = "sql"
cache_ttl = "0s"
[directory.sql]
driver = "sqlite"
dsn_file = "dsn"
account = "SELECT login FROM accounts WHERE login = ?"
domains = "SELECT name FROM domains WHERE customer = (SELECT customer FROM domains WHERE name = ?)"
[auth_policy]
token_file = "token"
[sasl]
upstream = "unix:dovecot.sock"
[login_failures]
limit = 9
delay = "1s"
[smtp_after_pop]
enabled = true
[store]
path = "portreeve.db"
`

const accounts = `
CREATE TABLE domains (name TEXT PRIMARY KEY, customer TEXT);
CREATE TABLE accounts (login TEXT PRIMARY KEY);
INSERT INTO domains VALUES ('domena.cz', '1'), ('domena.eu', '1'), ('b.cz', '2');
INSERT INTO accounts VALUES ('jan.novak@domena.cz'), ('karel@b.cz');
`

// host is a daemon, with the stand-in for Postfix and Dovecot in front of it.
type host struct {
	dialogue.World // Verb, Restart and the like: no story here uses them
	dir, web       string
	mail           *mimic.Server
}

// Start implements dialogue.Host: the host is there already.
func (h *host) Start(testing.TB, dialogue.Settings) dialogue.World { return h }

// Dial implements dialogue.World.
func (h *host) Dial(ctx context.Context, from netip.Addr, port int) (net.Conn, error) {
	return h.mail.Dial(ctx, from, port)
}

// Log implements dialogue.World.
func (h *host) Log() string {
	log, err := os.ReadFile(filepath.Join(h.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

// start runs a daemon until the test ends.
func start(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "watched") // short: the path of a socket has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h := &host{dir: dir, web: freeAddr(t)}
	for name, content := range map[string]string{
		"portreeve.toml": fmt.Sprintf(config, h.web), "token": "of-the-monitoring\n", "dsn": filepath.Join(dir, "accounts.db"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "accounts.db"))
	if err == nil {
		_, err = db.Exec(accounts)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	h.dovecot(t)
	run(t, filepath.Join(dir, "log"), *program, "serve", "--config", filepath.Join(dir, "portreeve.toml"))
	until(t, "the daemon answers", func() error { _, err := get("http://" + h.web + "/healthz"); return err })
	users, err := os.ReadFile("../testdata/users")
	if err != nil {
		t.Fatal(err)
	}
	h.mail, err = mimic.New(mimic.Fronts{
		Policy: "unix:" + h.path("policy.sock"), Milter: "unix:" + h.path("milter.sock"),
		Auth: "unix:" + h.path("auth.sock"), Token: "of-the-monitoring",
	}, users, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the daemon: its fronts drain
		if err := h.mail.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// dovecot is the auth socket behind the SASL relay: no password is right there.
func (h *host) dovecot(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("unix", h.path("dovecot.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				defer c.Close()
				fmt.Fprint(c, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nDONE\n")
				for in := bufio.NewScanner(c); in.Scan(); {
					if f := strings.Split(in.Text(), "\t"); f[0] == "AUTH" {
						fmt.Fprintf(c, "FAIL\t%s\tuser=%s\n", f[1], "jan.novak@domena.cz")
					}
				}
			}()
		}
	}()
}

// mail is a morning at the mail host; each part names what it is for.
const mail = `# A morning.
# pass, in the milter and the auth policy; a header that is only observed
from 127.1.250.1 to 587
< 220 *
> EHLO pc.test
< 250 *
auth jan.novak@domena.cz jan.novak-pass
< 235 *
> MAIL FROM:<jan.novak@domena.cz>
< 250 *
> RCPT TO:<kdosi@far.test>
< 250 *
message
  From: somebody@else.test

  hello
< 250 *
# refuse: a foreign sender; a login that is no account
> MAIL FROM:<jan@seznam.cz>
< 550 *
from 127.1.250.2 to 587
< 220 *
> EHLO pc.test
< 250 *
auth ghost@domena.cz ghost-pass
< 235 *
> MAIL FROM:<ghost@domena.cz>
< 550 *
# permit, in the policy service: SMTP after POP
from 127.1.250.3 to 110
login karel@b.cz karel-pass
< +OK*
from 127.1.250.3 to 25
< 220 *
> EHLO pc.test
< 250 *
> MAIL FROM:<karel@b.cz>
< 250 *
> RCPT TO:<kdosi@far.test>
< 250 *
# relaying
from 127.1.250.4 to 25
< 220 *
> EHLO pc.test
< 250 *
> MAIL FROM:<kdosi@far.test>
< 250 *
> RCPT TO:<nekdo@far.test>
< 550 *
`

// work drives the daemon through all of its protocols.
func (h *host) work(t *testing.T) {
	t.Helper()
	story, err := dialogue.Parse("a morning", []byte(mail))
	if err != nil {
		t.Fatal(err)
	}
	dialogue.Play(t, h, story)
	h.guess(t, "127.1.250.9")
	h.talk(t, "policy.sock", "nonsense\n\n", "") // it hangs up
}

// guess makes one attempt through the SASL relay with a wrong password.
func (h *host) guess(t *testing.T, client string) {
	t.Helper()
	h.talk(t, "sasl.sock", fmt.Sprintf("VERSION\t1\t1\nCPID\t7\nAUTH\t1\tPLAIN\tservice=submission\trip=%s\tresp=%s\n",
		client, base64.StdEncoding.EncodeToString([]byte("\x00jan.novak@domena.cz\x00wrong"))), "FAIL")
}

// talk sends a text to a socket and reads until a line begins with what is expected;
// with nothing expected, until the end.
func (h *host) talk(t *testing.T, socket, text, expected string) {
	t.Helper()
	c, err := net.Dial("unix", h.path(socket))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		if expected != "" && strings.HasPrefix(lines.Text(), expected) {
			return
		}
	}
	if expected != "" || lines.Err() != nil {
		t.Fatalf("%s: no %q came: %v", socket, expected, lines.Err())
	}
}

// run starts a program that ends with the test.
func run(t *testing.T, log, name string, args ...string) {
	t.Helper()
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		err := cmd.Process.Signal(os.Interrupt)
		if err == nil {
			err = cmd.Wait()
		}
		if err != nil || t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s ended with %v; its log:\n%s", name, err, text)
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
}

// until asks again until the answer is no error.
func until(t *testing.T, what string, ask func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func get(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return string(body), err
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
