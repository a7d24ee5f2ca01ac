package daemon

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
)

// withRelay is plain with the SASL relay.
var withRelay = strings.Replace(plain, "admin = ", "sasl = \"unix:sasl.sock\"\nadmin = ", 1) + "[sasl]\nupstream = \"unix:auth\"\n"

// dovecotAt is Dovecot's auth-client socket, where no password is right.
func dovecotAt(t *testing.T, path string) {
	t.Helper()
	ln := must[net.Listener](t)(net.Listen("unix", path))
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nDONE\n")
				for in := bufio.NewScanner(c); in.Scan(); {
					if f := strings.Split(in.Text(), "\t"); f[0] == "AUTH" {
						fmt.Fprintf(c, "FAIL\t%s\tuser=jan@domena.cz\n", f[1])
					}
				}
			}()
		}
	}()
}

// sasl makes one attempt with a wrong password and returns the answer.
func (h *host) sasl(client, login string) string {
	h.t.Helper()
	c := h.open("sasl.sock")
	defer c.Close()
	fmt.Fprintf(c, "VERSION\t1\t1\nCPID\t7\nAUTH\t1\tPLAIN\tservice=submission\trip=%s\tresp=%s\n",
		client, base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00wrong")))
	in := bufio.NewReader(c)
	for {
		line := must[string](h.t)(in.ReadString('\n'))
		if strings.HasPrefix(line, "FAIL") {
			return line
		}
	}
}

// With listen.sasl the relay counts SMTP logins alone, and is seen in status and
// metrics; the auth policy goes on for POP3.
func TestSASLRelay(t *testing.T) {
	h := prepare(t, withRelay)
	dovecotAt(t, h.path("auth"))
	h.run()
	if info, err := os.Stat(h.path("sasl.sock")); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	if s := h.status(); s.Listeners["sasl"] != "unix:"+h.path("sasl.sock") || len(s.Warnings) > 0 {
		t.Errorf("status: %v, %q", s.Listeners, s.Warnings)
	}
	h.block("192.0.2.7", "jan@domena.cz") // told by the auth policy: nobody listens
	failed := regexp.MustCompile(`^FAIL\t1\tuser=jan@domena\.cz\treason=\w{22} authentication failed\n$`)
	for range 11 {
		if got := h.sasl("192.0.2.7", "jan@domena.cz"); !failed.MatchString(got) {
			t.Fatalf("a wrong password is answered %q", got)
		}
	}
	if got := h.sasl("192.0.2.7", "jan@domena.cz"); !strings.Contains(got, "Connection refused from 192.0.2.7.") {
		t.Errorf("after eleven failures: %q", got)
	}
	if _, got := h.dovecot("allow", "secret", map[string]any{"login": "ghost@domena.cz", "protocol": "smtp", "remote": "192.0.2.7"}); !strings.Contains(got, `"status":0`) {
		t.Errorf("the auth policy says %s", got)
	}
	h.report("pop3", "192.0.2.9", "jan@domena.cz", true)
	if got := h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz", recipient: "a@far.test", context: "relay"}); got != "OK" {
		t.Errorf("SMTP after POP: %q", got)
	}
	_, page := h.get("/metrics")
	for _, want := range []string{
		`portreeve_auth_reports_total{protocol="submission",result="failure"} 11`,
		`portreeve_auth_reports_total{protocol="submission",result="rejected"} 1`,
		`portreeve_auth_reports_total{protocol="pop3",result="success"} 1`,
		`portreeve_protocol_errors_total{protocol="sasl"} 0`,
		`portreeve_connections{protocol="sasl"}`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// The upstream follows a reload. A file that turns the relay off leaves it on
// until the restart, with its upstream.
func TestSASLRelayReloaded(t *testing.T) {
	h := prepare(t, withRelay)
	dovecotAt(t, h.path("other"))
	h.run()
	c := h.open("sasl.sock")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("without Dovecot: %v", err)
	}
	for _, file := range []string{strings.Replace(withRelay, "unix:auth", "unix:other", 1), plain} {
		h.write("portreeve.toml", file)
		if r, err := h.admin.Reload(t.Context()); err != nil || len(r.Problems) > 0 {
			t.Fatalf("reload: %+v, %v", r, err)
		}
		if got := h.sasl("192.0.2.7", "jan@domena.cz"); !strings.HasPrefix(got, "FAIL\t1\tuser=") {
			t.Errorf("after a reload: %q", got)
		}
	}
}
