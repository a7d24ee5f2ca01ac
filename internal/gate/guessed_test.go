package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"portreeve/rules"
)

// slow is a fixture that delays above three failures of one login.
func slow(t *testing.T) *fixture {
	f := open(t)
	f.policy.Guessing = rules.Guessing{Limit: 3, Window: time.Hour, Delay: 4 * time.Second}
	return f
}

func (f *fixture) auth(client, login string, after time.Duration) rules.Decision {
	r := &rules.Request{Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Time: noon.Add(after), Login: login, Service: "smtp"}
	if client != "" {
		r.Client = netip.MustParseAddr(client)
	}
	return f.Decide(context.Background(), r)
}

func (f *fixture) succeed(client, service, login string, after time.Duration) {
	f.t.Helper()
	err := f.Tell(context.Background(), rules.Event{
		Kind: rules.LoginSucceeded, Protocol: rules.ProtocolAuthPolicy, Time: noon.Add(after),
		Client: netip.MustParseAddr(client), Service: service, Login: login,
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// guess makes n failures from an address each.
func (f *fixture) guess(n int, login string, after time.Duration) {
	f.t.Helper()
	for i := range n {
		f.fail(fmt.Sprintf("198.51.100.%d", i+1), login, after)
	}
}

// One id for as long as the login is guessed; it is written before anybody is delayed.
func TestGuessedLogin(t *testing.T) {
	f := slow(t)
	f.succeed("203.0.113.9", "imap", "Jan@Domena.CZ", 0)
	f.guess(3, "jan@domena.cz", time.Minute)
	if d := f.auth("192.0.2.1", "jan@domena.cz", time.Minute); d.Slowed.Delay != 0 || d.ID != "" {
		t.Errorf("at the limit: %+v", d)
	}
	f.fail("2001:db8::1", "JAN@domena.cz", 2*time.Minute)
	d := f.auth("192.0.2.1", "Jan@domena.cz", 2*time.Minute)
	if d.Slowed.Delay != 4*time.Second || d.Action != rules.Pass || d.Reply.String() != "" {
		t.Fatalf("above the limit: %+v", d)
	}
	if again := f.auth("192.0.2.2", "jan@domena.cz", 3*time.Minute); again.ID != d.ID {
		t.Errorf("ids %s and %s", d.ID, again.ID)
	}
	for _, passes := range []rules.Decision{
		f.auth("203.0.113.9", "jan@domena.cz", 3*time.Minute), // its owner's address
		f.auth("192.0.2.1", "info@domena.cz", 3*time.Minute),
		f.auth("192.0.2.1", "jan@domena.cz", 2*time.Hour),
	} {
		if passes.Slowed.Delay != 0 {
			t.Errorf("delayed: %+v", passes)
		}
	}
	f.Flush()
	f.fail("192.0.2.99", "eva@domena.cz", time.Minute) // the counts are written before it
	e := f.entry(d.ID)
	if e.Rule != "login_failures" || e.Login != "JAN@domena.cz" || e.Client != "2001:db8::1" || e.Count != 2 || e.Reply != "" || e.Observed {
		t.Errorf("entry %+v", e)
	}
	var known Facts
	if err := json.Unmarshal(e.Facts, &known); err != nil {
		t.Fatal(err)
	}
	if g := known.Guessing; g == nil || g.Count != 4 || g.Limit != 3 || g.Delay != 4 || !g.Until.Equal(noon.Add(time.Hour+time.Minute)) || len(known.Failures) != 4 {
		t.Errorf("facts %s", e.Facts)
	}
	if f.meter.decided["login_failures delay"] != 2 {
		t.Errorf("metrics %v", f.meter.decided)
	}
	for _, line := range []string{"login is being guessed", "msg=delayed id=" + d.ID} {
		if !strings.Contains(f.log.String(), line) {
			t.Errorf("no %q in the log:\n%s", line, f.log)
		}
	}
}

// Addresses that stand for many people, and unknown ones, count for the login alone.
func TestGuessedThroughSharedAddresses(t *testing.T) {
	f := slow(t)
	f.policy.Shared = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for range 11 {
		f.fail("198.51.100.1", "jan@domena.cz", 0)
		f.fail("198.51.100.1", "no-address", 0)
	}
	if d := f.auth("198.51.100.1", "jan@domena.cz", time.Minute); d.Action != rules.Pass || d.Slowed.Delay == 0 {
		t.Errorf("the shared address: %+v", d)
	}
	if d := f.auth("", "jan@domena.cz", time.Minute); d.Slowed.Delay == 0 {
		t.Errorf("an unknown address: %+v", d)
	}
	if blocks := f.Ledger.Blocks(noon, Window(f.policy)); len(blocks) != 0 {
		t.Errorf("blocked: %+v", blocks)
	}
}

func TestGuessedObserved(t *testing.T) {
	f := slow(t)
	f.policy.ObserveAll = true
	f.guess(4, "jan@domena.cz", 0)
	d := f.auth("192.0.2.1", "jan@domena.cz", time.Minute)
	if d.Slowed.Delay != 0 || len(d.Observed) != 1 || d.ID == "" || d.Reply.String() != "" {
		t.Fatalf("%+v", d)
	}
	if e := f.entry(d.ID); !e.Observed || e.Rule != "login_failures" {
		t.Errorf("entry %+v", e)
	}
	if f.meter.decided["login_failures observe"] != 1 || !strings.Contains(f.log.String(), `msg="would delay"`) {
		t.Errorf("metrics %v, log %s", f.meter.decided, f.log)
	}
}

// While the rule is off nothing is remembered for it.
func TestGuessingOff(t *testing.T) {
	f := open(t)
	f.succeed("203.0.113.9", "smtp", "jan@domena.cz", 0)
	f.guess(9, "jan@domena.cz", 0)
	f.policy.Guessing = rules.Guessing{Limit: 3, Window: time.Hour, Delay: time.Second}
	if d := f.auth("192.0.2.1", "jan@domena.cz", time.Minute); d.Slowed.Delay != 0 {
		t.Errorf("%+v", d)
	}
	if f.Ledger.HasLoggedIn("jan@domena.cz", netip.MustParsePrefix("203.0.113.9/32"), noon) {
		t.Error("a login was remembered")
	}
}

// A login without @ may be a password: it is not shown, whatever a default domain
// makes of it.
func TestGuessedIsNotShown(t *testing.T) {
	f := slow(t)
	f.policy.Logins.DefaultDomain = "domena.cz"
	f.guess(4, "hunter2", 0)
	f.policy.Hints = false
	d := f.auth("192.0.2.1", "hunter2", time.Minute)
	if d.Slowed.Delay == 0 {
		t.Fatalf("%+v", d)
	}
	body, err := json.Marshal(f.entry(d.ID))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(body) + f.log.String(); strings.Contains(text, "hunter2") {
		t.Errorf("a password is shown: %s", text)
	}
}

// A limit that is lowered, or a kill between failure and id, leaves a login
// without an id: the first that is delayed gets it one.
func TestGuessedWithoutID(t *testing.T) {
	f := slow(t)
	f.policy.Guessing.Limit = 10
	f.guess(5, "jan@domena.cz", 0)
	f.policy.Guessing.Limit = 3
	d := f.auth("192.0.2.1", "jan@domena.cz", time.Minute)
	if d.Slowed.Delay == 0 || f.entry(d.ID).Rule != "login_failures" {
		t.Errorf("%+v", d)
	}
}
