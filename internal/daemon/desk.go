package daemon

import (
	"net/http"
	"time"

	"portreeve/internal/metrics"
	"portreeve/internal/web"
	"portreeve/rules"
)

// desk is the help-desk page. It asks what the verbs ask.
func (d *Daemon) desk() http.Handler {
	return web.NewDesk(web.DeskOptions{
		Backend: backend{d}, Token: func() string { return string(d.config.Load().Web.Token) },
		Reply: func() string { return d.config.Load().Replies[rules.RuleSender].Text },
		Hour:  d.hour, Host: d.host, Now: d.Now, Log: d.Log,
	})
}

// hourMeter counts each decision for the chart of the page, too.
type hourMeter struct {
	*metrics.Set
	hour *web.Hour
}

// Decided implements gate.Meter.
func (m hourMeter) Decided(lane int, at time.Time, rule rules.Rule, action string, p rules.Protocol) {
	m.Set.Decided(lane, at, rule, action, p)
	m.hour.Count(lane, at, rule, action)
}
