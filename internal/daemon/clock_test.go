package daemon

import (
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
)

const day = 24 * time.Hour

// afterPOP is a client that relies on its POP login.
var afterPOP = envelope{client: "192.0.2.50", sender: "jan@domena.cz", recipient: "x@seznam.cz"}

// blocked and granted are what the clock must not make last for ever.
func (h *host) blocked() bool {
	h.t.Helper()
	got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"})
	return strings.Contains(got, "Connection refused from 192.0.2.9.")
}

func (h *host) granted() bool {
	h.t.Helper()
	return h.ask(afterPOP) == "DUNNO"
}

// The clock jumps a day forward: what was remembered is over, and a day older,
// not lost; counting goes on.
func TestClockADayForward(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			h := start(t, plain)
			h.block("192.0.2.9", "jan@domena.cz")
			h.report("pop3", "192.0.2.50", "jan@domena.cz", true)
			if !h.blocked() || !h.granted() {
				t.Fatal("nothing to forget")
			}
			old := h.blocks()[0].ID
			h.jump(day, restart)
			if h.blocked() || h.granted() {
				t.Error("a block or a grant of yesterday holds")
			}
			if a := h.explain(admin.ExplainRequest{IDs: []string{old}}); len(a.Found) != 1 {
				t.Errorf("yesterday's id: %+v", a)
			}
			h.block("192.0.2.9", "jan@domena.cz")
			if list := h.blocks(); len(list) != 1 || list[0].ID == old || list[0].Failures != 11 {
				t.Errorf("counted since: %+v", list)
			}
		})
	}
}

// The clock jumps a day back: who was blocked stays blocked, and who was let in
// stays in, for no longer than an hour from then; ids are new and known.
func TestClockADayBack(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			h := start(t, plain)
			h.block("192.0.2.9", "jan@domena.cz")
			h.report("pop3", "192.0.2.50", "jan@domena.cz", true)
			if !h.blocked() || !h.granted() {
				t.Fatal("nothing to remember")
			}
			first := theID(t, h.ask(envelope{client: "192.0.2.7", sender: "jan@domena.cz"}))
			h.jump(-day, restart)
			if !h.blocked() || !h.granted() {
				t.Error("the block or the grant is over too soon")
			}
			if until := h.blocks()[0].Until; until.After(h.clock.now().Add(time.Hour)) {
				t.Errorf("blocked until %s, now is %s", until, h.clock.now())
			}
			second := theID(t, h.ask(envelope{client: "192.0.2.7", sender: "jan@domena.cz"}))
			if a := h.explain(admin.ExplainRequest{IDs: []string{first, second}}); first == second || len(a.Found) != 2 {
				t.Errorf("%s and %s: %d of them are known", first, second, len(a.Found))
			}
			h.clock.forward(time.Hour + time.Minute)
			if h.blocked() || h.granted() {
				t.Error("a block or a grant outlives its hour")
			}
			h.clock.forward(day) // set right again
			if h.blocked() || h.granted() {
				t.Error("it came back")
			}
		})
	}
}

func (h *host) jump(by time.Duration, restart bool) {
	h.t.Helper()
	if restart {
		h.stop()
	}
	h.clock.forward(by)
	if restart {
		h.run()
	}
}
