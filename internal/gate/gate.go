// Package gate is the one pipeline between the fronts and the rules: it fetches
// the facts that the rules ask for, applies what a decision entails, and
// records it before the answer leaves.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"portreeve/directory"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

const (
	// recordWithin bounds the wait for the journal. Dovecot gives its policy
	// server 2 s (FACTS.md 2.6); a refusal that is not written by then is given all
	// the same, with its whole entry in the log.
	recordWithin = time.Second
	// shareFor is how long equal refusals share one id (SPEC.md section 8).
	shareFor = time.Minute
	// shareAtMost bounds the refusals that are remembered for it.
	shareAtMost = 1 << 16
)

// State is what a reload replaces, as one value.
type State struct {
	Policy    *rules.Policy
	Directory directory.Directory
	instant   bool // the directory's look-ups take no time worth measuring
}

// Recorder is the journal as the gate uses it.
type Recorder interface {
	Write(ctx context.Context, e journal.Entry) error
	Again(id string, r journal.Repeats)
}

// Meter counts what the gate does; its methods must be cheap. Those who count at the same
// time have different lanes, mostly, so that they need not meet.
type Meter interface {
	// Decided counts one rule's outcome at the time of the request: rule is empty and action "pass" or
	// "permit" when nothing was refused, and action "observe" for an observed refusal.
	Decided(lane int, at time.Time, rule rules.Rule, action string, p rules.Protocol)
	// Took measures a whole decision.
	Took(lane int, p rules.Protocol, d time.Duration)
	// Looked counts a directory look-up: found, absent, failed.
	Looked(lane int, result string, d time.Duration)
	// Unrecorded counts a refusal or an event that the store did not take.
	Unrecorded()
}

// Options are the parts that a Gate joins.
type Options struct {
	Ledger  ledger.Ledger
	Journal Recorder
	IDs     *journal.IDs
	Host    string // this host's name, for the journal
	Log     *slog.Logger
	Meter   Meter
	// LogWaits tells whether a line of the log may have to wait for its reader; nil: it may.
	LogWaits func() bool
}

// Gate decides and remembers. Its methods may be called concurrently.
type Gate struct {
	Options
	state  atomic.Pointer[State]
	remote bool               // the ledger asks others for some of what it knows
	begin  singleflight.Group // of blocks, by prefix
	flush  sync.Mutex         // one Flush at a time, apart from mu: whoever is refused does not wait for it

	mu        sync.Mutex
	shared    *simplelru.LRU[shareKey, *share]
	sightings *simplelru.LRU[string, *sightings] // by id, of what is only observed
	hits      hits                               // refusals under ids that are recorded already
}

// New makes a gate; it decides nothing before its first Use.
func New(o Options) (*Gate, error) {
	shared, err := simplelru.NewLRU[shareKey, *share](shareAtMost, nil)
	if err != nil {
		return nil, fmt.Errorf("making the table of recent refusals: %w", err)
	}
	seen, err := simplelru.NewLRU[string, *sightings](shareAtMost, nil)
	if err != nil {
		return nil, fmt.Errorf("making the table of observed refusals: %w", err)
	}
	_, remote := o.Ledger.(interface{ Remote() })
	return &Gate{Options: o, remote: remote, shared: shared, sightings: seen, hits: newHits()}, nil
}

// Use puts a configuration in force: decisions that begin after it follow it.
func (g *Gate) Use(s State) {
	memory, ok := s.Directory.(interface{ InMemory() bool })
	s.instant = ok && memory.InMemory()
	g.state.Store(&s)
}

// State is the configuration in force.
func (g *Gate) State() State { return *g.state.Load() }

// Window is how failures are counted under the policy.
func Window(p *rules.Policy) ledger.Window {
	return ledger.Window{Limit: p.Throttle.Limit, Length: p.Throttle.Window, Once: p.Throttle.Once}
}

// Counting is how failures are counted under the policy, by client and by login.
func Counting(p *rules.Policy) ledger.Counting {
	return ledger.Counting{Client: Window(p), Login: ledger.Window{
		Limit: p.Guessing.Limit, Length: p.Guessing.Window, Once: p.Throttle.Once,
	}}
}

// start is what a stopwatch counts from. To ask for the time since then costs half
// of asking for the time.
var start = time.Now()

func stopwatch() time.Duration { return time.Since(start) }

// Decide answers one request. What it refuses, or would refuse, is recorded
// when it returns.
func (g *Gate) Decide(ctx context.Context, r *rules.Request) rules.Decision {
	began := stopwatch()
	s := g.state.Load()
	f := newFacts(ctx, g, s, r)
	d := s.Policy.Decide(r, f)
	if unsettled(&d) {
		g.settle(f, &d)
	}
	g.decided(f, &d, began)
	return d
}

// unsettled tells whether a decision has anything to be recorded.
func unsettled(d *rules.Decision) bool {
	return d.Action == rules.Refuse || len(d.Observed) > 0 || d.Slowed.Delay > 0 || len(d.Accepted) > 0
}

// decided counts a decision that is made, and lets its facts go.
func (g *Gate) decided(f *facts, d *rules.Decision, began time.Duration) {
	r, lane := f.r, f.lane
	g.Meter.Decided(lane, r.Time, d.Rule, d.Action.String(), r.Protocol)
	f.release()
	g.Meter.Took(lane, r.Protocol, stopwatch()-began)
}

