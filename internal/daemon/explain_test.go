package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/gate"
	"portreeve/journal"
)

// A sender without an id: what is nearest to a time in the text comes first, and
// may be older than what is looked through otherwise.
func TestExplainCandidatesByTime(t *testing.T) {
	h := start(t, plain)
	foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
	for range 15 { // two hours apart
		h.ask(foreign)
		h.clock.forward(2 * time.Hour)
	}
	ask := func(times ...time.Time) []explain.Explanation {
		a := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}, Since: noon.Add(20 * time.Hour), Times: times})
		for _, x := range a.Found {
			if !x.Candidate {
				t.Errorf("%s is not marked as a candidate", x.ID)
			}
		}
		return a.Found
	}
	if got := ask(); len(got) != 5 || !got[0].Time.Equal(noon.Add(28*time.Hour)) {
		t.Errorf("without a time: %d, the first of %s", len(got), got[0].Time)
	}
	got := ask(noon.Add(2*time.Hour+time.Minute), noon.Add(22*time.Hour))
	if len(got) != 6 || !got[0].Time.Equal(noon.Add(22*time.Hour)) || !got[1].Time.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("with times: %d, %s, %s", len(got), got[0].Time, got[1].Time)
	}
	if got := ask(noon.Add(5*time.Hour), noon.Add(5*time.Hour)); len(got) != 7 || got[0].ID == got[1].ID {
		t.Errorf("between two: %d", len(got)) // 4 h and 6 h, and the five that are young
	}
}

// What was let through was shown to nobody; it is an answer where there is no other.
func TestExplainCandidatesAreWhatWasShown(t *testing.T) {
	h := start(t, plain)
	h.write("portreeve.toml", "mode = \"observe\"\n"+plain)
	h.reloaded()
	h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "Jan@seznam.cz"})
	ask := func() []explain.Explanation {
		return h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}).Found
	}
	if got := ask(); len(got) != 1 || !got[0].Observed {
		t.Errorf("observed: %+v", got)
	}
	h.write("portreeve.toml", plain)
	h.reloaded()
	h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "Jan@seznam.cz"})
	if got := ask(); len(got) != 1 || got[0].Observed {
		t.Errorf("refused: %d", len(got))
	}
}

// An id that others share stands for all of their times.
func TestNearestCountsTheLast(t *testing.T) {
	long := journal.Entry{ID: "long", Time: noon, Last: noon.Add(time.Hour)}
	short := journal.Entry{ID: "short", Time: noon.Add(40 * time.Minute), Last: noon.Add(40 * time.Minute)}
	if got := nearest([]journal.Entry{short, long, short}, []time.Time{noon.Add(50 * time.Minute)}); len(got) != 2 || got[0].ID != "long" {
		t.Errorf("got %v", got)
	}
}

func TestExplainInALanguage(t *testing.T) {
	h := start(t, plain)
	id := theID(t, h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
	for lang, want := range map[explain.Lang]string{"": "Your mail program", explain.Czech: "Váš poštovní program", explain.Polish: "Program pocztowy"} {
		x := h.explain(admin.ExplainRequest{IDs: []string{id}, Lang: lang}).Found[0]
		if !strings.HasPrefix(x.CustomerCause, want) || !strings.HasPrefix(x.Cause, "The client was not logged in") || x.Lang == "" {
			t.Errorf("%q: %s: %s", lang, x.Lang, x.CustomerCause)
		}
	}
	if _, err := h.admin.Explain(t.Context(), admin.ExplainRequest{IDs: []string{id}, Lang: "fr"}); err == nil || !strings.Contains(err.Error(), "no language of these texts") {
		t.Errorf("fr: %v", err)
	}
}

// What happened around a refusal, from the client and from the login.
func TestExplainShowsTheHourAround(t *testing.T) {
	h := start(t, plain)
	h.report("submission", "192.0.2.9", "jan@domena.cz", false)
	h.report("submission", "198.51.100.1", "jan@domena.cz", false)
	h.report("submission", "198.51.100.1", "somebody@else.test", false)
	h.clock.forward(time.Minute)
	noAuth := theID(t, h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
	h.clock.forward(time.Minute)
	h.ask(envelope{client: "198.51.100.2", login: "jan@domena.cz", sender: "jan@seznam.cz"})
	h.ask(envelope{client: "198.51.100.3", login: "mta@firma.cz", sender: "jan@seznam.cz"})
	h.block("198.51.100.4", "jan@domena.cz")
	h.clock.forward(2 * time.Minute)
	h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "x@seznam.cz"})
	x := h.explain(admin.ExplainRequest{Senders: []string{"x@seznam.cz"}}).Found[0]
	var clients []string
	for _, r := range x.Around.Refusals {
		clients = append(clients, r.Client+" "+r.Rule)
	}
	slices.Sort(clients)
	if want := "[192.0.2.9 auth_failed 198.51.100.2 sender 198.51.100.4 throttled]"; fmt.Sprint(clients) != want {
		t.Errorf("refusals %s, want %s", clients, want)
	}
	if n := len(x.Around.Failures); n != 13 || slices.ContainsFunc(x.Around.Failures, func(f gate.FailureFact) bool { return f.Login != "jan@domena.cz" }) {
		t.Errorf("%d failures: %+v", n, x.Around.Failures)
	}
	if len(x.Around.Blocks) != 1 || x.Around.Blocks[0].Prefix != "198.51.100.4" || x.Around.More {
		t.Errorf("blocks %+v", x.Around.Blocks)
	}
	all := strings.Join(x.Around.Text, "\n")
	for _, want := range []string{noAuth, "198.51.100.4 is blocked since", `11 failed logins for "jan@domena.cz" from 198.51.100.4`} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
	// Bounded.
	for i := range 30 {
		h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: fmt.Sprintf("x%d@seznam.cz", i)})
	}
	x = h.explain(admin.ExplainRequest{Senders: []string{"x@seznam.cz"}}).Found[0]
	if n := len(x.Around.Refusals); n != maxNeighbours || !x.Around.More {
		t.Errorf("%d refusals, more %t", n, x.Around.More)
	}
}

