package replay

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"portreeve/internal/gate"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/maillog"
	"portreeve/rules"
)

const (
	// maxClients bounds the addresses whose failures, and the accounts whose usage,
	// are remembered at a time.
	maxClients = 200_000
	// pruneEvery is how often old failures are dropped, in the log's time.
	pruneEvery = 10 * time.Minute
)

// judge decides what the log tells as the daemon would have.
type judge struct {
	ctx      context.Context //nolint:containedctx // the joiner's callbacks take none
	gate     *gate.Gate
	memory   *watched
	journal  *noJournal
	dir      *honest
	policy   *rules.Policy
	services *services
	atAuth   bool // somebody asks at AUTH
	since    time.Time
	until    time.Time
	to       *builder

	messages uint64
	pruned   time.Time
	sessions sessions // POP3 and IMAP
}

// replayed is the policy as a replay reads it: everything is decided as if it were
// enforced, but for the rules that only observe by name. The log is the one
// witness of logins, whoever tells the daemon; rule 11 refuses nobody.
func replayed(p *rules.Policy) *rules.Policy {
	q := *p
	q.ObserveAll, q.SASLRelay, q.Guessing = false, false, rules.Guessing{}
	return &q
}

func newJudge(ctx context.Context, o *Options, s *services, to *builder) (*judge, error) {
	memory, err := ledger.NewVolatile(maxClients)
	if err != nil {
		return nil, err
	}
	open, err := newSessions()
	if err != nil {
		return nil, err
	}
	j := &judge{
		ctx: ctx, memory: &watched{Volatile: memory}, dir: &honest{Directory: o.State.Directory},
		policy: replayed(o.State.Policy), services: s, atAuth: o.AtAuth, since: o.Since, until: o.Until, to: to, sessions: open,
	}
	j.journal = &noJournal{counts: j.counts}
	j.gate, err = gate.New(gate.Options{
		Ledger: j.memory, Journal: j.journal, IDs: journal.NewIDs("replay"), Host: "replay",
		Log: slog.New(slog.DiscardHandler), Meter: noMeter{},
	})
	if err != nil {
		return nil, err
	}
	j.gate.Use(gate.State{Policy: j.policy, Directory: j.dir})
	return j, nil
}

// counts tells whether something of that time belongs into the report. What came
// before is judged all the same, since it may have blocked somebody.
func (j *judge) counts(t time.Time) bool {
	return !t.Before(j.since) && (j.until.IsZero() || t.Before(j.until))
}

// ask decides one stage. done is true when it refuses.
func (j *judge) ask(o *outcome, r rules.Request) (done bool, err error) {
	j.memory.said = remembered{}
	d := j.gate.Decide(j.ctx, &r)
	if j.dir.err != nil {
		return false, fmt.Errorf("asking the directory: %w: try again when it answers", j.dir.err)
	}
	one := outcome{observed: d.Observed, recipient: r.Recipient, said: j.memory.said}
	if d.Action == rules.Refuse {
		one.refused = &d.Finding
	}
	o.add(one)
	return o.refused != nil, nil
}

