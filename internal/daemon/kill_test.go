package daemon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

// kills is how often a test under load ends the daemon: a few times, and, where
// KILLS says so (make soak), fifty.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KILLS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("KILLS=%q is no number above 0", text)
	}
	return n
}

// crowd is clients under whose load a daemon ends, and what they were told.
type crowd struct {
	h    *host
	stop chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	ids     map[string]bool
	counted map[netip.Addr]int // failures that were answered
	tried   map[netip.Addr]int // and those that were sent
	answers int
	cut     []string // requests that were sent whole and got no answer
}

func newCrowd(h *host) *crowd {
	return &crowd{h: h, ids: map[string]bool{}, counted: map[netip.Addr]int{}, tried: map[netip.Addr]int{}}
}

// begin starts the clients of one round: some ask for the refusal of a new sender
// each time, some report failed logins.
func (c *crowd) begin(round int) {
	c.stop = make(chan struct{})
	auth := strings.TrimPrefix(c.h.status().Listeners["auth"], "inet:")
	for i := range 6 {
		c.all.Go(func() { c.ask(fmt.Sprintf("r%dc%d", round, i)) })
	}
	for i := range 4 {
		c.all.Go(func() { c.report(auth, i) })
	}
}

func (c *crowd) ended() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// wait is for the clients to notice that the daemon has gone.
func (c *crowd) wait() {
	close(c.stop)
	c.all.Wait()
}

var idInReply = regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`)

// ask is one client of the policy service.
func (c *crowd) ask(name string) {
	conn := c.h.open("policy.sock")
	defer conn.Close()
	r := bufio.NewReader(conn)
	for n := 0; !c.ended(); n++ {
		e := envelope{client: "192.0.2.77", sender: fmt.Sprintf("%s-%d@domena.cz", name, n)}
		if _, err := io.WriteString(conn, e.String()); err != nil {
			return // it was not taken
		}
		line, err := r.ReadString('\n')
		if err == nil {
			_, err = r.ReadString('\n')
		}
		c.mu.Lock()
		if id := idInReply.FindString(line); id != "" { // half an answer is one: the client may have read it
			c.ids[id] = true
		}
		if err == nil {
			c.answers++
		} else {
			c.cut = append(c.cut, e.sender)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// report is one of Dovecot's processes. Each address fails five times, so that
// none is blocked.
func (c *crowd) report(auth string, i int) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for !c.ended() {
		c.mu.Lock()
		n := len(c.tried)
		from := netip.AddrFrom4([4]byte{10, byte(i), byte(n >> 8), byte(n)})
		c.mu.Unlock()
		for range 5 {
			body := must[[]byte](c.h.t)(json.Marshal(map[string]any{
				"login": "jan@domena.cz", "protocol": "submission", "remote": from.String(), "success": false, "policy_reject": false,
			}))
			req := must[*http.Request](c.h.t)(http.NewRequest(http.MethodPost, "http://"+auth+"/?command=report", bytes.NewReader(body)))
			req.Header.Set("X-Api-Key", "secret")
			c.mu.Lock()
			c.tried[from]++
			c.mu.Unlock()
			res, err := client.Do(req)
			if err != nil {
				return
			}
			if res.StatusCode == http.StatusOK {
				c.mu.Lock()
				c.counted[from]++
				c.answers++
				c.mu.Unlock()
			}
			_ = res.Body.Close() // an answer of which only the head has come counts
		}
	}
}

// loaded waits until the clients have had so many more answers.
func (c *crowd) loaded(more int) {
	c.h.t.Helper()
	c.mu.Lock()
	want := c.answers + more
	c.mu.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		c.mu.Lock()
		enough := c.answers >= want
		c.mu.Unlock()
		if enough {
			return
		}
		if time.Now().After(deadline) {
			c.h.t.Fatalf("not %d answers within %s", more, patience)
		}
	}
}

// verify holds what the daemon remembers against what the clients were told.
func (c *crowd) verify() {
	c.h.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	known := map[string]bool{}
	for _, e := range must[[]journal.Entry](c.h.t)(c.h.admin.Decisions(c.h.t.Context(), admin.DecisionsRequest{Limit: 1 << 20})) {
		known[e.ID] = true
	}
	var some []string // explained in full, which takes longer
	for id := range c.ids {
		if !known[id] {
			c.h.t.Errorf("the id %s, which a client saw, is unknown", id)
		}
		if len(some) < 10 {
			some = append(some, id)
		}
	}
	if a := c.h.explain(admin.ExplainRequest{IDs: some}); len(a.Unknown) > 0 || len(a.Found) != len(some) {
		c.h.t.Errorf("%d of %d ids are explained", len(a.Found), len(some))
	}
	for from, tried := range c.tried {
		a := must[admin.FailuresAnswer](c.h.t)(c.h.admin.Failures(c.h.t.Context(), admin.FailuresRequest{Of: from.String()}))
		if a.Count < c.counted[from] || a.Count > tried {
			c.h.t.Errorf("%s: %d failures are counted, of %d that were answered and %d that were sent", from, a.Count, c.counted[from], tried)
		}
	}
	c.ids = map[string]bool{} // known once, known for ever: the next round has its own
}

// SPEC.md section 8: after kill -9, no id that a client saw is unknown and no
// counted failure is lost.
func TestKilledUnderLoad(t *testing.T) {
	h := prepare(t, plain)
	c := newCrowd(h)
	sum := 0
	for round := range kills(t) {
		p, err := h.spawn("serve")
		if err != nil {
			t.Fatal(err)
		}
		c.begin(round)
		c.loaded(100 + 37*round%400)
		_, err = p.end(t, syscall.SIGKILL)
		c.wait()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: %v", round, err)
		}
		sum += len(c.ids)
		again, err := h.spawn("serve")
		if err != nil {
			t.Fatal(err)
		}
		if s := h.status(); s.Store.SetAside != nil {
			t.Errorf("round %d: the store is taken for damaged: %+v", round, s.Store)
		}
		c.verify()
		if _, err := again.end(t, syscall.SIGTERM); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	t.Logf("%d kills: %d ids seen, %d failures of %d addresses answered", kills(t), sum, total(c.counted), len(c.tried))
	if sum == 0 || total(c.counted) == 0 {
		t.Error("there was no load")
	}
}

func total(m map[netip.Addr]int) (n int) {
	for _, one := range m {
		n += one
	}
	return n
}

// SIGTERM under load: every request that the daemon took is answered, and it has
// ended long before 30 s.
func TestStoppedUnderLoad(t *testing.T) {
	h := prepare(t, plain)
	c := newCrowd(h)
	for round := range kills(t) {
		p, err := h.spawn("serve")
		if err != nil {
			t.Fatal(err)
		}
		c.begin(1000 + round)
		c.loaded(100 + 37*round%400)
		took, err := p.end(t, syscall.SIGTERM)
		c.wait()
		if err != nil || took > 30*time.Second {
			t.Errorf("round %d: ended after %s: %v\n%s", round, took, err, &p.said)
		}
		if len(c.cut) > 0 {
			t.Fatalf("round %d: %d requests that were sent whole got no answer", round, len(c.cut))
		}
		again, err := h.spawn("serve")
		if err != nil {
			t.Fatal(err)
		}
		c.verify()
		if _, err := again.end(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
}
