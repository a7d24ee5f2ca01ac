//go:build real

package integration

import (
	"encoding/json"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
	"portreeve/internal/admin"
)

// slowDelay is as long as Portreeve allows. Twice that, and Postfix would have
// answered 454 before.
const slowDelay = 5 * time.Second

// A login is guessed from many addresses. Attempts for it become slow where it is
// new, the right password still gets in everywhere, and its owner's programs
// notice nothing; also after a kill. By Dovecot's auth policy, and by the relay.
func TestSlowGuessing(t *testing.T) {
	for recipe, net := range map[string]string{real.RecipeMilter: "127.1.247.", real.RecipeSASL: "127.1.248."} {
		t.Run(recipe, func(t *testing.T) {
			t.Parallel()
			w := host.World(t, dialogue.Settings{Recipe: recipe, Portreeve: map[string]any{"login_failures.limit": 3}})
			slowGuessing(t, w, net)
		})
	}
}

func slowGuessing(t *testing.T, w *real.World, net string) {
	home, phone, abroad := net+"1", net+"2", net+"3"
	connect(t, w, home, 587).auth(`^235 `, account, password)
	mailboxLogin(t, w, phone)

	for _, from := range []string{"11", "12", "13", "14"} {
		connect(t, w, net+from, 587).auth(`^535 `, strings.ToUpper(account), "wrong")
	}
	tries := func(what, from, pattern, password string, slow bool) {
		t.Helper()
		c := connect(t, w, from, 587)
		began := time.Now()
		c.auth(pattern, account, password)
		if took := time.Since(began); took >= slowDelay != slow {
			t.Errorf("%s: the answer took %s", what, took)
		}
	}
	again := func() {
		t.Helper()
		tries("a guesser", net+"20", `^535 `, "wrong", true)
		tries("an address of the guessers", net+"11", `^535 `, "wrong", true)
		tries("the owner at home", home, `^235 `, password, false)
		tries("the owner, known by IMAP", phone, `^235 `, password, false)
	}
	again()
	tries("the owner abroad", abroad, `^235 `, password, true)
	tries("the owner abroad, again", abroad, `^235 `, password, false)
	c := connect(t, w, net+"20", 587)
	c.auth(`^235 `, "karel@b.cz", "karel-pass") // another login of the same address

	var s admin.Status
	if err := json.Unmarshal([]byte(verb(t, w, 0, "status", "--json").Stdout), &s); err != nil {
		t.Fatal(err)
	}
	if s.Guessed != 1 || len(s.Guesses) != 1 || !strings.EqualFold(s.Guesses[0].Login, account) || s.Guesses[0].Failures < 4 || s.Counts.Delayed < 3 {
		t.Fatalf("status: %+v", s)
	}
	id := s.Guesses[0].ID
	if out := verb(t, w, 0, "explain", id).Stdout; !strings.Contains(out, "login_failures") || !strings.Contains(out, net+"14") {
		t.Errorf("explain says %s", out)
	}

	if err := w.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	again()
	if out := verb(t, w, 0, "status", "--json").Stdout; !strings.Contains(out, id) {
		t.Errorf("after a kill the id is another: %s", out)
	}
}

// mailboxLogin logs in to IMAP.
func mailboxLogin(t *testing.T, w *real.World, from string) {
	t.Helper()
	n, err := w.Dial(t.Context(), netip.MustParseAddr(from), 143)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close() //nolint:errcheck // the server may have gone first
	imapLogin(t, n)
}

func imapLogin(t *testing.T, n net.Conn) {
	t.Helper()
	if err := n.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	text := textproto.NewConn(n)
	if err := text.PrintfLine(`a1 LOGIN "%s" "%s"`, account, password); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := text.ReadLine()
		if err != nil {
			t.Fatalf("IMAP: %v", err)
		}
		if strings.HasPrefix(line, "a1 OK") {
			return
		}
		if strings.HasPrefix(line, "a1 ") {
			t.Fatalf("IMAP login: %s", line)
		}
	}
}
