package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/directory"
	"portreeve/internal/store"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

const accounts = `
[domains]
"domena.cz" = { aliases = ["domena.eu"] }
[accounts]
"jan@domena.cz" = {}
"eva@domena.cz" = { smtp = false }
`

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fixture is a gate on a real store, with its parts in reach.
type fixture struct {
	*Gate
	t       testing.TB
	journal *journal.Journal
	log     *bytes.Buffer
	policy  *rules.Policy
	state   State
	meter   *meter
}

type meter struct {
	mu         sync.Mutex
	decided    map[string]int
	unrecorded int
}

func (m *meter) Decided(_ int, _ time.Time, rule rules.Rule, action string, _ rules.Protocol) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decided[string(rule)+" "+action]++
}
func (m *meter) Took(int, rules.Protocol, time.Duration) {}
func (m *meter) Looked(int, string, time.Duration)       {}
func (m *meter) Unrecorded() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unrecorded++
}

// syncBuffer lets the log be read while others write it.
type syncBuffer struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (s syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func open(t testing.TB) *fixture {
	t.Helper()
	dir := t.TempDir()
	db, err := store.Open(filepath.Join(dir, "portreeve.db"), store.Schema, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "accounts.toml")
	if err := os.WriteFile(file, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	dirFile, problems := directory.OpenFile(file, rules.Logins{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p := &rules.Policy{
		Submission: []uint16{587}, Mixed: []uint16{25}, Hints: true, Replies: rules.DefaultReplies(),
		Throttle: rules.Throttle{Limit: 10, Window: time.Hour, IPv4Prefix: 32, IPv6Prefix: 64, Services: []string{"smtp"}},
		POP:      rules.POPPolicy{Enabled: true, Validity: time.Hour, Services: []string{"pop3"}, MaxAccounts: 5},
	}
	ids := journal.NewIDs("mx1")
	mem, err := ledger.OpenEmbedded(context.Background(), db, ids, 1000, noon, Counting(p), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, journal: journal.New(db), log: &bytes.Buffer{}, policy: p, meter: &meter{decided: map[string]int{}}}
	log := slog.New(slog.NewTextHandler(syncBuffer{&sync.Mutex{}, f.log}, nil))
	f.Gate, err = New(Options{Ledger: mem, Journal: f.journal, IDs: ids, Host: "mx1", Log: log, Meter: f.meter})
	if err != nil {
		t.Fatal(err)
	}
	f.state = State{Policy: p, Directory: dirFile}
	f.Use(f.state)
	return f
}

func (f *fixture) mail(client, login, sender string, after time.Duration) rules.Decision {
	return f.Decide(context.Background(), &rules.Request{
		Stage: rules.StageMail, Protocol: rules.ProtocolMilter, Time: noon.Add(after), Port: 587,
		Client: netip.MustParseAddr(client), Login: login, Sender: sender,
	})
}

func (f *fixture) fail(client, login string, after time.Duration) {
	f.t.Helper()
	err := f.Tell(context.Background(), rules.Event{
		Kind: rules.LoginFailed, Protocol: rules.ProtocolAuthPolicy, Time: noon.Add(after),
		Client: netip.MustParseAddr(client), Service: "smtp", Login: login, Password: "021e",
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) entry(id string) journal.Entry {
	f.t.Helper()
	e, err := f.journal.Get(context.Background(), id)
	if err != nil {
		f.t.Fatalf("id %q: %v", id, err)
	}
	return e
}

func TestRefusalIsRecordedBeforeItIsTold(t *testing.T) {
	f := open(t)
	d := f.mail("192.0.2.7", "jan@domena.cz", "jan@seznam.cz", 0)
	if got := d.Reply.String(); got != "550 5.1.0 <jan@seznam.cz> sender rejected" {
		t.Errorf("reply %q", got)
	}
	e := f.entry(d.ID)
	if e.Rule != "sender" || e.Login != "jan@domena.cz" || e.Sender != "jan@seznam.cz" || e.Client != "192.0.2.7" ||
		e.Port != 587 || e.Observed || e.Reply != d.Reply.String() || !e.Time.Equal(noon) {
		t.Errorf("entry %+v", e)
	}
	var facts Facts
	if err := json.Unmarshal(e.Facts, &facts); err != nil || len(facts.Domains["domena.cz"]) != 2 || !facts.Accounts[0].SMTP {
		t.Errorf("facts %s: %v", e.Facts, err)
	}
	if !strings.Contains(f.log.String(), "id="+d.ID) {
		t.Errorf("log: %s", f.log)
	}
	if f.meter.decided["sender refuse"] != 1 {
		t.Errorf("metrics: %v", f.meter.decided)
	}
}

func TestPassLeavesNoTrace(t *testing.T) {
	f := open(t)
	d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.eu", 0)
	if d.Action != rules.Pass || d.ID != "" || d.Reply.Code != 0 {
		t.Errorf("%+v", d)
	}
	entries, err := f.journal.Find(context.Background(), journal.Query{})
	if err != nil || len(entries) != 0 {
		t.Errorf("journal: %v %v", entries, err)
	}
}

// Equal refusals within a minute share an id, and nobody is told it before it
// is recorded, not even the second of two who ask at once.
func TestEqualRefusalsShareAnID(t *testing.T) {
	f := open(t)
	const askers = 50
	ids := make(chan string, askers)
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			d := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", 0)
			if _, err := f.journal.Get(context.Background(), d.ID); err != nil {
				t.Errorf("told %s before it was recorded: %v", d.ID, err)
			}
			ids <- d.ID
		})
	}
	all.Wait()
	close(ids)
	distinct := map[string]bool{}
	for id := range ids {
		distinct[id] = true
	}
	first := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", 59*time.Second).ID
	if len(distinct) != 1 || !distinct[first] {
		t.Fatalf("%d ids", len(distinct))
	}
	if later := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", time.Minute).ID; later == first {
		t.Error("shared for longer than a minute")
	}
	for _, other := range []rules.Decision{
		f.mail("192.0.2.8", "jan@domena.cz", "a@seznam.cz", 0),
		f.mail("192.0.2.7", "jan@domena.cz", "b@seznam.cz", 0),
		f.mail("192.0.2.7", "eva@domena.cz", "a@seznam.cz", 0),
	} {
		if other.ID == first {
			t.Errorf("%s shares an id with another client, sender or login", other.Rule)
		}
	}
	f.Flush()
	waitFor(t, func() bool { return f.entry(first).Count == askers+1 })
}

// waitFor asks until the writer, whom nobody waits for, has done its work.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline:
			t.Fatal("not within 10 s")
		case <-tick.C:
		}
	}
}

