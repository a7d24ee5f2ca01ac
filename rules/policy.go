package rules

import (
	"net/netip"
	"slices"
	"time"
)

// Policy is the configuration as the rules read it. It is immutable: a reload
// makes a new one, and each decision uses the one of its moment.
type Policy struct {
	ObserveAll bool          // mode = "observe"
	Observe    map[Rule]bool // observe = [...]
	Submission []uint16      // ports
	Mixed      []uint16
	Trusted    []netip.Prefix
	Webmail    []netip.Prefix
	Shared     []netip.Prefix
	Logins     Logins
	Throttle   Throttle
	Guessing   Guessing
	Hints      bool // auth_policy.hints
	SASLRelay  bool // listen.sasl is set: SMTP logins are the relay's alone
	Sender     SenderPolicy
	POP        POPPolicy
	Relay      RelayPolicy
	Quota      Limits // of an account that has none of its own
	OnFailure  OnFailure
	Replies    Replies
}

// Throttle is [auth_failures].
type Throttle struct {
	Limit      int
	Window     time.Duration
	IPv4Prefix int
	IPv6Prefix int
	Once       bool     // same_password = "once"
	Services   []string // whose failures count, and whose logins are refused
	AtHelo     bool     // refuse_at = "helo": at HELO already; MAIL is checked in any case
}

// Guessing is [login_failures] (rule 11); a limit of 0 turns it off.
type Guessing struct {
	Limit  int
	Window time.Duration
	Delay  time.Duration // whole seconds, 5 at most
}

// SenderPolicy is [sender].
type SenderPolicy struct {
	ByAddress  bool // match = "address"
	Null       NullSender
	HeaderFrom HeaderFrom
}

// HeaderFrom is sender.header_from (rule 6).
type HeaderFrom uint8

// What is done about the header's From and Sender.
const (
	HeaderOff HeaderFrom = iota
	HeaderObserve
	HeaderEnforce
)

// NullSender is sender.null_sender.
type NullSender uint8

// What may be done with MAIL FROM:<>.
const (
	// NullHeader lets it pass when its header From obeys rule 5 (rule 6).
	NullHeader NullSender = iota
	NullAllow
	NullRefuse
)

// POPPolicy is [smtp_after_pop].
type POPPolicy struct {
	Enabled     bool
	Validity    time.Duration
	Services    []string
	MaxAccounts int
}

// For tells whether a login at this service grants (rule 8).
func (p POPPolicy) For(service string) bool { return slices.Contains(p.Services, service) }

// RelayPolicy is [relay].
type RelayPolicy struct {
	RefuseForwarded bool
	LocalDomains    map[string]bool // A-labels
}

// OnFailure is directory.on_failure.
type OnFailure uint8

// What happens while the directory cannot answer.
const (
	FailDefer OnFailure = iota
	FailAccept
)

// Observes tells whether a refusal by this rule is only recorded.
func (p *Policy) Observes(r Rule) bool { return p.ObserveAll || p.Observe[r] }

// IsMixed tells whether the port takes mail for this server's own domains from
// anyone. A port in neither list counts as submission: the stricter reading.
func (p *Policy) IsMixed(port uint16) bool {
	return slices.Contains(p.Mixed, port) && !slices.Contains(p.Submission, port)
}

// IsTrusted, IsWebmail and IsShared look the address up in [networks]. An
// unknown address is in none of them.
func (p *Policy) IsTrusted(a netip.Addr) bool { return contains(p.Trusted, a) }

// IsWebmail tells whether the address is a webmail server's.
func (p *Policy) IsWebmail(a netip.Addr) bool { return contains(p.Webmail, a) }

// IsShared tells whether the address is known to stand for many people.
func (p *Policy) IsShared(a netip.Addr) bool { return contains(p.Shared, a) }

// ManyPeople tells whether the address stands for many people, so that nothing
// is held against it and nothing is granted to it (rules 2 and 8).
func (p *Policy) ManyPeople(a netip.Addr) bool {
	return p.IsTrusted(a) || p.IsWebmail(a) || p.IsShared(a)
}

// Counts tells whether a failed login at this service counts (rule 2).
func (t Throttle) Counts(service string) bool { return slices.Contains(t.Services, service) }

// Witnesses tells whether a front may count and refuse logins at this service.
// With the SASL relay, SMTP logins are the relay's alone (rule 12): Dovecot's
// auth policy and the mail log see the same ones, and would count them twice.
// What never comes through Postfix is theirs all the same.
func (p *Policy) Witnesses(front Protocol, service string) bool {
	second := front == ProtocolAuthPolicy || front == ProtocolMaillog
	return p.Throttle.Counts(service) && !(p.SASLRelay && second && !ofMailbox(service))
}

// ofMailbox tells whether the service is one of Dovecot's own. Every other name
// may be a Postfix's smtpd_sasl_service.
func ofMailbox(service string) bool {
	switch service {
	case "pop3", "imap", "sieve", "managesieve", "imap-urlauth":
		return true
	}
	return false
}

// Prefix is what failures of the address are counted against. ok is false for
// the unknown address.
func (t Throttle) Prefix(a netip.Addr) (prefix netip.Prefix, ok bool) {
	if !a.IsValid() {
		return netip.Prefix{}, false
	}
	bits := t.IPv6Prefix
	if a.Is4() {
		bits = t.IPv4Prefix
	}
	prefix, err := a.WithZone("").Prefix(bits)
	return prefix, err == nil
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range prefixes {
		if p.Contains(a.WithZone("")) {
			return true
		}
	}
	return false
}