// settle records what was found, and tells the client of it.
func (g *Gate) settle(f *facts, d *rules.Decision) {
	ctx, s, r := f.ctx, f.s, f.r
	for i := range d.Observed {
		id, reply := g.record(ctx, s, r, f, d.Observed[i])
		if d.ID == "" {
			d.ID, d.Reply = id, reply
		}
		g.Meter.Decided(f.lane, r.Time, d.Observed[i].Rule, "observe", r.Protocol)
	}
	if d.Action == rules.Refuse {
		d.ID, d.Reply = g.record(ctx, s, r, f, d.Finding)
	}
	if d.Slowed.Delay > 0 {
		id, _ := g.record(ctx, s, r, f, d.Slowed)
		if d.ID == "" {
			d.ID = id
		}
		g.Meter.Decided(f.lane, r.Time, d.Slowed.Rule, "delay", r.Protocol)
	}
	for _, rule := range d.Accepted {
		g.Log.Warn("directory unavailable, rule passed", "rule", rule, "protocol", r.Protocol, "client", addrText(r.Client), "login", r.Login, "sender", r.Sender)
	}
}

// Tell remembers an event. Memory knows it when Tell begins to wait for the
// store, so that a MAIL which follows at once is decided by it (FACTS.md 2.7).
func (g *Gate) Tell(ctx context.Context, e rules.Event) error {
	s := g.state.Load()
	var err error
	switch e.Kind {
	case rules.LoginFailed:
		err = g.loginFailed(ctx, s, e)
	case rules.LoginSucceeded:
		err = g.loginSucceeded(ctx, s, e)
	case rules.MessageAccepted, rules.MessageDropped:
		within, cancel := recordContext(ctx)
		defer cancel()
		err = g.Ledger.Finish(within, e.Transaction, e.Kind == rules.MessageAccepted, e.Time)
	}
	if err != nil {
		g.notStored(e.Protocol, e.Client, rules.ShownLogin(e.Login), err)
	}
	return err
}

// notStored raises the alarm for an event that only memory has.
func (g *Gate) notStored(p rules.Protocol, client netip.Addr, login string, err error) {
	g.Meter.Unrecorded()
	g.Log.Error("event not stored, remembered until the daemon stops", "protocol", p,
		"client", addrText(client), "login", login, "error", err)
}

func (g *Gate) loginFailed(ctx context.Context, s *State, e rules.Event) error {
	if e.Internal || !s.Policy.Witnesses(e.Protocol, e.Service) {
		return nil
	}
	return g.addFailure(ctx, s, e, true)
}

// addFailure counts a failed login against its address and its login, and begins
// the block when it was one too many. counted is false for a refusal at AUTH that only
// explains a MAIL without AUTH.
func (g *Gate) addFailure(ctx context.Context, s *State, e rules.Event, counted bool) error {
	prefix, ok := s.Policy.Throttle.Prefix(e.Client)
	if !ok || s.Policy.ManyPeople(e.Client) {
		prefix = netip.Prefix{} // its login's failure only
	}
	login, whole := s.Policy.Logins.Canonical(e.Login)
	c := Counting(s.Policy)
	if !prefix.IsValid() && (!whole || c.Login.Limit == 0) {
		return nil
	}
	f := rules.Failure{
		Time: e.Time, Client: e.Client, Login: login, Shown: rules.ShownLogin(e.Login),
		Protocol: e.Service, Password: e.Password, Counted: counted, ID: e.ID,
	}
	write, cancel := recordContext(ctx)
	defer cancel()
	tally, err := g.Ledger.AddFailure(write, prefix, f, c)
	cause := blockCause{prefix: prefix, client: e.Client, time: e.Time, protocol: e.Protocol, stage: rules.StageAuth}
	if tally.Client.Count > c.Client.Limit && tally.Client.Block == "" {
		g.block(ctx, s, cause)
	}
	if c.Login.Limit > 0 && tally.Login.Count > c.Login.Limit && tally.Login.Block == "" {
		g.guessed(ctx, s, login, cause)
	}
	return err
}

func (g *Gate) loginSucceeded(ctx context.Context, s *State, e rules.Event) error {
	login, whole := s.Policy.Logins.Canonical(e.Login)
	if !whole || !e.Client.IsValid() {
		return nil
	}
	write, cancel := recordContext(ctx)
	defer cancel()
	var errs []error
	if prefix, ok := s.Policy.Throttle.Prefix(e.Client); ok && s.Policy.Guessing.Limit > 0 {
		errs = append(errs, g.Ledger.AddLogin(write, login, prefix, e.Time))
	}
	if pop := s.Policy.POP; pop.Enabled && pop.For(e.Service) && !s.Policy.ManyPeople(e.Client) {
		errs = append(errs, g.Ledger.AddGrant(write, e.Client, rules.Grant{Login: login, Last: e.Time}))
	}
	return errors.Join(errs...)
}

// recordContext bounds a write. It outlives the asker's own context: a client
// that hangs up must not undo what it has done.
func recordContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
}
