//go:build real

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/ledger/valkey"
	"portreeve/ledger/valkeytest"
)

// Somebody else's keys under our names, and an event of another version, stop nothing.
func TestForeignKeys(t *testing.T) {
	s, o := server(t)
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.fail(1)
	keys := s.Strings("KEYS", "*:f:"+guessers.String())
	if len(keys) != 1 {
		t.Fatalf("keys: %v", keys)
	}
	s.Do("DEL", keys[0])
	s.Do("RPUSH", keys[0], "not ours")
	if got := a.fail(1); got.Count != 2 {
		t.Errorf("%d count, want 2", got.Count)
	}
	if err := a.Strange(); err != nil {
		t.Fatal(err)
	}
	if a.send("after") {
		t.Error("no place")
	}
	a.told()
	if got := b.Usage(account, time.Now()); got.Messages != 1 {
		t.Errorf("what came after was not told: %+v", got)
	}
	if a.Away() != nil || a.log.count("no usable answer") == 0 {
		t.Errorf("away: %v; the log: %s", a.Away(), a.log.text.String())
	}
	for name, value := range map[string]string{
		"another version":        "2 is the next one",
		"cut":                    "1",
		"a member that is short": "1" + strings.Repeat("\x00", 17) + "\x00\x06\x00\x00\x00\x00\x00\x00\x00\x01x",
	} {
		s.Do("SET", keys[0], value)
		if got := b.counts(); got.Count != 0 || b.Away() != nil {
			t.Errorf("%s: %+v, away: %v", name, got, b.Away())
		}
	}
}

// A user who may do no more than docs/shared-store.md says, and TLS.
func TestUserAndTLS(t *testing.T) {
	options, config := certificate(t)
	port := valkeytest.FreePort(t)
	s := valkeytest.StartAt(t, fmt.Sprintf("127.0.0.1:%d", port), nil, append([]string{
		"--bind", "127.0.0.1", "--port", "0", "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
	}, options...)...)
	s.TLS = config
	s.Ready()
	s.Do(append([]string{"ACL", "SETUSER", "portreeve", "on", ">secret"}, strings.Fields(documented(t, "user portreeve on >PASSWORD "))...)...)
	o := valkey.Options{Addresses: []string{s.Addr}, Username: "portreeve", Password: "secret", TLS: config}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.up(true)
	a.fail(11)
	together(t, a, b)
	if n := a.log.count("NOPERM"); n > 0 {
		t.Errorf("the user may not do all that it needs: %s", a.log.text.String())
	}

	o.Password = "wrong"
	c := newMX(t, "mx3", o)
	c.until("it says why", func() bool { return c.Away() != nil && strings.Contains(c.Away().Error(), "WRONGPASS") })
	if text := c.Away().Error(); !strings.HasSuffix(text, "store.valkey.password_file names") {
		t.Errorf("it says %s", text)
	}
	if c.log.count("wrong") > 0 {
		t.Errorf("the log has the password: %s", c.log.text.String())
	}
	o.TLS = nil
	if d := newMX(t, "mx4", o); d.Away() == nil {
		t.Error("without TLS it gets in")
	}
}

// When the server's memory is nearly used up, journal entries stay on their host; a
// server that forgets instead is warned of.
func TestMemory(t *testing.T) {
	s, o := server(t, "--maxmemory-policy", "allkeys-lru")
	used, err := strconv.Atoi(s.Info("used_memory"))
	if err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(used+(20<<20)))
	for i := range 16 {
		s.Do("SET", "ballast"+strconv.Itoa(i), strings.Repeat("x", 1<<20))
	}
	a, b := newMX(t, "mx1", o), newMX(t, "mx2", o)
	a.until("it warns", func() bool {
		return a.log.count("set maxmemory-policy noeviction") == 1 && a.log.count("journal entries stay on this host") == 1
	})
	e := a.refusal("sender")
	if err := a.journal.Write(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	a.told()
	if _, err := b.journal.Get(context.Background(), e.ID); !errors.Is(err, journal.ErrUnknown) {
		t.Errorf("the entry is there: %v", err)
	}
	a.fail(2)
	if got := b.counts().Count; got != 2 {
		t.Errorf("%d count, want 2", got)
	}
}
