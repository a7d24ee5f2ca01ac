package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/store"
	"portreeve/rules"
)

// While the store takes nothing, refusals are given with their whole entry in
// the log, passes go on, memory goes on counting, and the alarm is raised.
func TestStoreCannotWrite(t *testing.T) {
	h := prepare(t, plain)
	var d *Daemon
	h.launch(func(ctx context.Context, ready func()) error {
		opened, c, err := open(ctx, h.options())
		if err != nil {
			return err
		}
		sockets, _, err := openListeners(c, nil)
		if err != nil {
			return errors.Join(err, opened.db.Close())
		}
		d = opened
		return errors.Join(d.serve(ctx, c, sockets, ready), d.db.Close())
	})
	foreign := envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@seznam.cz"}
	if got := h.ask(foreign); got != "550 5.1.0 <jan@seznam.cz> sender rejected" {
		t.Fatal(got)
	}
	err := d.db.Write(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec("pragma query_only = 1") // as a file system that became read-only
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	refused := h.ask(envelope{client: "192.0.2.9", sender: "jan@domena.cz"})
	if id := theID(t, refused); !strings.Contains(h.log.String(), `msg="refusal not stored, its entry follows" id=`+id+` entry="{`) {
		t.Errorf("the log has no entry of %s:\n%s", refused, h.log.String())
	}
	if got := h.ask(envelope{client: "192.0.2.9", login: "jan@domena.cz", sender: "jan@domena.cz"}); got != "DUNNO" {
		t.Errorf("a pass: %q", got)
	}
	for range 11 {
		if status := h.report("submission", "192.0.2.66", "jan@domena.cz", false); status != http.StatusInternalServerError {
			t.Errorf("a report that is not stored is answered %d", status)
		}
	}
	if got := h.ask(envelope{client: "192.0.2.66", login: "jan@domena.cz", sender: "jan@domena.cz"}); !strings.Contains(got, "Connection refused from 192.0.2.66.") {
		t.Errorf("the blocked client: %q", got)
	}

	s := h.status()
	if s.Store.Up || !strings.HasPrefix(s.Store.Error, "the store has not been writable since ") || s.Counts.Unrecorded < 12 || s.Blocked != 1 {
		t.Errorf("status %+v", s)
	}
	if status, body := h.get("/healthz"); status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "the store has not been writable since ") {
		t.Errorf("healthz %d %q", status, body)
	}
	if _, page := h.get("/metrics"); !strings.Contains(page, "portreeve_store_up 0\n") || !strings.Contains(page, "portreeve_store_file_up 0\n") {
		t.Error("/metrics says that the store is up")
	}
	if a := h.explain(admin.ExplainRequest{Senders: []string{"jan@seznam.cz"}}); len(a.Found) != 1 {
		t.Errorf("what was stored before: %+v", a)
	}
	if _, err := h.unblock("192.0.2.66"); err == nil || !strings.Contains(err.Error(), "it is lifted until the daemon restarts") {
		t.Errorf("unblock: %v", err)
	}
	if list := h.blocks(); len(list) > 0 {
		t.Errorf("still blocked: %+v", list)
	}
}

// Each change of the store's health is logged once.
func TestHealth(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var h health
	full := errors.New("disk full")
	for _, err := range []error{nil, full, full, nil, nil, full} {
		h.check(log, err)
	}
	var levels []string
	for line := range strings.Lines(out.String()) {
		_, after, _ := strings.Cut(line, "level=")
		level, _, _ := strings.Cut(after, " ")
		levels = append(levels, level)
	}
	if got := strings.Join(levels, " "); got != "ERROR INFO ERROR" {
		t.Errorf("logged %s:\n%s", got, out.String())
	}
}

// Every second the counts are written, every ten minutes what is old is dropped.
func TestHousekeeping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := prepare(t, plain+"[journal]\nkeep = \"15m\"\n")
		o := h.options()
		o.Now = time.Now // the bubble's
		d, _, err := open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { d.housekeep(ctx); close(ended) }()
		r := &rules.Request{Stage: rules.StageMail, Protocol: rules.ProtocolMilter, Port: 587, Login: "jan@domena.cz", Sender: "jan@seznam.cz", Time: time.Now()}
		id := d.gate.Decide(ctx, r).ID
		d.gate.Decide(ctx, r)
		count := func() int {
			e, err := d.journal.Get(ctx, id)
			if err != nil {
				return 0
			}
			return e.Count
		}
		after := func(wait time.Duration) int {
			<-time.After(wait)
			synctest.Wait()
			return count()
		}
		if before, later := count(), after(1500*time.Millisecond); before != 1 || later != 2 {
			t.Errorf("the entry counts %d, and %d a second later", before, later)
		}
		if n := after(11 * time.Minute); n != 2 {
			t.Errorf("after eleven minutes it counts %d", n)
		}
		if n := after(10 * time.Minute); n != 0 {
			t.Error("after 21 minutes it is still there")
		}
		cancel()
		<-ended
		if err := d.db.Close(); err != nil {
			t.Error(err)
		}
		d.forget(ctx) // one that the end of the daemon interrupts
		if text := h.log.String(); strings.Contains(text, "not pruned") {
			t.Errorf("the end of the daemon is logged as a failure:\n%s", text)
		}
	})
}
