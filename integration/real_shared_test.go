//go:build real

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
	"portreeve/internal/admin"
	"portreeve/ledger/valkeytest"
)

// network is a store in a network namespace of its own. Each mail host reaches it over
// a cable of its own, which can be taken away: packets are lost then, and nobody says so.
type network struct {
	t     *testing.T
	store *valkeytest.Server
	cable []string // the store's ends
}

const storePort = "6379"

// newNetwork starts a store with so many cables.
func newNetwork(t *testing.T, cables int) *network {
	t.Helper()
	n := &network{t: t}
	n.store = valkeytest.StartAt(t, n.addr(0), &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET},
		"--port", storePort, "--bind", "0.0.0.0", "--protected-mode", "no", "--appendonly", "yes", "--appendfsync", "always")
	n.inside("link", "set", "lo", "up")
	for i := range cables {
		near, far := fmt.Sprintf("portreeve%d", i), fmt.Sprintf("store%d", i)
		n.ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", strconv.Itoa(n.store.Pid()))
		n.ip("addr", "add", fmt.Sprintf("10.77.%d.1/30", i), "dev", near)
		n.ip("link", "set", near, "up")
		n.inside("addr", "add", fmt.Sprintf("10.77.%d.2/30", i), "dev", far)
		n.inside("link", "set", far, "up")
		n.cable = append(n.cable, far)
		t.Cleanup(func() {
			// With the store's namespace its cables go; this is for the case that it has not.
			_ = exec.Command("ip", "link", "del", near).Run()
		})
	}
	n.store.Ready()
	return n
}

func (n *network) addr(cable int) string {
	return net.JoinHostPort(fmt.Sprintf("10.77.%d.2", cable), storePort)
}

// take takes a cable away; give puts it back.
func (n *network) take(cable int) { n.inside("link", "set", n.cable[cable], "down") }
func (n *network) give(cable int) { n.inside("link", "set", n.cable[cable], "up") }

func (n *network) ip(args ...string) {
	n.t.Helper()
	n.run("ip", args...)
}

// inside runs ip where the store is.
func (n *network) inside(args ...string) {
	n.t.Helper()
	n.run("nsenter", append([]string{"-t", strconv.Itoa(n.store.Pid()), "-n", "ip"}, args...)...)
}

func (n *network) run(name string, args ...string) {
	n.t.Helper()
	if out, err := exec.CommandContext(n.t.Context(), name, args...).CombinedOutput(); err != nil {
		n.t.Fatalf("%s %s: %v: %s; this needs root and iproute2: use integration/run.sh", name, strings.Join(args, " "), err, out)
	}
}

// pair starts two mail hosts, each with its own Postfix, Dovecot and Portreeve, on one
// store.
func pair(t *testing.T, n *network) (a, b *real.World) {
	t.Helper()
	start := func(cable int) *real.World {
		return host.World(t, dialogue.Settings{Portreeve: map[string]any{
			"store.kind": "valkey", "store.valkey.addresses": []string{n.addr(cable)},
			"auth_failures.limit": 3, "quota.messages_per_hour": 2, "smtp_after_pop.enabled": true,
		}})
	}
	return start(0), start(1)
}

const shared = "127.1.237."

// fails fails to log in.
func fails(t *testing.T, w *real.World, from string, times int) {
	t.Helper()
	for range times {
		connect(t, w, from, 587).auth(`^535 `, account, "wrong")
	}
}

