package gate

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"portreeve/rules"
)

// blockCause is what a block begins with.
type blockCause struct {
	prefix   netip.Prefix
	client   netip.Addr
	time     time.Time
	protocol rules.Protocol
	stage    rules.Stage
	port     uint16
}

// block gives the prefix's block its one id. The entry is written before the
// ledger shows the id to anybody, and by one caller only, so every client of
// the block is told the same.
func (g *Gate) block(ctx context.Context, s *State, c blockCause) string {
	id, _, _ := g.begin.Do(c.prefix.String(), func() (any, error) {
		w := Window(s.Policy)
		tally := g.Ledger.Tally(c.prefix, c.time, w)
		if tally.Block != "" {
			return tally.Block, nil
		}
		id := g.IDs.Next(c.time).String()
		g.writeBlock(ctx, s, c, id, tally)
		within, cancel := recordContext(ctx)
		defer cancel()
		inForce, err := g.Ledger.BeginBlock(within, c.prefix, id, c.time, w)
		if err != nil {
			g.Meter.Unrecorded()
			g.Log.Error("block not stored, in force until the daemon stops", "id", id, "client", addrText(c.client), "error", err)
		}
		return inForce, nil
	})
	return id.(string)
}

func (g *Gate) writeBlock(ctx context.Context, s *State, c blockCause, id string, tally rules.Tally) {
	r := &rules.Request{Stage: c.stage, Protocol: c.protocol, Time: c.time, Client: c.client, Port: c.port}
	finding := rules.Finding{Rule: rules.RuleThrottled, Reason: rules.ReasonBlocked, Observed: s.Policy.Observes(rules.RuleThrottled)}
	known := Facts{Prefix: PrefixText(c.prefix)}
	tally.Since = c.time
	known.tally(tally, s.Policy)
	known.Failures = FailureFacts(g.Ledger.Failures(c.prefix, netip.Addr{}, c.time.Add(-s.Policy.Throttle.Window)))
	e := g.entry(s, r, finding, id, known)
	e.Count = 0 // the failures that led to it were not refused
	if len(known.Failures) > 0 {
		e.Login = known.Failures[0].Login
	}
	g.write(ctx, e)
	g.Log.Warn("client blocked", "id", id, "client", addrText(c.client), "prefix", c.prefix.String(),
		"failures", tally.Count, "until", tally.Until.UTC(), "login", e.Login, "observed", finding.Observed)
}

// logFinding is the one log line of a refusal.
func (g *Gate) logFinding(r *rules.Request, known *facts, f rules.Finding, id string) {
	if !g.Log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	msg := "refused"
	switch {
	case f.Delay > 0 && f.Observed:
		msg = "would delay"
	case f.Delay > 0:
		msg = "delayed"
	case f.Observed:
		msg = "would refuse"
	}
	login := entryLogin(r, Facts{As: known.shown(f.Login)})
	g.Log.LogAttrs(context.Background(), slog.LevelInfo, msg,
		slog.String("id", id), slog.String("rule", string(f.Rule)), slog.String("reason", string(f.Reason)),
		slog.String("protocol", string(r.Protocol)), slog.String("stage", r.Stage.String()),
		slog.String("client", addrText(r.Client)), slog.Int("port", int(r.Port)), slog.String("login", login),
		slog.String("sender", r.Sender), slog.String("recipient", r.Recipient))
}
