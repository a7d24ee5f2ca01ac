package daemon

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"portreeve/internal/config"
	"portreeve/internal/listen"
	"portreeve/internal/store"
)

// follows is a host without Dovecot's auth policy.
func follows(t *testing.T) *host {
	t.Helper()
	h := prepare(t, strings.Replace(plain, `auth = "inet:127.0.0.1:0"`, "", 1)+"[maillog]\nfiles = [\"mail.log\"]\n")
	h.write("mail.log", "")
	return h
}

// logged appends lines to the mail log.
func (h *host) logged(lines ...string) {
	h.t.Helper()
	f := must[*os.File](h.t)(os.OpenFile(h.path("mail.log"), os.O_APPEND|os.O_WRONLY, 0))
	defer f.Close()
	for _, line := range lines {
		must[int](h.t)(f.WriteString("Nov 22 12:00:00 mx " + line + "\n"))
	}
}

func failed(client, login string) string {
	return fmt.Sprintf("postfix/submission/smtpd[7]: warning: unknown[%s]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=%s", client, login)
}

// told waits until the daemon was told of n logins since its start.
func (h *host) told(n int64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	for got := int64(-1); got != n; {
		if ctx.Err() != nil {
			h.t.Fatalf("%d logins were told, want %d; the log:\n%s", got, n, h.log.String())
		}
		got = h.status().Counts.AuthReports
	}
}

func TestMailLogBlocks(t *testing.T) {
	h := follows(t)
	h.run()
	for n := range 11 {
		h.logged(failed("203.0.113.7", fmt.Sprint("guess", n)))
	}
	h.told(11)
	blocks := h.blocks()
	if len(blocks) != 1 || blocks[0].Prefix != "203.0.113.7" || blocks[0].Failures != 11 {
		t.Fatalf("blocked: %+v", blocks)
	}
	want := "550 5.1.0 " + blocks[0].ID + " Connection refused from 203.0.113.7. Too many authorization failures from this IP, try again later."
	if got := h.ask(envelope{client: "203.0.113.7", sender: "jan@domena.cz", recipient: "a@far.test"}); got != want {
		t.Errorf("the blocked client is answered %q", got)
	}
}

func TestMailLogGrants(t *testing.T) {
	h := follows(t)
	h.run()
	h.logged("dovecot: pop3-login: Login: user=<jan@domena.cz>, method=PLAIN, rip=203.0.113.8, lip=192.0.2.2, mpid=34, session=<L1ilm9dgsc9/AAcB>")
	h.told(1)
	grant := envelope{client: "203.0.113.8", sender: "jan@domena.cz", recipient: "a@far.test", context: "relay"}
	if got := h.ask(grant); got != "OK" {
		t.Errorf("after POP: %q", got)
	}
	// An hour from the logout, not from the login.
	h.clock.forward(30 * time.Minute)
	h.logged("dovecot: pop3(jan@domena.cz)<34><L1ilm9dgsc9/AAcB>: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0",
		failed("203.0.113.9", "x")) // told after it
	h.told(2)
	h.clock.forward(59 * time.Minute)
	if got := h.ask(grant); got != "OK" {
		t.Errorf("59 minutes after the logout: %q", got)
	}
	h.clock.forward(2 * time.Minute)
	if got := h.ask(grant); got == "OK" {
		t.Error("61 minutes after the logout the grant still holds")
	}
}

// Stopped, a daemon goes on where it was. Killed before that was stored, it reads
// lines again, and none counts twice.
func TestMailLogCountsOnce(t *testing.T) {
	h := follows(t)
	h.run()
	h.logged(failed("203.0.113.7", "a"))
	h.told(1)
	h.stop()
	early := h.position(nil)
	h.run()
	for range 10 {
		h.logged(failed("203.0.113.7", "a"))
	}
	h.told(10)
	h.stop()
	h.position(early)
	h.run()
	h.told(10)
	if blocks := h.blocks(); len(blocks) != 1 || blocks[0].Failures != 11 {
		t.Errorf("after lines were read twice: %+v", blocks)
	}
	h.logged(failed("203.0.113.7", "a"))
	h.told(11)
	if blocks := h.blocks(); len(blocks) != 1 || blocks[0].Failures != 12 {
		t.Errorf("after a new one: %+v", blocks)
	}
}

// position is where a stopped daemon will go on, and sets it if it is not nil.
func (h *host) position(set []byte) []byte {
	h.t.Helper()
	db := must[*store.DB](h.t)(store.Open(h.path("portreeve.db"), store.Schema, noon))
	defer db.Close()
	if set != nil {
		err := db.Write(h.t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec("update maillog_positions set position = ?", set)
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	var p []byte
	if err := db.Reader().QueryRow("select position from maillog_positions").Scan(&p); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func TestMailLogCannotBeOpened(t *testing.T) {
	h := follows(t)
	if err := os.Remove(h.path("mail.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.path("mail.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), h.options(), func() { t.Error("it is ready") })
	if err == nil || !strings.Contains(err.Error(), "maillog.files: the mail log "+h.path("mail.log")+" is no regular file") {
		t.Errorf("got %v", err)
	}
	// The listeners are closed again, and so is the store.
	if err := os.Remove(h.path("mail.log")); err != nil {
		t.Fatal(err)
	}
	h.run()
}

// What Dovecot's fronts tell is not told again by the log.
func TestMailLogBesideOthers(t *testing.T) {
	at := listen.Address{Network: "tcp", Addr: "127.0.0.1:0"}
	for name, tt := range map[string]struct {
		auth, sasl listen.Address
		want       string
	}{
		"alone":                {want: "failures logins"},
		"with the auth policy": {auth: at},
		"with the SASL relay":  {sasl: at, want: "logins"},
		"with both":            {auth: at, sasl: at},
	} {
		failures, logins := toldByLog(config.Listen{Auth: tt.auth, SASL: tt.sasl})
		var got []string
		if failures {
			got = append(got, "failures")
		}
		if logins {
			got = append(got, "logins")
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s the log tells of %q, want %q", name, got, tt.want)
		}
	}
}
