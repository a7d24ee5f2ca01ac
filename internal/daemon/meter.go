package daemon

import (
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
)

// authMeter counts what the auth policy reports, but not the SMTP logins that
// the SASL relay counts itself.
type authMeter struct {
	*metrics.Set
	gate *gate.Gate
}

// AuthReport implements authpolicy.Meter.
func (m authMeter) AuthReport(service, result string) {
	if p := m.gate.State().Policy; p.SASLRelay && p.Throttle.Counts(service) {
		return
	}
	m.Set.AuthReport(service, result)
}
