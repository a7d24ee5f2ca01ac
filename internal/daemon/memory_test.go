package daemon

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// poor limits the memory of the process.
func poor() error {
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: enough, Max: enough})
}

// No request can use up the memory: 400 connections claim 4 GiB and begin requests
// that never end, in a process that may have 256 MiB. Go ends a program that gets
// no memory, so that nothing may ask for much in the first place.
func TestMemoryForOneRequest(t *testing.T) {
	h := prepare(t, plain)
	p, err := h.spawn("poor")
	if err != nil {
		t.Fatal(err)
	}
	auth := strings.TrimPrefix(h.status().Listeners["auth"], "inet:")
	claim := binary.BigEndian.AppendUint32(nil, 0xffffffff)
	for range 100 {
		begin(h, "unix", h.path("policy.sock"), "request=smtpd_access_policy\nhelo_name="+strings.Repeat("x", 1<<20))
		begin(h, "unix", h.path("milter.sock"), string(claim)+"O"+strings.Repeat("x", 1<<20))
		begin(h, "tcp", auth, "POST /?command=report HTTP/1.1\r\nHost: x\r\nX-Api-Key: secret\r\nContent-Length: 4294967295\r\n\r\n"+strings.Repeat("x", 1<<20))
		begin(h, "tcp", auth, "POST /"+strings.Repeat("x", 1<<20))
	}
	if got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}); got != "DUNNO" {
		t.Errorf("a request beside them is answered %q", got)
	}
	if _, err := p.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("%v: %.2000s", err, p.said.String())
	}
}

// begin connects and sends as much as is taken; the connection stays.
func begin(h *host, network, address, request string) {
	h.t.Helper()
	c := must[net.Conn](h.t)(net.Dial(network, address))
	h.t.Cleanup(func() { _ = c.Close() }) // the daemon may have closed it
	_, err := io.WriteString(c, request)
	if err != nil && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "connection reset") {
		h.t.Fatal(fmt.Errorf("sending what should be refused: %w", err))
	}
}
