package daemon

import (
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/rules"
)

// authMeter counts what the auth policy reports, but not the SMTP logins that
// the SASL relay counts itself.
type authMeter struct {
	*metrics.Set
	gate *gate.Gate
}

// AuthReport implements authpolicy.Meter.
func (m authMeter) AuthReport(service, result string) {
	if p := m.gate.State().Policy; p.Throttle.Counts(service) && !p.Witnesses(rules.ProtocolAuthPolicy, service) {
		return
	}
	m.Set.AuthReport(service, result)
}
