package mimic

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portreeve/integration/dialogue"
)

// fakeDaemon is ready at once and says how often it was started, and when.
type fakeDaemon struct {
	Setup
	starts  int
	failing error // what it ends with
}

func (d *fakeDaemon) run(ctx context.Context, s Setup, ready func()) error {
	d.Setup, d.starts = s, d.starts+1
	s.Log.Info("started")
	ready()
	<-ctx.Done()
	return d.failing
}

func (d *fakeDaemon) host() *Host {
	return &Host{Testdata: "../testdata", Program: "true", Run: d.run}
}

func TestHost(t *testing.T) {
	d := &fakeDaemon{}
	w := d.host().Start(t, dialogue.Settings{Recipe: "policy", Portreeve: map[string]any{"mode": "observe"}})
	config, err := os.ReadFile(d.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`mode = "observe"`, `milter = ""`, `policy = "unix:` + filepath.Dir(d.Config) + `/policy.sock"`} {
		if !strings.Contains(string(config), want) {
			t.Errorf("no %s in\n%s", want, config)
		}
	}
	before := d.Now()
	err = errors.Join(
		w.Wait(t.Context(), time.Hour),
		w.Restart(t.Context(), true),
		w.Accounts(t.Context(), "[accounts]\n"),
	)
	if err != nil {
		t.Fatal(err)
	}
	if ahead := d.Now().Sub(before); ahead < time.Hour || ahead > time.Hour+time.Minute {
		t.Errorf("the clock went on by %s, want an hour", ahead)
	}
	if d.starts != 2 || strings.Count(w.Log(), "msg=started") != 2 {
		t.Errorf("started %d times, log %s", d.starts, w.Log())
	}
	accounts, err := os.ReadFile(filepath.Join(filepath.Dir(d.Config), "accounts.toml"))
	if err != nil || string(accounts) != "[accounts]\n" {
		t.Errorf("accounts.toml holds %q, %v", accounts, err)
	}
	if out, err := w.Verb(t.Context(), "status"); err != nil || out.Exit != 0 {
		t.Errorf("a verb: %+v, %v", out, err)
	}
	w.(*World).host.Program = "false"
	if out, err := w.Verb(t.Context(), "status"); err != nil || out.Exit != 1 {
		t.Errorf("a verb that finds something: %+v, %v", out, err)
	}
	w.(*World).host.Program = "/nonexistent"
	if _, err := w.Verb(t.Context(), "status"); err == nil {
		t.Error("a program that does not exist is run")
	}
	for from, port := range map[string]int{"127.1.0.1": 26, "192.0.2.1": 25} {
		if _, err := w.Dial(t.Context(), addr(t, from), port); err == nil {
			t.Errorf("connected from %s to %d", from, port)
		}
	}
}

// TestHostFailures: whatever the daemon does wrong is said.
func TestHostFailures(t *testing.T) {
	h := &Host{Testdata: "../testdata", Run: func(context.Context, Setup, func()) error {
		return errors.New("bad configuration")
	}}
	if _, err := h.world(dialogue.Settings{}); err == nil || !strings.Contains(err.Error(), "bad configuration") {
		t.Errorf("a daemon that does not start: %v", err)
	}
	h.Testdata = "nowhere"
	if _, err := h.world(dialogue.Settings{}); err == nil {
		t.Error("no test data")
	}
	d := &fakeDaemon{failing: errors.New("did not drain")}
	w, err := d.host().world(dialogue.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.close(); err == nil || !strings.Contains(err.Error(), "did not drain") {
		t.Errorf("a daemon that ends badly: %v", err)
	}
}

func TestPlays(t *testing.T) {
	for s, want := range map[dialogueSettings]bool{
		{"milter", ""}: true, {"policy", ""}: true, {"sasl", ""}: false, {"milter", "real"}: false,
		{"policy", "stand-in"}: true, {"sasl", "stand-in"}: false,
	} {
		if got := (&Host{}).Plays(dialogue.Settings{Recipe: s.recipe, Only: s.only}); got != want {
			t.Errorf("%+v: %v", s, got)
		}
	}
}

type dialogueSettings struct{ recipe, only string }
