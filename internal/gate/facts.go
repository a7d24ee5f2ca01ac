package gate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/ledger"
	"portreeve/rules"
)

// facts fetches what the rules ask about one request, each thing once, and
// keeps it for the journal. It implements rules.Facts.
type facts struct {
	answered
	lane int // of those who decide at a time, to count in

	accounts  []answer[*rules.Account]
	domains   []answer[[]string]
	addresses []answer[[]string]
	senders   []answer[[]string]
	local     []answer[struct{}]
}

// answered is the part of the facts that has no memory to use again.
type answered struct {
	ctx context.Context
	g   *Gate
	s   *State
	r   *rules.Request

	dry    bool // only looking
	prompt bool // nothing may be waited for,
	waits  bool // and something was asked that must be: this answer and all after it mean nothing
	limits rules.Limits
	room   rules.Room

	waited time.Duration // for the directory

	tally    *rules.Tally
	tallied  rules.Tally
	guesses  *rules.Tally // of the request's login
	guessed  rules.Tally
	seen     bool // the client has logged in with it
	failures asked[[]rules.Failure]
	grants   asked[[]rules.Grant]
	lapsed   []rules.Grant // for the help desk
}

type asked[T any] struct {
	done  bool
	value T
}

const (
	// patience is how long one decision waits for the directory in all. A look-up has
	// 2 s (SPEC.md section 7), but a decision may need four, and with on_failure =
	// "accept" the next is made though one has failed.
	patience = 2 * time.Second
	// haste is what each further look-up has all the same: memory and a source that
	// is well answer within it.
	haste = 100 * time.Millisecond
)

// answer is one look-up in the directory.
type answer[T any] struct {
	key   string
	value T
	state rules.State
}

var (
	pool  = sync.Pool{New: func() any { return &facts{lane: int(lanes.Add(1))} }}
	lanes atomic.Uint32 // so many facts were made
)

func newFacts(ctx context.Context, g *Gate, s *State, r *rules.Request) *facts {
	f := pool.Get().(*facts)
	f.ctx, f.g, f.s, f.r = ctx, g, s, r
	return f
}

// release gives the value back for another request, with nothing of this one.
func (f *facts) release() {
	forget(&f.accounts)
	forget(&f.domains)
	forget(&f.addresses)
	forget(&f.senders)
	forget(&f.local)
	f.answered = answered{}
	pool.Put(f)
}

func forget[T any](list *[]answer[T]) {
	clear(*list)
	*list = (*list)[:0]
}

// Tally implements rules.Facts.
func (f *facts) Tally() rules.Tally {
	if f.mustWait(false) {
		return rules.Tally{}
	}
	if f.tally == nil {
		if prefix, ok := f.s.Policy.Throttle.Prefix(f.r.Client); ok {
			f.tallied = f.g.Ledger.Tally(prefix, f.r.Time, Window(f.s.Policy))
		}
		f.tally = &f.tallied
	}
	return f.tallied
}

// Guesses implements rules.Facts.
func (f *facts) Guesses(login string) rules.Tally {
	if f.mustWait(false) {
		return rules.Tally{}
	}
	if f.guesses == nil {
		f.guessed = f.g.Ledger.LoginTally(login, f.r.Time, Counting(f.s.Policy).Login)
		f.guesses = &f.guessed
	}
	return f.guessed
}

// HasLoggedIn implements rules.Facts.
func (f *facts) HasLoggedIn(login string) bool {
	if f.mustWait(f.g.remote) {
		return false
	}
	if prefix, ok := f.s.Policy.Throttle.Prefix(f.r.Client); ok {
		f.seen = f.g.Ledger.HasLoggedIn(login, prefix, f.r.Time)
	}
	return f.seen
}

// Failures implements rules.Facts.
func (f *facts) Failures() []rules.Failure {
	if f.mustWait(f.g.remote) {
		return nil
	}
	if !f.failures.done {
		f.failures.done = true
		if prefix, ok := f.s.Policy.Throttle.Prefix(f.r.Client); ok && !f.s.Policy.ManyPeople(f.r.Client) {
			f.failures.value = f.g.Ledger.Failures(prefix, f.r.Client, f.r.Time.Add(-rules.HintWindow))
		}
	}
	return f.failures.value
}

