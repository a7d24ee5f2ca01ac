package rules

import "time"

// Rule is the key of a reply; it also names the rule in the journal, the
// metrics and the configuration (SPEC.md section 2).
type Rule string

// The rules that refuse.
const (
	RuleAuthFailed     Rule = "auth_failed"
	RuleAuthRejected   Rule = "auth_rejected"
	RuleAccessDisabled Rule = "access_disabled"
	RuleSender         Rule = "sender"
	RuleThrottled      Rule = "throttled"
	RuleRelay          Rule = "relay"
	RuleQuota          Rule = "quota"
	RuleDefer          Rule = "defer"
)

// RuleLoginFailures is rule 11. It delays and never refuses, so it has no reply;
// its name is that of its table in the configuration.
const RuleLoginFailures Rule = "login_failures"

// Rules lists every rule in the order of SPEC.md section 2.
var Rules = []Rule{
	RuleAuthFailed, RuleAuthRejected, RuleAccessDisabled, RuleSender,
	RuleThrottled, RuleRelay, RuleQuota, RuleDefer,
}

// Reason says why a rule refused. Reply, log, journal and explanation all
// start from it.
type Reason string

// The reasons, by rule.
const (
	// auth_failed, auth_rejected, access_disabled: no AUTH where it is needed.
	ReasonNoAuth             Reason = "no-auth"
	ReasonNoAuthUnknownLogin Reason = "no-auth-unknown-login"
	ReasonNoAuthNotAddress   Reason = "no-auth-login-not-whole-address"
	ReasonNoAuthDisabled     Reason = "no-auth-login-disabled"
	ReasonRelayNoAuth        Reason = "relaying-without-auth"
	// auth_rejected, access_disabled: a login that SASL accepts, or is asked about.
	ReasonLoginUnknown    Reason = "login-unknown"
	ReasonLoginNotAddress Reason = "login-not-whole-address"
	ReasonLoginDisabled   Reason = "login-disabled"
	// auth_failed: the password check itself (SASL relay).
	ReasonLoginFailed Reason = "login-failed"
	// sender
	ReasonSenderDomain     Reason = "sender-domain-not-of-account"
	ReasonSenderAddress    Reason = "sender-address-not-of-account"
	ReasonSenderNotPlain   Reason = "sender-not-plain-address"
	ReasonSenderNull       Reason = "sender-null"
	ReasonSenderNotWebmail Reason = "sender-external-outside-webmail"
	// sender, for the header (rule 6)
	ReasonHeaderMissing    Reason = "header-from-missing"
	ReasonHeaderSeveral    Reason = "header-from-more-than-one"
	ReasonHeaderUnreadable Reason = "header-from-not-readable"
	ReasonHeaderDomain     Reason = "header-from-not-of-account"
	// throttled
	ReasonBlocked Reason = "too-many-failures"
	// login_failures
	ReasonGuessed Reason = "login-guessed-from-many-addresses"
	// relay
	ReasonForwarded Reason = "passed-on-by-mail-server"
	// quota
	ReasonQuota Reason = "sending-limit-reached"
	// defer
	ReasonDirectory Reason = "directory-unavailable"
)

// Action is what the front tells its peer.
type Action uint8

const (
	// Pass lets the client go on; Postfix's own rules still apply.
	Pass Action = iota
	// Permit is Pass with the right to relay (rule 8, StageRelay only).
	Permit
	// Refuse gives the reply.
	Refuse
)

// String is the metric label and log value of an action.
func (a Action) String() string {
	switch a {
	case Permit:
		return "permit"
	case Refuse:
		return "refuse"
	default:
		return "pass"
	}
}

// Finding is one rule's refusal.
type Finding struct {
	Rule     Rule
	Reason   Reason
	Login    string // the account that it was decided for, canonical; a grant's too
	Observed bool   // made, counted and recorded, but not enforced (rule 10)
	Counts   bool   // the refusal is itself a failed login (StageAuth)
	Text     string // what the rule looked at: the offending address, the Received field
	// Delay makes it no refusal: the attempt may go on after that time (rule 11).
	Delay time.Duration
}

// Decision is the engine's answer. ID and Reply are filled in by the gate when
// there is something to refuse or to observe.
type Decision struct {
	Action   Action
	Finding            // when Action is Refuse
	Observed []Finding // what would have been refused, in order
	Slowed   Finding   // rule 11, if it has a Delay: what must pass before the password is checked
	Accepted []Rule    // rules that a failed directory let pass (directory.on_failure = "accept")
	As       string    // the account that the client is treated as, canonical; empty: nobody
	ByGrant  bool      // As comes from a POP grant, not from SASL
	ID       string    // the journal entry
	Reply    Reply     // what the client is told
}
