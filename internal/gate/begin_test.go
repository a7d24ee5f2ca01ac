package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// asker is a gate that is asked in one of the two ways. Whatever may wait fails the test
// when it is called while Begin is under way.
type asker struct {
	*fixture
	begins   bool // Begin, and Decide of what it returns
	begun    int  // decisions that Begin has made,
	refused  int  // and refusals among them
	hurried  bool // Begin is under way
	logWaits bool // LogWaits has said so
	lookedUp map[string]int
	took     int
}

func (a *asker) mayWait(what string) {
	if a.hurried {
		a.t.Errorf("Begin: %s", what)
	}
}

func (a *asker) ask(r rules.Request) rules.Decision {
	if !a.begins {
		return a.Decide(context.Background(), &r)
	}
	a.hurried = true
	var d rules.Decision
	rest := a.Begin(context.Background(), &r, &d)
	a.hurried = false
	if rest == nil {
		a.begun++
		if d.Action == rules.Refuse {
			a.refused++
		}
		return d
	}
	return rest.Decide()
}

// setting is what a pair of askers has in common.
type setting struct {
	instant bool // the directory's look-ups wait for nothing
	broken  bool // they fail
	remote  bool // the ledger asks others
	logs    bool // nobody waits for the log, mostly
	policy  func(*rules.Policy)
}

func newAsker(t *testing.T, s setting, begins bool) *asker {
	a := &asker{fixture: open(t), begins: begins, lookedUp: map[string]int{}}
	s.policy(a.policy)
	quiet := slog.HandlerOptions{ReplaceAttr: func(groups []string, at slog.Attr) slog.Attr {
		if len(groups) == 0 && at.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return at
	}}
	a.Log = slog.New(patientLog{slog.NewTextHandler(syncBuffer{&sync.Mutex{}, a.log}, &quiet), a})
	a.Meter = patientMeter{a.meter, a}
	a.Journal = patientJournal{a.journal, a}
	o := a.Options
	o.Ledger = patientLedger{a.Ledger, a, s.remote}
	if s.remote {
		o.Ledger = remoteLedger{patientLedger{a.Ledger, a, true}}
	}
	if s.logs {
		asked := 0
		o.LogWaits = func() bool {
			asked++
			a.logWaits = asked%7 == 0
			return a.logWaits
		}
	}
	var err error
	if a.Gate, err = New(o); err != nil {
		t.Fatal(err)
	}
	if !s.instant {
		a.state.Directory = patientDirectory{a.state.Directory, a, s.broken}
	}
	a.Use(a.state)
	return a
}

var settings = map[string]setting{
	"plain":                       {instant: true, policy: func(*rules.Policy) {}},
	"a log that waits for nobody": {instant: true, logs: true, policy: func(*rules.Policy) {}},
	"everything": {instant: true, policy: func(p *rules.Policy) {
		p.Guessing = rules.Guessing{Limit: 3, Window: time.Hour, Delay: time.Second}
		p.Quota, p.Throttle.AtHelo = rules.Limits{Messages: 20, Recipients: 40}, true
		p.Sender.ByAddress, p.Relay.RefuseForwarded = true, true
	}},
	"a slow directory": {policy: func(p *rules.Policy) { p.Quota.Messages = 10 }},
	"a broken directory": {broken: true, policy: func(p *rules.Policy) {
		p.Throttle.AtHelo = true
	}},
	"a broken directory, accepted": {broken: true, policy: func(p *rules.Policy) {
		p.OnFailure, p.Sender.ByAddress = rules.FailAccept, true
	}},
	"a shared ledger": {instant: true, remote: true, policy: func(p *rules.Policy) {
		p.Guessing = rules.Guessing{Limit: 3, Window: time.Hour, Delay: time.Second}
		p.Quota.Messages = 10
	}},
	"a shared ledger and a slow directory": {remote: true, policy: func(p *rules.Policy) { p.Throttle.AtHelo = true }},
	"observed": {instant: true, policy: func(p *rules.Policy) {
		p.ObserveAll, p.Quota.Messages = true, 5
		p.Guessing = rules.Guessing{Limit: 3, Window: time.Hour, Delay: time.Second}
	}},
	"some observed": {instant: true, policy: func(p *rules.Policy) {
		p.Observe = map[rules.Rule]bool{rules.RuleThrottled: true, rules.RuleAuthRejected: true}
		p.Quota.Messages = 5
	}},
}

// TestBeginIsDecide: whoever asks Begin, and Decide of what it returns, is told the
// same as who asks Decide, and the journal, the log, the counts and the metrics are the
// same. Nothing that may wait is called from Begin.
func TestBeginIsDecide(t *testing.T) {
	for name, s := range settings {
		t.Run(name, func(t *testing.T) {
			begun, refused := 0, 0
			for seed := range uint64(2) {
				one, two := newAsker(t, s, false), newAsker(t, s, true)
				compare(t, one, two, rand.New(rand.NewPCG(seed, 1)))
				begun, refused = begun+two.begun, refused+two.refused
			}
			if begun == 0 && s.instant || refused == 0 && (name == "plain" || s.logs) {
				t.Errorf("Begin itself has made %d decisions, and %d refusals", begun, refused)
			}
			t.Logf("Begin itself has made %d decisions, and %d refusals", begun, refused)
		})
	}
}