func TestOneBlockOneID(t *testing.T) {
	f := open(t)
	for i := range 10 {
		f.fail("192.0.2.7", "jan@domena.cz", time.Duration(i)*time.Second)
	}
	if d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", 10*time.Second); d.Action != rules.Pass {
		t.Fatalf("ten failures: %+v", d)
	}
	f.fail("192.0.2.7", "jan@domena.cz", 10*time.Second)
	first := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", 11*time.Second)
	want := "550 5.1.0 " + first.ID + " Connection refused from 192.0.2.7. Too many authorization failures from this IP, try again later."
	if first.Rule != rules.RuleThrottled || first.Reply.String() != want {
		t.Fatalf("%+v", first)
	}
	if again := f.mail("192.0.2.7", "", "x@y.test", 30*time.Minute); again.ID != first.ID {
		t.Error("another id within one block")
	}
	f.Flush()
	waitFor(t, func() bool { return f.entry(first.ID).Count == 2 })
	e := f.entry(first.ID)
	if e.Port != 587 || e.Sender != "x@y.test" || e.Login != "jan@domena.cz" {
		t.Errorf("the last refusal of the block: %+v", e)
	}
	var facts Facts
	if err := json.Unmarshal(e.Facts, &facts); err != nil || len(facts.Failures) != 11 || facts.Count != 11 {
		t.Errorf("facts %s: %v", e.Facts, err)
	}
	// The oldest failure leaves the window: the block is over.
	if d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", time.Hour); d.Action != rules.Pass {
		t.Errorf("after the end: %+v", d)
	}
	f.fail("192.0.2.7", "jan@domena.cz", time.Hour)
	if later := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", time.Hour); later.Rule != rules.RuleThrottled || later.ID == first.ID {
		t.Errorf("a later block: %+v", later)
	}
}

