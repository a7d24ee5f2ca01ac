package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/internal/admin"
)

// closing waits until nobody listens any more: the drain has begun.
func (h *host) closing(names ...string) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for _, name := range names {
		for {
			c, err := net.Dial("unix", h.path(name))
			if err != nil {
				break
			}
			if err := c.Close(); err != nil {
				h.t.Fatal(err)
			}
			if time.Now().After(deadline) {
				h.t.Fatalf("%s is still open", name)
			}
			runtime.Gosched()
		}
	}
}

// ends waits for the other end to close the connection.
func ends(t testing.TB, what string, c io.Reader) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%s: %d bytes, %v", what, n, err)
	}
}

// SIGTERM: what is idle is closed, what has begun is finished, and what it led to is
// stored.
func TestDrain(t *testing.T) {
	h := prepare(t, plain)
	o, stopping := h.options(), make(chan struct{})
	o.Stopping = sync.OnceFunc(func() { close(stopping) })
	h.launch(func(ctx context.Context, ready func()) error { return Run(ctx, o, ready) })
	request := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}.String()

	idlePolicy, halfPolicy := h.open("policy.sock"), h.open("policy.sock")
	idleReader, halfReader := bufio.NewReader(idlePolicy), bufio.NewReader(halfPolicy)
	exchange(t, idlePolicy, idleReader, request)
	if got := exchange(t, halfPolicy, halfReader, request+request[:100]); !strings.HasPrefix(got, "550 ") {
		t.Fatal(got)
	}
	idleMilter, betweenMilter, insideMilter := h.connect("192.0.2.9", 587), h.connect("192.0.2.9", 587), h.connect("192.0.2.9", 587)
	betweenMilter.helo()
	insideMilter.login = "jan@domena.cz"
	if refusal := insideMilter.mail("jan@domena.cz"); refusal != "" {
		t.Fatal(refusal)
	}
	h.report("submission", "192.0.2.9", "jan@domena.cz", false) // leaves a connection that is kept alive

	h.end()
	select {
	case <-stopping:
	case <-time.After(patience):
		t.Error("the service manager is not told that the daemon stops")
	}
	h.closing("milter.sock")
	// What the session inside a message needs is answered as long as it lasts.
	if got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}); got != "DUNNO" {
		t.Errorf("the policy service says %q while the milter drains", got)
	}
	for i, refusal := range []string{
		insideMilter.rcpt("x@seznam.cz"), insideMilter.header("From", "jan@domena.cz"), insideMilter.endOfHeader(), insideMilter.endOfMessage(),
	} {
		if refusal != "" {
			t.Errorf("event %d of the message that had begun is answered %q", i, refusal)
		}
	}
	ends(t, "the milter connection after its message", insideMilter)
	ends(t, "the idle milter connection", idleMilter)
	ends(t, "the milter connection between messages", betweenMilter)
	h.closing("policy.sock", "admin.sock")
	ends(t, "the idle policy connection", idleReader)
	if got := exchange(t, halfPolicy, halfReader, request[100:]); got != "550 5.1.0 <jan@seznam.cz> sender rejected" {
		t.Errorf("the request that had begun is answered %q", got)
	}
	ends(t, "the policy connection after its request", halfReader)
	h.wait()

	h.run()
	x := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}).Found
	if len(x) != 1 || x[0].Count != 3 {
		t.Errorf("the journal after the drain: %+v", x)
	}
}

// A message that began with the drain and an HTTP request that is under way
// are answered; the daemon waits for neither longer than it has to.
func TestDrainOfAReport(t *testing.T) {
	h := start(t, plain)
	where := strings.TrimPrefix(h.status().Listeners["auth"], "inet:")
	c := must[net.Conn](t)(net.Dial("tcp", where))
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	body := `{"login":"jan@domena.cz","protocol":"submission","remote":"192.0.2.9","success":false,"policy_reject":false}`
	head := fmt.Sprintf("POST /?command=report HTTP/1.1\r\nHost: x\r\nX-Api-Key: secret\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(body))
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if line := must[string](t)(r.ReadString('\n')); !strings.Contains(line, "100 Continue") {
		t.Fatalf("the body is awaited with %q", line)
	}
	must[string](t)(r.ReadString('\n'))
	h.end()
	h.closing("policy.sock")
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	res := must[*http.Response](t)(http.ReadResponse(r, nil))
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the report is answered %s", res.Status)
	}
	h.wait()

	h.run()
	h.clock.forward(time.Second)
	for range 10 {
		h.report("submission", "192.0.2.9", "jan@domena.cz", false)
	}
	if list := h.blocks(); len(list) != 1 || list[0].Failures != 11 {
		t.Errorf("the failure of the drain is not counted: %+v", list)
	}
}