// The state of a block is that of now: moved, lifted, over.
func TestExplainABlockAsItIsNow(t *testing.T) {
	h := start(t, plain)
	h.block("192.0.2.9", "jan@domena.cz")
	h.clock.forward(10 * time.Minute)
	h.report("submission", "192.0.2.9", "eva@domena.cz", false) // was under way
	id := h.blocks()[0].ID
	explained := func() *explain.Block { return h.explain(admin.ExplainRequest{IDs: []string{id}}).Found[0].Block }
	if b := explained(); b.Over || b.Count != 11 || !b.Since.Equal(noon) || b.Until.Before(noon.Add(time.Hour)) || b.Prefix != "192.0.2.9" {
		t.Errorf("in force: %+v", b)
	}
	must[[]admin.Unblocked](t)(h.unblock("192.0.2.9"))
	if b := explained(); !b.Over {
		t.Errorf("lifted: %+v", b)
	}
}

func TestExplainSaysWhatIsMissing(t *testing.T) {
	h := start(t, plain)
	other := journal.NewIDs("another-host").Next(noon).String()
	senders := []string{"a@x.cz", "b@x.cz", "c@x.cz", "d@x.cz", "e@x.cz", "f@x.cz"}
	a := h.explain(admin.ExplainRequest{IDs: []string{other, "no id"}, Senders: senders, Since: noon.Add(-time.Hour)})
	if len(a.Missing) != len(a.Unknown) || len(a.Missing) != 8 {
		t.Fatalf("%d of %d", len(a.Missing), len(a.Unknown))
	}
	for i, want := range []string{"another host made it", "no id: an id has 22", "No reply of this host has shown <a@x.cz>"} {
		if !strings.Contains(a.Missing[i].Text, want) || a.Missing[i].What != a.Unknown[i] {
			t.Errorf("%+v", a.Missing[i])
		}
	}
	if !strings.Contains(a.Missing[7].Text, "too many senders") {
		t.Errorf("%+v", a.Missing[7])
	}
	many := slices.Repeat([]string{other}, maxIDs+3)
	if a = h.explain(admin.ExplainRequest{IDs: many}); len(a.Missing) != maxIDs+1 || a.Missing[maxIDs].What != "3 more ids" {
		t.Errorf("of %d ids %d are missing: %+v", len(many), len(a.Missing), a.Missing[len(a.Missing)-1])
	}
}

// A POP grant that has ended is remembered over a restart and the pruning, and
// grants nothing.
func TestLapsedGrantOutlivesARestart(t *testing.T) {
	h := start(t, plain)
	h.report("pop3", "192.0.2.9", "jan@domena.cz", true)
	h.stop()
	h.clock.forward(3 * time.Hour)
	h.run()
	x := h.explainReply(h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"}))
	if !strings.Contains(x.Cause, "3h before; smtp_after_pop.validity is 1h") {
		t.Errorf("got %s", x.Cause)
	}
}