func TestManyFailuresAtOnceMakeOneBlock(t *testing.T) {
	f := open(t)
	var all sync.WaitGroup
	ids := make(chan string, 40)
	for range 40 {
		all.Go(func() {
			f.fail("192.0.2.7", "jan@domena.cz", 0)
			if d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", time.Second); d.Rule == rules.RuleThrottled {
				ids <- d.ID
			}
		})
	}
	all.Wait()
	close(ids)
	distinct := map[string]bool{}
	for id := range ids {
		distinct[id] = true
	}
	if len(distinct) != 1 {
		t.Errorf("%d ids for one block", len(distinct))
	}
}

func TestHintsAtAuth(t *testing.T) {
	f := open(t)
	ask := func(login string) rules.Decision {
		return f.Decide(context.Background(), &rules.Request{
			Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Time: noon,
			Client: netip.MustParseAddr("192.0.2.7"), Service: "smtp", Login: login,
		})
	}
	for range 20 {
		if d := ask("eva@domena.cz"); d.Rule != rules.RuleAccessDisabled {
			t.Fatalf("%+v; a disabled account's login must not count", d)
		}
	}
	if d := f.mail("192.0.2.7", "", "eva@domena.cz", time.Second); d.Rule != rules.RuleAccessDisabled {
		t.Errorf("MAIL after it: %+v", d)
	}
	for range 11 {
		if d := ask("tajneheslo"); d.Rule != rules.RuleAuthRejected {
			t.Fatalf("%+v", d)
		}
	}
	d := ask("jan@domena.cz")
	if d.Rule != rules.RuleThrottled {
		t.Errorf("unknown logins count: %+v", d)
	}
	body, err := json.Marshal(f.entry(d.ID))
	if err != nil || strings.Contains(string(body), "tajneheslo") || !strings.Contains(string(body), "t… (10 characters)") {
		t.Errorf("a login without @ may be a password: %s %v", body, err)
	}
	entries, err := f.journal.Find(context.Background(), journal.Query{})
	if err != nil || strings.Contains(fmt.Sprintf("%+v %s", entries, f.log), "tajneheslo") {
		t.Errorf("it is in the journal or the log: %v", err)
	}
}

// login.default_domain makes an address of what may be a password.
func TestDefaultDomainShowsNoPassword(t *testing.T) {
	f := open(t)
	p := *f.policy
	p.Logins.DefaultDomain = "domena.cz"
	f.Use(State{Policy: &p, Directory: f.state.Directory})
	f.fail("192.0.2.7", "hunter2secret", 0)
	ids := []string{f.mail("192.0.2.7", "", "jan@domena.cz", time.Second).ID}
	ids = append(ids, f.Decide(context.Background(), &rules.Request{
		Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Time: noon,
		Client: netip.MustParseAddr("192.0.2.7"), Service: "smtp", Login: "hunter2secret",
	}).ID)
	for _, id := range ids {
		e := f.entry(id)
		if all := fmt.Sprintf("%+v %s", e, e.Facts); strings.Contains(all, "hunter2") || e.Rule != "auth_rejected" || !strings.Contains(all, "h… (13 characters)") {
			t.Errorf("%s", all)
		}
	}
	if strings.Contains(f.log.String(), "hunter2") {
		t.Errorf("log: %s", f.log)
	}
}

// A name without a domain may be a password; that of an account is none.
func TestAccountOfTheDefaultDomainIsNamed(t *testing.T) {
	f := open(t)
	f.policy.Logins = rules.Logins{DefaultDomain: "domena.cz"}
	for login, want := range map[string]string{"eva": "eva@domena.cz", "hunter2": "h… (7 characters)"} {
		d := f.Decide(context.Background(), &rules.Request{
			Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy, Service: "smtp", Time: noon, Client: netip.MustParseAddr("192.0.2.7"), Login: login,
		})
		var facts Facts
		e := f.entry(d.ID)
		if err := json.Unmarshal(e.Facts, &facts); err != nil || facts.As != want || len(facts.Accounts) != 1 || facts.Accounts[0].Login != want {
			t.Errorf("%s: %s: %v", login, e.Facts, err)
		}
	}
}