// askAll decides stages until one refuses.
func (j *judge) askAll(o *outcome, requests ...rules.Request) (done bool, err error) {
	for _, r := range requests {
		if done, err := j.ask(o, r); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// entry implements sink.
func (j *judge) entry(e maillog.Entry, program string) error {
	j.prune(e.Time)
	if e.Kind == maillog.AuthFailed {
		for range e.Times {
			if err := j.failed(e, program); err != nil {
				return err
			}
		}
		return nil
	}
	known := j.sessions.complete(&e)
	if !known || !e.Client.IsValid() {
		return nil
	}
	if e.Kind == maillog.LoggedIn && j.counts(e.Time) {
		j.to.logins.POP += e.Times
	}
	return j.gate.Tell(j.ctx, rules.Event{
		Kind: rules.LoginSucceeded, Protocol: rules.ProtocolMaillog, Time: e.Time,
		Client: e.Client, Service: e.Service, Login: e.Login, Session: e.Session,
	})
}

// failed judges one failed AUTH: whether the client would have been refused before
// its password was looked at. If not, it is counted.
func (j *judge) failed(e maillog.Entry, program string) error {
	r := rules.Request{
		Protocol: rules.ProtocolMaillog, Time: e.Time, Client: e.Client,
		Port: j.services.of(program, false).port, Login: e.Login, Service: e.Service,
	}
	var o outcome
	refused, err := j.askAll(&o, j.before(r, true)...)
	if err != nil {
		return err
	}
	if j.counts(e.Time) {
		j.to.login(r, &o)
	}
	if refused {
		return nil
	}
	return j.gate.Tell(j.ctx, rules.Event{
		Kind: rules.LoginFailed, Protocol: rules.ProtocolMaillog, Time: e.Time,
		Client: e.Client, Service: e.Service, Login: e.Login,
	})
}

// before is what is asked ahead of MAIL, as in the daemon's `test`: at HELO, and at
// AUTH if anybody is there.
func (j *judge) before(r rules.Request, login bool) (list []rules.Request) {
	if j.policy.Throttle.AtHelo {
		helo := r
		helo.Stage, helo.Login = rules.StageHelo, ""
		list = append(list, helo)
	}
	if j.atAuth && login {
		r.Stage = rules.StageAuth
		list = append(list, r)
	}
	return list
}

// message implements sink.
func (j *judge) message(m *message, at time.Time) error {
	j.prune(at)
	s := j.services.of(m.program, m.login != "")
	counts := j.counts(at)
	switch {
	case m.copied:
		if counts {
			j.to.messages.Copies++
		}
		return nil
	case !s.known:
		if counts {
			s.unjudged++
			j.to.messages.OtherServices++
		}
		return nil
	}
	r := rules.Request{
		Protocol: rules.ProtocolMaillog, Time: at, Client: m.client, Port: s.port, Login: m.login,
		Service: j.serviceOf(s.port), Sender: m.sender, QueueID: m.id,
	}
	o, err := j.decide(m, r)
	if err == nil && counts {
		s.judged++
		j.to.message(m, r, o)
	}
	return err
}

// serviceOf is Dovecot's name of the service, as contrib/postfix sets it.
func (j *judge) serviceOf(port uint16) string {
	if j.policy.IsMixed(port) {
		return "smtp"
	}
	return "submission"
}

// decide asks about a message, stage by stage.
func (j *judge) decide(m *message, r rules.Request) (*outcome, error) {
	o := &outcome{}
	begin := r
	begin.Sender = "" // not said yet
	var list []rules.Request
	if m.first || m.newLogin {
		list = j.before(begin, m.newLogin)
	}
	r.Stage = rules.StageMail
	refused, err := j.askAll(o, append(list, r)...)
	if refused || err != nil {
		return o, err
	}
	return o, j.recipients(o, m, r)
}

// recipients asks about each recipient. Mail to this server from nobody who logged
// in goes to other servers as well where Postfix itself has sent a copy there
// (always_bcc): that is no relaying.
func (j *judge) recipients(o *outcome, m *message, r rules.Request) error {
	j.messages++
	r.Stage, r.Transaction = rules.StageRcpt, strconv.FormatUint(j.messages, 36)
	whole, taken := outcome{}, false
	known := m.recipients
	if len(known) == 0 {
		known = []string{""} // there was one, whoever it is
	}
	for n := range len(known) + m.more {
		r.Recipient = known[min(n, len(known)-1)]
		one := outcome{}
		refused, err := j.ask(&one, r)
		if err != nil {
			return err
		}
		taken = taken || !refused && len(one.observed) == 0
		if whole.refused == nil && (refused || len(whole.observed) == 0) {
			whole = one
		}
	}
	if m.login != "" || !j.policy.IsMixed(r.Port) || !taken {
		o.add(whole)
	}
	return j.gate.Tell(j.ctx, rules.Event{
		Kind: rules.MessageAccepted, Protocol: rules.ProtocolMaillog, Time: r.Time, Client: r.Client, Login: r.Login, Transaction: r.Transaction,
	})
}

// prune drops what is too old.
func (j *judge) prune(now time.Time) {
	if now.Sub(j.pruned).Abs() < pruneEvery {
		return
	}
	j.pruned = now
	j.gate.Flush()
	// Memory alone: nothing can fail.
	_ = j.memory.Prune(j.ctx, now, gate.Counting(j.policy), j.policy.POP.Validity)
}
