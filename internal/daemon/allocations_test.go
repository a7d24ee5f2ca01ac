package daemon

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/policyd"
	"portreeve/rules"
)

// again is a peer that sends one request again and again.
type again struct {
	net.Conn
	request string
	left    int
	answer  string // the latest
}

func (a *again) Read(p []byte) (int, error) {
	if a.left--; a.left < 0 {
		return 0, io.EOF
	}
	return copy(p, a.request), nil
}

func (a *again) Write(p []byte) (int, error) {
	a.answer = string(p)
	return len(p), nil
}

func (a *again) SetReadDeadline(time.Time) error  { return nil }
func (a *again) SetWriteDeadline(time.Time) error { return nil }

// What a request costs of memory on its whole way: policyd, gate, rules, ledger and
// directory, metrics, answer.
func TestAllocationsOfARequest(t *testing.T) {
	h := prepare(t, plain)
	h.write("accounts.toml", accounts+"\"user1@domena.cz\" = {}\n")
	d, _, err := open(t.Context(), h.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(d.sources.close(), d.leave(), d.db.Close()); err != nil {
			t.Error(err)
		}
	})
	server := &policyd.Server{Gate: d.gate, Now: d.Now, Log: d.Log, Meter: d.metrics}
	const n = 1000
	each := func(request, want string) float64 {
		peer := &again{request: request}
		got := testing.AllocsPerRun(3, func() {
			peer.left = n
			server.Handle(t.Context(), peer)
		})
		if !strings.HasPrefix(peer.answer, want) {
			t.Fatalf("answered %q, want %q", peer.answer, want)
		}
		return got / n
	}
	ask := envelope{client: "198.51.100.7", login: "user1@domena.cz", sender: "user1@domena.cz", recipient: "b@example.com"}
	// The request's strings and, in the peer, the answer's text. Under the race
	// detector a sync.Pool loses a quarter of what it is given.
	if got := each(ask.String(), "action=DUNNO\n\n"); got > 3 {
		t.Errorf("%.2f allocations for a request that passes, want 2", got)
	}
	for range 11 {
		err := d.gate.Tell(t.Context(), rules.Event{
			Kind: rules.LoginFailed, Protocol: rules.ProtocolAuthPolicy, Time: d.Now(),
			Client: netip.MustParseAddr(ask.client), Service: "smtp", Login: ask.login,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// And the block's id, the reply's text and what it is made from.
	if got := each(ask.String(), "action=550 5.1.0 "); got > 6.5 {
		t.Errorf("%.2f allocations for a request of a blocked client, want 6", got)
	}
}