func TestObservedIsRecordedAndPasses(t *testing.T) {
	f := open(t)
	p := *f.policy
	p.Observe = map[rules.Rule]bool{rules.RuleSender: true}
	f.Use(State{Policy: &p, Directory: f.state.Directory})
	d := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", 0)
	if d.Action != rules.Pass || !f.entry(d.ID).Observed {
		t.Errorf("%+v", d)
	}
	f.Use(f.state)
	if enforced := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", 0); enforced.ID == d.ID || f.entry(enforced.ID).Observed {
		t.Errorf("enforced shares the observed entry: %+v", enforced)
	}
}

// A message that is only observed is asked about again and again; it is counted once.
func TestObservedCountsMessages(t *testing.T) {
	f := open(t)
	f.policy.ObserveAll = true
	f.policy.Sender.HeaderFrom = rules.HeaderEnforce
	ask := func(r rules.Request) string {
		r.Time, r.Port, r.Client, r.Login, r.Sender = noon, 587, netip.MustParseAddr("192.0.2.7"), "jan@domena.cz", "a@seznam.cz"
		return f.Decide(context.Background(), &r).ID
	}
	id := ""
	for i := range 3 { // a milter sees the envelope and the header, a policy service each recipient
		id = ask(rules.Request{Stage: rules.StageMail, Protocol: rules.ProtocolMilter})
		for range 2 {
			ask(rules.Request{Stage: rules.StageEnvelope, Protocol: rules.ProtocolPolicy, Recipient: "x@far.test", Instance: fmt.Sprint("a.", i)})
		}
		ask(rules.Request{Stage: rules.StageHeaders, Protocol: rules.ProtocolMilter, Transaction: fmt.Sprint(i), Message: &rules.Message{
			Authors: []rules.AddressField{{Addresses: []string{"a@seznam.cz"}, Text: "a@seznam.cz"}},
		}})
	}
	ask(rules.Request{Stage: rules.StageMail, Protocol: rules.ProtocolMilter}) // and goes away
	f.Flush()
	f.fail("192.0.2.99", "eva@domena.cz", 0) // the counts are written before it
	if e := f.entry(id); e.Count != 4 || !e.Observed {
		t.Errorf("4 messages are counted as %d", e.Count)
	}
}

// An observed block is counted as often as it met a client at one moment.
func TestObservedBlockCountsMessages(t *testing.T) {
	f := open(t)
	f.policy.ObserveAll = true
	for range 11 {
		f.fail("192.0.2.7", "jan@domena.cz", 0)
	}
	ask := func(stage rules.Stage, p rules.Protocol) string {
		return f.Decide(context.Background(), &rules.Request{
			Stage: stage, Protocol: p, Service: "smtp", Time: noon, Port: 587, Client: netip.MustParseAddr("192.0.2.7"), Login: "jan@domena.cz", Sender: "jan@domena.cz",
		}).ID
	}
	id := ""
	for range 2 {
		ask(rules.StageAuth, rules.ProtocolAuthPolicy)
		id = ask(rules.StageMail, rules.ProtocolMilter)
	}
	f.Flush()
	f.fail("192.0.2.99", "eva@domena.cz", 0) // the counts are written before it
	if e := f.entry(id); e.Rule != "throttled" || e.Count != 2 {
		t.Errorf("rule %s, count %d", e.Rule, e.Count)
	}
}

// What a reply without an id shows is all that the help desk gets: another address
// is another refusal.
func TestAnotherAddressIsAnotherRefusal(t *testing.T) {
	f := open(t)
	f.policy.Sender.HeaderFrom = rules.HeaderEnforce
	seen := map[string]bool{}
	for _, from := range []string{"a@seznam.cz", "b@seznam.cz", "a@seznam.cz"} {
		d := f.Decide(context.Background(), &rules.Request{
			Stage: rules.StageHeaders, Protocol: rules.ProtocolMilter, Time: noon, Port: 587, Client: netip.MustParseAddr("192.0.2.7"),
			Login: "jan@domena.cz", Sender: "jan@domena.cz", Message: &rules.Message{Authors: []rules.AddressField{{Addresses: []string{from}, Text: from}}},
		})
		if e := f.entry(d.ID); e.Reply != "550 5.1.0 <"+from+"> sender rejected" || e.Reply != d.Reply.String() {
			t.Errorf("the client is told %q, the journal has %q", d.Reply, e.Reply)
		}
		seen[d.ID] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d ids for two addresses", len(seen))
	}
}

