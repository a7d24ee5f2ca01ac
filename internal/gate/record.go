package gate

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// shareKey is what makes two refusals equal.
type shareKey struct {
	client        netip.Addr
	login, sender string
	shown         string // what {sender} shows: without an id in the reply, the help desk has nothing else
	rule          rules.Rule
	observed      bool
}

// share is a refusal that others may join. done is closed once it is recorded,
// for nobody may be told an id that the journal does not know.
type share struct {
	id   string
	time time.Time
	done chan struct{}
}

// record writes one finding down, real or observed, and returns its id and what
// the client is told.
func (g *Gate) record(ctx context.Context, s *State, r *rules.Request, f *facts, finding rules.Finding) (string, rules.Reply) {
	var one recorded
	switch finding.Rule {
	case rules.RuleThrottled:
		one = g.recordThrottled(ctx, s, r, f.Tally(), finding.Observed)
	case rules.RuleLoginFailures:
		one = g.recordGuessed(ctx, s, r, finding, f.Guesses(finding.Login))
	default:
		one = g.recordFinding(ctx, s, r, f, finding)
	}
	if one.times <= loggedPerFlush {
		g.logFinding(r, f, finding, one.id)
	}
	return one.id, render(s, r, finding, one.id)
}

// recorded is the entry that a refusal belongs to.
type recorded struct {
	id    string
	times int // since the last Flush, if it is one of several
}

func render(s *State, r *rules.Request, f rules.Finding, id string) rules.Reply {
	return s.Policy.Replies.Render(f.Rule, id, shownSender(r, f), r.Client)
}

// shownSender is the address that {sender} shows: for the sender rule the one
// that it refused.
func shownSender(r *rules.Request, f rules.Finding) string {
	if f.Rule == rules.RuleSender {
		return f.Text
	}
	return r.Sender
}

// recordThrottled uses the block's one id. The refused attempt is only counted.
func (g *Gate) recordThrottled(ctx context.Context, s *State, r *rules.Request, t rules.Tally, observed bool) recorded {
	id := t.Block
	if id == "" { // the limit was lowered since, or the daemon was killed between failure and block
		prefix, _ := s.Policy.Throttle.Prefix(r.Client)
		id = g.block(ctx, s, blockCause{prefix: prefix, client: r.Client, time: r.Time, protocol: r.Protocol, stage: r.Stage, port: r.Port})
	}
	return recorded{id, g.again(id, r, observed)}
}

// recordFinding shares the id of an equal refusal of the last minute, or writes
// a new entry. A hint at AUTH is a failed login as well.
func (g *Gate) recordFinding(ctx context.Context, s *State, r *rules.Request, f *facts, finding rules.Finding) recorded {
	if r.Stage == rules.StageAuth && !finding.Observed {
		g.rememberHint(ctx, s, r, finding)
	}
	key := shareKey{
		client: r.Client, login: r.Login, sender: r.Sender, shown: shownSender(r, finding),
		rule: finding.Rule, observed: finding.Observed,
	}
	mine, first := g.join(key, r.Time)
	if !first {
		<-mine.done
		return recorded{mine.id, g.again(mine.id, r, finding.Observed)}
	}
	defer close(mine.done)
	if finding.Observed {
		g.mu.Lock()
		g.sighted(mine.id, r) // the entry counts it
		g.mu.Unlock()
	}
	if slices.Contains([]rules.Rule{rules.RuleAuthFailed, rules.RuleAuthRejected, rules.RuleAccessDisabled}, finding.Rule) {
		f.Failures() // for the help desk: what was tried before
		f.lapse()
	}
	g.write(ctx, g.entry(s, r, finding, mine.id, f.record(finding)))
	return recorded{id: mine.id}
}

// rememberHint remembers a login that was refused before its password was
// checked: Dovecot's report of it (policy_reject) is not told to the gate.
func (g *Gate) rememberHint(ctx context.Context, s *State, r *rules.Request, finding rules.Finding) {
	e := rules.Event{Kind: rules.LoginFailed, Protocol: r.Protocol, Time: r.Time, Client: r.Client, Service: r.Service, Login: r.Login}
	if err := g.addFailure(ctx, s, e, finding.Counts); err != nil {
		g.Meter.Unrecorded()
		g.Log.Error("failed login not stored, remembered until the daemon stops", "client", addrText(r.Client), "error", err)
	}
}

// join finds an equal refusal of the last minute, or enters a new one.
func (g *Gate) join(key shareKey, now time.Time) (*share, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, ok := g.shared.Get(key); ok && now.Sub(old.time).Abs() < shareFor {
		return old, false
	}
	made := &share{id: g.IDs.Next(now).String(), time: now, done: make(chan struct{})}
	g.shared.Add(key, made)
	return made, true
}

func (g *Gate) entry(s *State, r *rules.Request, finding rules.Finding, id string, known Facts) journal.Entry {
	e := journal.Entry{
		ID: id, Time: r.Time.UTC(), Last: r.Time.UTC(), Count: 1, Host: g.Host,
		Rule: string(finding.Rule), Reason: string(finding.Reason), Observed: finding.Observed,
		Protocol: string(r.Protocol), Stage: r.Stage.String(),
		Reply:  render(s, r, finding, id).String(),
		Client: addrText(r.Client), Port: r.Port, TLS: r.TLS, Helo: r.Helo,
		Login: entryLogin(r, known), Sender: r.Sender, Recipients: r.Recipients, QueueID: r.QueueID,
	}
	if r.Recipient != "" && len(e.Recipients) == 0 {
		e.Recipients = []string{r.Recipient}
	}
	e.Facts = marshal(known)
	return e
}

// entryLogin is the login of an entry: what SASL accepted, or whom it was
// decided for. One that failed is kept as ShownLogin allows.
func entryLogin(r *rules.Request, known Facts) string {
	switch {
	case r.Stage.AtAuth():
		return rules.ShownLogin(r.Login)
	case r.Login != "":
		return r.Login
	default:
		return known.As
	}
}

func marshal(k Facts) json.RawMessage {
	body, err := json.Marshal(k)
	if err != nil { // only a programming error could: Facts is plain data
		return json.RawMessage("null")
	}
	return body
}

// write records an entry. Where the store does not take it in time, the refusal
// is given all the same, and the log has the whole entry under its id.
func (g *Gate) write(ctx context.Context, e journal.Entry) {
	within, cancel := recordContext(ctx)
	defer cancel()
	if err := g.Journal.Write(within, e); err != nil {
		g.Meter.Unrecorded()
		body, _ := json.Marshal(e)
		g.Log.Error("refusal not stored, its entry follows", "id", e.ID, "entry", string(body), "error", err)
	}
}
