package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/internal/tomlfile"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// Offline answers `portreeve test` without a daemon: the same engine on the
// configuration's files, with nobody's failures, POP logins and quotas. Nothing is
// written. The problems are those that would keep the daemon from starting.
func Offline(ctx context.Context, path string, now time.Time, r admin.TestRequest) (admin.Tested, []tomlfile.Problem, error) {
	c, state, problems := Load(path)
	if len(problems) > 0 {
		return admin.Tested{}, problems, nil
	}
	memory, err := ledger.NewVolatile(1)
	if err != nil {
		return admin.Tested{}, nil, err
	}
	g, err := gate.New(gate.Options{
		Ledger: memory, IDs: journal.NewIDs(""), Log: slog.New(slog.DiscardHandler), Meter: metrics.New(metrics.Sources{}),
	})
	if err != nil {
		return admin.Tested{}, nil, err
	}
	g.Use(state)
	t, err := test(ctx, g, asksAtAuth(c), now, r)
	t.Offline = true
	return t, nil, err
}

// Test implements admin.Backend: it plays one session against the engine, in
// the order in which Postfix would ask, and stops where the client would be
// refused. Nothing is counted or recorded.
func (b backend) Test(ctx context.Context, r admin.TestRequest) (admin.Tested, error) {
	return test(ctx, b.gate, asksAtAuth(b.config.Load()), b.Now(), r)
}

func test(ctx context.Context, g *gate.Gate, auth bool, now time.Time, r admin.TestRequest) (admin.Tested, error) {
	var client netip.Addr // "unknown", as Postfix has it
	if r.ClientIP != "unknown" {
		var err error
		if client, err = parseClient(r.ClientIP); err != nil {
			return admin.Tested{}, err
		}
	}
	return try(ctx, g, auth, rules.Request{
		Protocol: rules.ProtocolCommand, Time: now, Client: client, Port: r.Port,
		TLS: r.TLS, Login: r.Login, Sender: r.Sender, Recipients: r.Recipients, Message: r.Message,
	}), nil
}

// asksAtAuth tells whether somebody asks at AUTH.
func asksAtAuth(c *config.Config) bool {
	return c.Listen.Auth.Addr != "" || c.Listen.SASL.Addr != ""
}

// try plays the session of a request that has everything.
func try(ctx context.Context, g *gate.Gate, auth bool, whole rules.Request) admin.Tested {
	t := admin.Tested{
		Time: whole.Time.UTC(), Action: rules.Pass.String(), Client: clientText(whole.Client), Port: whole.Port,
		Login: whole.Login, Sender: whole.Sender, Recipients: append([]string{}, whole.Recipients...),
	}
	for _, r := range session(whole, auth, g.State().Policy.Throttle.Services) {
		d, facts, tried := g.Try(ctx, &r)
		t.Add(r, d, facts, tried)
		if d.Action == rules.Refuse {
			break
		}
	}
	return t
}

func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

// session is the stages of one message of a client that connects anew: with a
// login it is refused at AUTH already where somebody asks there.
func session(whole rules.Request, auth bool, services []string) []rules.Request {
	at := func(stage rules.Stage) rules.Request {
		r := whole
		r.Stage, r.Recipients, r.Message = stage, nil, nil
		return r
	}
	list := []rules.Request{at(rules.StageHelo)}
	if auth && whole.Login != "" && len(services) > 0 {
		r := at(rules.StageAuth)
		r.Service = services[0]
		list = append(list, r)
	}
	list = append(list, at(rules.StageMail))
	for _, recipient := range whole.Recipients {
		r := at(rules.StageRcpt)
		r.Recipient = recipient
		list = append(list, r)
	}
	if whole.Message != nil {
		r := at(rules.StageHeaders)
		r.Recipients, r.Message = whole.Recipients, whole.Message
		list = append(list, r)
	}
	return list
}