func TestPOPGrant(t *testing.T) {
	f := open(t)
	login := func(client, service string) {
		if err := f.Tell(context.Background(), rules.Event{
			Kind: rules.LoginSucceeded, Time: noon, Client: netip.MustParseAddr(client), Service: service, Login: "Jan@domena.cz",
		}); err != nil {
			t.Fatal(err)
		}
	}
	login("192.0.2.7", "pop3")
	login("192.0.2.8", "imap")
	if d := f.mail("192.0.2.7", "", "jan@domena.cz", 59*time.Minute); d.Action != rules.Pass || d.As != "jan@domena.cz" || !d.ByGrant {
		t.Errorf("%+v", d)
	}
	for client, after := range map[string]time.Duration{"192.0.2.7": time.Hour, "192.0.2.8": 0, "192.0.2.9": 0} {
		if d := f.mail(client, "", "jan@domena.cz", after); d.Rule != rules.RuleAuthFailed {
			t.Errorf("%s after %s: %+v", client, after, d)
		}
	}
}

func TestInternalFailureIsNotTheClients(t *testing.T) {
	f := open(t)
	for range 20 {
		if err := f.Tell(context.Background(), rules.Event{
			Kind: rules.LoginFailed, Time: noon, Client: netip.MustParseAddr("192.0.2.7"), Service: "smtp", Login: "jan@domena.cz", Internal: true,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", 0); d.Action != rules.Pass {
		t.Errorf("%+v", d)
	}
}

// brokenJournal takes nothing.
type brokenJournal struct{}

func (brokenJournal) Write(context.Context, journal.Entry) error { return errors.New("disk full") }
func (brokenJournal) Again(string, journal.Repeats)              {}

func TestRefusesWithoutAJournal(t *testing.T) {
	f := open(t)
	f.Journal = brokenJournal{}
	d := f.mail("192.0.2.7", "jan@domena.cz", "a@seznam.cz", 0)
	if d.Action != rules.Refuse || d.ID == "" {
		t.Fatalf("%+v", d)
	}
	if log := f.log.String(); !strings.Contains(log, "disk full") || !strings.Contains(log, d.ID) || !strings.Contains(log, "a@seznam.cz") {
		t.Errorf("the log has not the whole entry: %s", log)
	}
	if f.meter.unrecorded != 1 {
		t.Errorf("alarm: %d", f.meter.unrecorded)
	}
	if d := f.mail("192.0.2.7", "jan@domena.cz", "jan@domena.cz", 0); d.Action != rules.Pass {
		t.Errorf("passes go on: %+v", d)
	}
}

func TestTryRecordsNothing(t *testing.T) {
	f := open(t)
	d, facts, tried := f.Try(context.Background(), &rules.Request{
		Stage: rules.StageMail, Time: noon, Port: 587, Client: netip.MustParseAddr("192.0.2.7"), Sender: "jan@domena.cz",
	})
	if d.Reply.String() != "550 5.1.0 {id} authentication failed" || facts.Limit != 10 {
		t.Errorf("%+v %+v", d, facts)
	}
	want := []string{"2 throttle: passes", "4 login: passes", "3 authentication needed: refuses", "5 sender: not reached"}
	for i, one := range tried {
		if got := one.Rule + ": " + one.Result; got != want[i] {
			t.Errorf("rule %d: %s, want %s", i, got, want[i])
		}
	}
	if tried[2].Reason != "no-auth" || len(tried[0].Facts) != 1 || !strings.HasPrefix(tried[0].Facts[0], "0 failed logins") || len(tried[3].Facts) != 0 {
		t.Errorf("tried %+v", tried)
	}
	entries, err := f.journal.Find(context.Background(), journal.Query{})
	if err != nil || len(entries) != 0 || f.log.Len() != 0 {
		t.Errorf("journal %v %v, log %s", entries, err, f.log)
	}
}