// Grants implements rules.Facts.
func (f *facts) Grants() []rules.Grant {
	if f.mustWait(f.g.remote) {
		return nil
	}
	if !f.grants.done {
		f.grants.done = true
		if f.r.Client.IsValid() {
			f.grants.value = f.g.Ledger.Grants(f.r.Client, f.r.Time, f.s.Policy.POP.Validity)
		}
	}
	return f.grants.value
}

// Room implements rules.Facts. A question that must change nothing (Try) is only
// looked at.
func (f *facts) Room(login string, l rules.Limits, always bool) rules.Room {
	if f.mustWait(f.g.remote || f.r.Stage == rules.StageRcpt || f.r.Stage == rules.StageEnd) { // or may change something
		return rules.Room{}
	}
	now := f.r.Time
	f.limits = l
	switch {
	case f.dry:
		f.room = f.g.Ledger.Look(login, l, now)
	case f.r.Stage == rules.StageRcpt && f.r.Transaction != "":
		f.room = f.g.Ledger.Reserve(login, f.r.Transaction, l, now, always)
	case f.r.Stage == rules.StageEnd:
		f.room = f.charge(login, l, always)
	default:
		f.room = f.g.Ledger.Look(login, l, now)
	}
	return f.room
}

// mustWait tells whether there is no answer because one has to be waited for, where that
// is not allowed. Nothing is asked from then on: what is known stays what the decision
// asks for, when it is made again by somebody who may wait.
func (f *facts) mustWait(takesTime bool) bool {
	f.waits = f.waits || f.prompt && takesTime
	return f.waits
}

func (f *facts) charge(login string, l rules.Limits, always bool) rules.Room {
	within, cancel := recordContext(f.ctx)
	defer cancel()
	room, err := f.g.Ledger.Charge(within, ledger.Charge{
		Login: login, Instance: f.r.Instance, Recipients: max(1, f.r.Count), Always: always,
	}, l, f.r.Time)
	if err != nil {
		f.g.notStored(f.r.Protocol, f.r.Client, login, err)
	}
	return room
}

// Account implements rules.Facts.
func (f *facts) Account(login string) (*rules.Account, rules.State) {
	return look(f, &f.accounts, login, f.s.Directory.Account)
}

// Domains implements rules.Facts.
func (f *facts) Domains(domain string) ([]string, rules.State) {
	return look(f, &f.domains, domain, f.s.Directory.Domains)
}

// Addresses implements rules.Facts.
func (f *facts) Addresses(login string) ([]string, rules.State) {
	return look(f, &f.addresses, login, func(ctx context.Context, login string) ([]string, bool, error) {
		list, err := f.s.Directory.Addresses(ctx, login)
		return list, true, err
	})
}

// Senders implements rules.Facts.
func (f *facts) Senders(login string) ([]string, rules.State) {
	return look(f, &f.senders, login, func(ctx context.Context, login string) ([]string, bool, error) {
		list, err := f.s.Directory.Senders(ctx, login)
		return list, true, err
	})
}

// Local implements rules.Facts.
func (f *facts) Local(domain string) rules.State {
	_, state := look(f, &f.local, domain, func(ctx context.Context, domain string) (struct{}, bool, error) {
		ours, err := f.s.Directory.Local(ctx, domain)
		return struct{}{}, ours, err
	})
	return state
}

// look asks the directory once for each key.
func look[T any](f *facts, known *[]answer[T], key string, ask func(context.Context, string) (T, bool, error)) (T, rules.State) {
	for i := range *known {
		if a := &(*known)[i]; a.key == key {
			return a.value, a.state
		}
	}
	if f.mustWait(!f.s.instant) {
		var none T
		return none, rules.Absent
	}
	ctx := f.ctx
	if f.waited > haste {
		within, cancel := context.WithTimeout(ctx, max(patience-f.waited, haste))
		defer cancel()
		ctx = within
	}
	var began, took time.Duration
	if !f.s.instant { // to look at the clock twice costs as much as the look-up
		began = stopwatch()
	}
	value, found, err := ask(ctx, key)
	if !f.s.instant {
		took = stopwatch() - began
	}
	f.waited += took
	state, result := rules.Absent, "absent"
	switch {
	case err != nil:
		state, result = rules.Failed, "failed"
		f.g.Log.Error("directory look-up failed", "protocol", f.r.Protocol, "client", addrText(f.r.Client), "error", err)
	case found:
		state, result = rules.Known, "found"
	}
	f.g.Meter.Looked(f.lane, result, took)
	*known = append(*known, answer[T]{key: key, value: value, state: state})
	return value, state
}