func statusOf(t *testing.T, w *real.World) (s admin.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(verb(t, w, 0, "status", "--json").Stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// waitFor waits until something is so, for at most that long.
func waitFor(t *testing.T, most time.Duration, what string, is func() bool) {
	t.Helper()
	began := time.Now()
	for !is() {
		if time.Since(began) > time.Minute {
			t.Fatalf("waited a minute in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took > most {
		t.Errorf("%s only after %s, which should take %s", what, took, most)
	}
}

func blockedOn(t *testing.T, w *real.World, addr string) bool {
	t.Helper()
	return strings.Contains(verb(t, w, 0, "blocks").Stdout, addr)
}

// failuresOn is how many failed logins of an address the host knows of, all hosts' together.
func failuresOn(t *testing.T, w *real.World, addr string) int {
	t.Helper()
	var a admin.FailuresAnswer
	if err := json.Unmarshal([]byte(verb(t, w, 0, "failures", addr, "--json").Stdout), &a); err != nil {
		t.Fatal(err)
	}
	return a.Count
}

// sends sends one message and returns the reply to RCPT.
func sends(t *testing.T, w *real.World, from string) string {
	t.Helper()
	c := connect(t, w, from, 587)
	c.auth(`^235 `, "petr@domena.eu", "petr-pass")
	c.expect(`^250 `, "MAIL FROM:<petr@domena.eu>")
	reply, err := c.ask("RCPT TO:<karel@b.cz>")
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(reply, "250 ") {
		c.expect(`^354 `, "DATA")
		c.expect(`^250 `, "From: petr@domena.eu\r\n\r\nhello\r\n.")
	}
	return reply
}

func metricsOf(t *testing.T, w *real.World) string {
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
	return string(body)
}

// Two mail hosts are one to a guesser, to a customer who collects mail on the other one,
// to an account that sends over both, and to a help desk.
func TestTwoHosts(t *testing.T) {
	n := newNetwork(t, 2)
	a, b := pair(t, n)
	t.Run("a block is everywhere", func(t *testing.T) {
		guesser := shared + "1"
		fails(t, a, guesser, 2)
		fails(t, b, guesser, 2)
		waitFor(t, time.Second, "the first host knows the block", func() bool { return blockedOn(t, a, guesser) })
		one := connect(t, a, guesser, 587).expect(`^550 5\.1\.0 \w{22} Connection refused from 127\.1\.237\.1\. Too many`, "MAIL FROM:<a@domena.cz>")
		two := connect(t, b, guesser, 587).expect(`^550 5\.1\.0 \w{22} Connection refused from 127\.1\.237\.1\. Too many`, "MAIL FROM:<a@domena.cz>")
		if one != two {
			t.Errorf("the block has two ids: %q and %q", one, two)
		}
		if out := verb(t, a, 0, "explain", idIn(t, one)).Stdout; !strings.Contains(out, guesser) {
			t.Errorf("the first host explains %s", out)
		}
		verb(t, a, 0, "unblock", guesser)
		waitFor(t, time.Second, "the second host has lifted it", func() bool { return !blockedOn(t, b, guesser) })
		connect(t, b, guesser, 587).auth(`^235 `, account, password)
	})
	t.Run("an id is explained everywhere", func(t *testing.T) {
		reply := connect(t, a, shared+"2", 587).expect(`^550 5\.1\.0 \w{22} authentication failed$`, "MAIL FROM:<a@domena.cz>")
		waitFor(t, time.Second, "the other host knows the id", func() bool {
			out, err := b.Verb(t.Context(), "explain", idIn(t, reply))
			return err == nil && out.Exit == 0 && strings.Contains(out.Stdout, shared+"2")
		})
	})
	t.Run("places are shared", func(t *testing.T) {
		for i, w := range []*real.World{a, b} {
			if reply := sends(t, w, shared+"3"); !strings.HasPrefix(reply, "250 ") {
				t.Fatalf("message %d: %s", i+1, reply)
			}
		}
		for _, w := range []*real.World{a, b} {
			if reply := sends(t, w, shared+"3"); !strings.HasPrefix(reply, "450 4.7.1 ") {
				t.Errorf("one too many: %s", reply)
			}
		}
		verb(t, b, 0, "reset", "petr@domena.eu")
		waitFor(t, time.Second, "the quota begins afresh", func() bool { return strings.HasPrefix(sends(t, a, shared+"3"), "250 ") })
	})
	t.Run("collected there, sent here", func(t *testing.T) {
		c := connectPOP(t, a, shared+"4")
		c.expect(`^\+OK`, "USER "+account)
		c.expect(`^\+OK`, "PASS "+password)
		c.expect(`^\+OK`, "QUIT")
		connect(t, b, shared+"4", 587).expect(`^250 `, "MAIL FROM:<"+account+">")
		connect(t, b, shared+"5", 587).expect(`^550 `, "MAIL FROM:<"+account+">")
	})
}

// One host's network is taken away: mail goes on, each host counts by itself, and what
// they counted is merged when it is given back, also after kill -9. (The same for a store
// that is killed, frozen, full, read-only: TestAway of ledger.)
func TestNetworkTakenAway(t *testing.T) {
	n := newNetwork(t, 2)
	a, b := pair(t, n)
	guesser, stays := shared+"11", shared+"12"
	fails(t, a, guesser, 1)
	fails(t, b, stays, 4)
	waitFor(t, time.Second, "the first host knows the other's block", func() bool { return blockedOn(t, a, stays) })

	n.take(0)
	began := time.Now()
	c := connect(t, a, shared+"13", 587)
	c.auth(`^235 `, account, password)
	c.expect(`^250 `, "MAIL FROM:<"+account+">")
	c.expect(`^250 `, "RCPT TO:<karel@b.cz>")
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("while the store is away a message takes %s", took)
	}
	waitFor(t, 3*time.Second, "the host knows that it is alone", func() bool { return !statusOf(t, a).Store.Up })
	if s := statusOf(t, a); s.Store.Kind != "valkey" || !strings.Contains(s.Store.Error, "shared store has been away since") {
		t.Errorf("status says %+v", s.Store)
	}
	fails(t, a, guesser, 2)
	for _, want := range []string{`\nportreeve_store_up 0\n`, `\nportreeve_store_file_up 1\n`, `\nportreeve_shared_store_up 0\n`, `\nportreeve_shared_store_waiting [1-9]`} {
		if page := metricsOf(t, a); !regexp.MustCompile(want).MatchString(page) {
			t.Errorf("the metrics lack %q:\n%s", want, page)
		}
	}
	fails(t, b, guesser, 1)
	if got := failuresOn(t, a, guesser); got != 3 {
		t.Errorf("alone it counts %d, want 3", got)
	}
	connect(t, a, stays, 587).expect(`^550 5\.1\.0 \w{22} Connection refused`, "MAIL FROM:<a@domena.cz>")
	reply := connect(t, a, shared+"14", 587).expect(`^550 5\.1\.0 \w{22} authentication failed$`, "MAIL FROM:<a@domena.cz>")
	if err := a.Restart(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	connect(t, a, stays, 587).expect(`^550 5\.1\.0 \w{22} Connection refused`, "MAIL FROM:<a@domena.cz>")
	if out := verb(t, a, 2, "unblock", stays).Stderr; !strings.Contains(out, "on this host, and on the others once the shared store is back") {
		t.Errorf("unblock says %s", out)
	}
	if !blockedOn(t, b, stays) || blockedOn(t, a, stays) {
		t.Error("the parted hosts do not differ about the lifted block")
	}
	if got := strings.Count(a.Log(), `msg="shared store is away`); got != 2 { // once by each process
		t.Errorf("the log says %d times that the store is away", got)
	}

	n.give(0)
	waitFor(t, 10*time.Second, "the host has found the store", func() bool { s := statusOf(t, a); return s.Store.Up && s.Store.Waiting == 0 })
	if page := metricsOf(t, a); !strings.Contains(page, "\nportreeve_shared_store_up 1\n") || !strings.Contains(page, "\nportreeve_shared_store_waiting 0\n") {
		t.Errorf("afterwards the metrics say:\n%s", page)
	}
	for _, w := range []*real.World{a, b} {
		if got := failuresOn(t, w, guesser); got != 4 {
			t.Errorf("merged they count %d, want 4", got)
		}
		waitFor(t, time.Second, "the lifted block is lifted everywhere", func() bool { return !blockedOn(t, w, stays) })
		waitFor(t, time.Second, "the new block is everywhere", func() bool { return blockedOn(t, w, guesser) })
	}
	if out := verb(t, b, 0, "explain", idIn(t, reply)).Stdout; !strings.Contains(out, shared+"14") {
		t.Errorf("the id of the outage: %s", out)
	}
	if got := strings.Count(a.Log(), `msg="shared store is back`); got != 1 {
		t.Errorf("the log says %d times that the store is back", got)
	}
}
