package daemon

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/journal"
)

// theID is the id in a reply.
func theID(t *testing.T, reply string) string {
	t.Helper()
	id := regexp.MustCompile(`[0-9A-Za-z]{22}`).FindString(reply)
	if _, err := journal.ParseID(id); err != nil {
		t.Fatalf("no id in %q", reply)
	}
	return id
}

func (h *host) unblock(addresses ...string) ([]admin.Unblocked, error) {
	return h.admin.Unblock(h.t.Context(), admin.UnblockRequest{Addresses: addresses})
}

// The eleventh failure blocks, for an hour from the first, and unblock lifts it.
func TestBlocksAndUnblock(t *testing.T) {
	h := start(t, plain)
	victim := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}
	for i := range 11 {
		if list := h.blocks(); len(list) > 0 {
			t.Fatalf("blocked after %d failures", i)
		}
		login := "jan@domena.cz"
		if i < 3 {
			login = "eva@domena.cz"
		}
		h.report("submission", "192.0.2.9", login, false)
		h.clock.forward(time.Minute)
	}
	list := h.blocks()
	if len(list) != 1 {
		t.Fatalf("blocks %+v", list)
	}
	b := list[0]
	if b.Prefix != "192.0.2.9" || b.Failures != 11 || !b.Since.Equal(noon.Add(10*time.Minute)) || !b.Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("block %+v", b)
	}
	if want := []admin.LoginCount{{Login: "jan@domena.cz", Count: 8}, {Login: "eva@domena.cz", Count: 3}}; !slices.Equal(b.Logins, want) {
		t.Errorf("logins %+v", b.Logins)
	}
	if len(b.Attempts) != 11 || b.Attempts[0].Login != "eva@domena.cz" || !b.Attempts[0].Time.Equal(noon) {
		t.Errorf("attempts %+v", b.Attempts)
	}
	if reply := h.ask(victim); theID(t, reply) != b.ID {
		t.Errorf("the client is told %q, the block is %s", reply, b.ID)
	}
	if n := h.status().Blocked; n != 1 {
		t.Errorf("status says %d", n)
	}

	got := must[[]admin.Unblocked](t)(h.unblock("192.0.2.10", "::ffff:192.0.2.9"))
	if len(got) != 2 || len(got[0].Lifted) != 0 || !slices.Equal(got[1].Lifted, []string{"192.0.2.9"}) {
		t.Errorf("unblocked %+v", got)
	}
	if list := h.blocks(); len(list) > 0 || h.ask(victim) != "DUNNO" {
		t.Errorf("still blocked: %+v", list)
	}
	if again := must[[]admin.Unblocked](t)(h.unblock("192.0.2.9")); len(again[0].Lifted) > 0 {
		t.Errorf("lifted twice: %+v", again)
	}

	h.block("192.0.2.9", "jan@domena.cz")
	if list := h.blocks(); len(list) != 1 || list[0].ID == b.ID {
		t.Errorf("a later block is a new one: %+v", list)
	}
	h.clock.forward(time.Hour)
	if list := h.blocks(); len(list) > 0 {
		t.Errorf("after its hour: %+v", list)
	}
}

// A prefix may be unblocked as `blocks` shows it, and none that holds several
// blocks, of which only one would be found.
func TestUnblockOfPrefixes(t *testing.T) {
	h := start(t, plain)
	h.block("2001:db8::7", "jan@domena.cz")
	h.block("192.0.2.9", "jan@domena.cz")
	if list := h.blocks(); len(list) != 2 || list[0].Prefix != "2001:db8::/64" && list[1].Prefix != "2001:db8::/64" {
		t.Fatalf("blocks %+v", list)
	}
	for _, wrong := range []string{"192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "nonsense", "192.0.2", ""} {
		if got, err := h.unblock("192.0.2.9", wrong); err == nil || !strings.HasPrefix(err.Error(), "the daemon says: ") {
			t.Errorf("%q: %+v, %v", wrong, got, err)
		}
	}
	if list := h.blocks(); len(list) != 2 {
		t.Errorf("a wrong request lifted something: %+v", list)
	}
	for _, right := range []string{"2001:db8::/64", "192.0.2.9/32"} {
		if got := must[[]admin.Unblocked](t)(h.unblock(right)); len(got[0].Lifted) != 1 {
			t.Errorf("%q: %+v", right, got)
		}
	}
	h.block("2001:db8::7", "jan@domena.cz")
	// What was blocked by a wider prefix before a reload is shown, and lifted, by it.
	h.write("portreeve.toml", plain+"[auth_failures]\nipv6_prefix = 128\n")
	h.hangUp()
	if got := must[[]admin.Unblocked](t)(h.unblock("2001:db8::/64")); len(got[0].Lifted) != 1 {
		t.Errorf("after the reload: %+v", got)
	}
}