func compare(t *testing.T, one, two *asker, r *rand.Rand) {
	t.Helper()
	mask1, mask2 := masker(), masker()
	for i := range 400 {
		at := noon.Add(time.Duration(i) * 300 * time.Millisecond)
		if r.IntN(4) == 0 {
			e := someEvent(r, at)
			if err1, err2 := one.Tell(t.Context(), e), two.Tell(t.Context(), e); err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			continue
		}
		request := someRequest(r, at, i)
		for range 1 + r.IntN(2)*r.IntN(20) { // again and again
			want, got := mask1(fmt.Sprintf("%+v", one.ask(request))), mask2(fmt.Sprintf("%+v", two.ask(request)))
			if got != want {
				t.Fatalf("%d, %+v:\n%s, want\n%s", i, request, got, want)
			}
		}
		switch r.IntN(100) {
		case 0:
			one.Flush()
			two.Flush()
		case 1, 2:
			one.FlushDue()
			two.FlushDue()
		}
	}
	same(t, "hits", one.counted(mask1), two.counted(mask2))
	one.Flush()
	two.Flush()
	sameLines(t, "log", mask1(unflushed(one.log.String())), mask2(unflushed(two.log.String())))
	same(t, "decided", one.meter.decided, two.meter.decided)
	same(t, "looked up", one.lookedUp, two.lookedUp)
	same(t, "took", one.took, two.took)
	same(t, "unrecorded", one.meter.unrecorded, two.meter.unrecorded)
	sameLines(t, "journal", mask1(one.written(t)), mask2(two.written(t)))
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v\nwant %v", what, got, want)
	}
}

func sameLines(t *testing.T, what, want, got string) {
	t.Helper()
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	same(t, "lines of the "+what, len(wants), len(gots))
	for i := range min(len(wants), len(gots)) {
		if gots[i] != wants[i] {
			t.Errorf("%s: %s\nwant %s", what, gots[i], wants[i])
			return
		}
	}
}

func (a *asker) counted(mask func(string) string) map[string]hit {
	all := map[string]hit{}
	for kind, list := range map[string]map[string]*hit{"": a.hits.lately, "flood ": a.hits.floods} {
		for _, id := range slices.Sorted(maps.Keys(list)) {
			all[kind+mask(id)] = *list[id]
		}
	}
	return all
}

// unflushed leaves out what Flush says, in the order of a map.
func unflushed(log string) string {
	var rest strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "and more like it") {
			rest.WriteString(line)
		}
	}
	return fmt.Sprint(strings.Count(log, "and more like it"), " of many, and\n", rest.String())
}

// written is the journal without the counts of repeats, which are written later.
func (a *asker) written(t *testing.T) string {
	t.Helper()
	entries, err := a.journal.Find(t.Context(), journal.Query{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, e := range entries {
		e.Count, e.Last, e.Port, e.Sender = 0, time.Time{}, 0, ""
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(line, '\n'))
	}
	return all.String()
}

// masker numbers ids in the order in which it sees them.
func masker() func(string) string {
	id, seen := regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`), map[string]string{}
	return func(text string) string {
		return id.ReplaceAllStringFunc(text, func(found string) string {
			if seen[found] == "" {
				seen[found] = fmt.Sprint("#", len(seen))
			}
			return seen[found]
		})
	}
}

var (
	someClients = []string{"192.0.2.7", "192.0.2.7", "192.0.2.8", "2001:db8::7", ""}
	someLogins  = []string{"", "jan@domena.cz", "jan@domena.cz", "eva@domena.cz", "nobody@domena.cz", "secret"}
	someSenders = []string{"", "jan@domena.cz", "jan@domena.eu", "eva@domena.cz", "a@seznam.cz", "postmaster"}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func someAddr(r *rand.Rand) netip.Addr {
	a, _ := netip.ParseAddr(pick(r, someClients)) // the zero Addr is unknown
	return a
}

func someEvent(r *rand.Rand, at time.Time) rules.Event {
	return rules.Event{
		Kind: pick(r, []rules.EventKind{rules.LoginFailed, rules.LoginFailed, rules.LoginSucceeded}), Time: at,
		Protocol: rules.ProtocolAuthPolicy, Client: someAddr(r), Service: pick(r, []string{"smtp", "pop3"}),
		Login: pick(r, someLogins), Password: pick(r, []string{"", "021e", "77aa"}),
	}
}

func someRequest(r *rand.Rand, at time.Time, i int) rules.Request {
	q := rules.Request{
		Stage: rules.Stage(r.IntN(int(rules.StageEnd) + 1)), Protocol: rules.ProtocolPolicy, Time: at,
		Client: someAddr(r), Port: pick(r, []uint16{0, 25, 587}), TLS: r.IntN(2) == 0, Helo: "pc.example",
		Service: "smtp", Login: pick(r, someLogins), Sender: pick(r, someSenders), Recipient: pick(r, []string{"", "b@example.com", "eva@domena.cz"}),
		Count: r.IntN(4), Instance: fmt.Sprint("i", i-r.IntN(2)),
	}
	if r.IntN(2) == 0 {
		q.Stage = pick(r, []rules.Stage{rules.StageEnvelope, rules.StageEnd, rules.StageHelo, rules.StageRelay})
	}
	if q.Stage == rules.StageRcpt {
		q.Transaction = fmt.Sprint("t", i)
	}
	return q
}
