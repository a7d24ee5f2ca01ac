package daemon

import (
	"sync/atomic"

	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/rules"
)

// directoryMeter counts where answers came from, once there are metrics.
type directoryMeter struct{ set atomic.Pointer[metrics.Set] }

// Answered implements directory.Meter.
func (m *directoryMeter) Answered(from string) {
	if s := m.set.Load(); s != nil {
		s.Answered(from)
	}
}

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