func TestExplain(t *testing.T) {
	h := start(t, plain)
	reply := h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"})
	id := theID(t, reply)
	foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
	for range 3 {
		h.clock.forward(10 * time.Second)
		h.ask(foreign)
	}
	unknown := "0kHG086hcEUJCINrgXbGZl"
	a := h.explain(admin.ExplainRequest{IDs: []string{id, unknown, "no id", id}, Senders: []string{"jan@seznam.cz", "nobody@seznam.cz"}})
	if want := []string{unknown, "no id", "<nobody@seznam.cz>"}; !slices.Equal(a.Unknown, want) {
		t.Errorf("unknown %q, want %q", a.Unknown, want)
	}
	if len(a.Found) != 2 || a.Found[0].ID != id || a.Found[0].Rule != "auth_failed" || a.Found[0].Reply != reply {
		t.Fatalf("found %+v", a.Found)
	}
	x := a.Found[1]
	if x.Rule != "sender" || x.Count != 3 || !x.Time.Equal(noon.Add(10*time.Second)) || !x.Last.Equal(noon.Add(30*time.Second)) {
		t.Errorf("three equal refusals: %+v", x)
	}
	both := h.explain(admin.ExplainRequest{IDs: []string{x.ID}, Senders: []string{"jan@seznam.cz"}})
	if len(both.Found) != 1 {
		t.Errorf("one entry, named by its id and by its sender: %+v", both.Found)
	}
	late := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}, Since: noon.Add(time.Hour)})
	if len(late.Found) != 0 || len(late.Unknown) != 1 {
		t.Errorf("since later: %+v", late)
	}
	if none := h.explain(admin.ExplainRequest{}); none.Found == nil || none.Unknown == nil {
		t.Error("empty lists must be lists in JSON")
	}
}

func TestStatus(t *testing.T) {
	h := start(t, plain)
	h.ask(envelope{client: "192.0.2.9", sender: "a@seznam.cz"})
	h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"})
	h.report("pop3", "192.0.2.10", "jan@domena.cz", true)
	h.clock.forward(time.Minute)
	s := h.status()
	if s.Version != "test" || s.Host == "" || !s.Since.Equal(noon) || !s.Now.Equal(noon.Add(time.Minute)) ||
		s.Config != h.path("portreeve.toml") || s.Mode != "enforce" || s.Observe == nil || len(s.Warnings) > 0 {
		t.Errorf("status %+v", s)
	}
	if s.Store.Kind != "embedded" || !s.Store.Up || s.Store.Error != "" {
		t.Errorf("store %+v", s.Store)
	}
	if c := s.Counts; c.Passed != 1 || c.Refused != 1 || c.AuthReports != 1 || c.ProtocolErrors+c.Unrecorded+c.FailedLookups != 0 {
		t.Errorf("counts %+v", c)
	}
	if status, body := h.get("/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz %d %q", status, body)
	}
	_, page := h.get("/metrics")
	for _, want := range []string{
		`portreeve_decisions_total{action="refuse",protocol="policy",rule="auth_failed"} 1`,
		`portreeve_connections{protocol="web"}`, `portreeve_connections{protocol="admin"}`, "portreeve_store_up 1",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if strings.Contains(page, `protocol=""`) {
		t.Error("/metrics has connections of a protocol without a name")
	}
}

// Blocks keep their id, and grants hold, over a restart.
func TestRestart(t *testing.T) {
	h := start(t, plain)
	h.block("192.0.2.9", "jan@domena.cz")
	h.report("pop3", "192.0.2.10", "jan@domena.cz", true)
	before := h.blocks()
	blocked := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}
	collected := envelope{client: "192.0.2.10", sender: "jan@domena.eu", recipient: "x@seznam.cz", context: "relay"}
	told := h.ask(blocked)
	if got := h.ask(collected); got != "OK" {
		t.Fatalf("the client that collected its mail gets %q", got)
	}
	h.stop()
	h.clock.forward(30 * time.Minute)
	h.run()
	after := h.blocks()
	if len(after) != 1 || after[0].ID != before[0].ID || !after[0].Since.Equal(before[0].Since) ||
		!after[0].Until.Equal(before[0].Until) || after[0].Failures != 11 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if got := h.ask(blocked); got != told {
		t.Errorf("told %q, and after the restart %q", told, got)
	}
	if x := h.explain(admin.ExplainRequest{IDs: []string{theID(t, told)}}).Found; len(x) != 1 || x[0].Count != 2 {
		t.Errorf("the block's entry: %+v", x)
	}
	if got := h.ask(collected); got != "OK" {
		t.Errorf("the grant after the restart: %q", got)
	}
	h.clock.forward(30 * time.Minute)
	if got := h.ask(collected); got == "OK" || len(h.blocks()) > 0 {
		t.Errorf("an hour after: %q, blocks %+v", got, h.blocks())
	}
}

// The shared store cannot be told: the command says so, and has lifted all on this host.
func TestUnblockSeveralWithoutTheStore(t *testing.T) {
	h := start(t, plain+"kind = \"valkey\"\n[store.valkey]\naddresses = [\"127.0.0.1:1\"]\n")
	guessers := []string{"192.0.2.9", "192.0.2.10", "192.0.2.11"}
	for _, g := range guessers {
		for range 11 {
			h.report("submission", g, "jan@domena.cz", false)
		}
	}
	if list := h.blocks(); len(list) != 3 {
		t.Fatalf("blocks %+v", list)
	}
	_, err := h.unblock(guessers...)
	if err == nil || !strings.Contains(err.Error(), "on the others once the shared store is back") {
		t.Errorf("it says: %v", err)
	}
	if list := h.blocks(); len(list) > 0 {
		t.Errorf("still blocked: %+v", list)
	}
}
