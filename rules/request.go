package rules

import (
	"net/netip"
	"time"
)

// Stage is the moment of an SMTP session at which a front asks.
type Stage uint8

const (
	// StageAuth is before a password is checked, and again after a check that
	// succeeded (Dovecot's auth policy, the SASL relay).
	StageAuth Stage = iota
	// StageAuthBegin is AUTH before the client has said its login (SASL relay).
	StageAuthBegin
	// StageAuthFailed is after a password check that failed (SASL relay): what
	// the client is told of it.
	StageAuthFailed
	// StageHelo is HELO or EHLO, seen by the milter only.
	StageHelo
	// StageMail is MAIL FROM.
	StageMail
	// StageRcpt is RCPT TO, after StageMail passed for the same sender.
	StageRcpt
	// StageEnvelope is StageMail and StageRcpt in one: Postfix asks a policy
	// service at RCPT, when it knows both (smtpd_delay_reject).
	StageEnvelope
	// StageRelay is a policy request with policy_context=relay, from
	// smtpd_relay_restrictions (FACTS.md 1.8).
	StageRelay
	// StageHeaders is the end of the message headers.
	StageHeaders
	// StageEnd is the end of the message, as the policy service sees it
	// (smtpd_end_of_data_restrictions).
	StageEnd

	stageCount
)

var stageNames = [stageCount]string{"auth", "auth", "auth", "helo", "mail", "rcpt", "envelope", "relay", "headers", "end"}

// String names the stage as logs and the journal show it.
func (s Stage) String() string {
	if s < stageCount {
		return stageNames[s]
	}
	return "unknown"
}

// AtAuth tells whether the login is only claimed yet: nobody has said that it is
// the client's.
func (s Stage) AtAuth() bool { return s <= StageAuthFailed }

// Protocol names the front that asked; it is a metric label and a log value.
type Protocol string

// The protocols that ask or tell.
const (
	ProtocolPolicy     Protocol = "policy"
	ProtocolMilter     Protocol = "milter"
	ProtocolAuthPolicy Protocol = "auth_policy"
	ProtocolSASL       Protocol = "sasl"
	ProtocolMaillog    Protocol = "maillog"
	ProtocolCommand    Protocol = "command" // portreeve test
)

// Request is one question, as a front translated it. The zero value of a field
// means that the front was not told.
type Request struct {
	Stage    Stage
	Protocol Protocol
	Time     time.Time

	Client netip.Addr // unmapped; the zero Addr is "unknown" (XCLIENT ADDR=[UNAVAILABLE])
	Port   uint16     // server port; 0 counts as a submission port
	TLS    bool
	Helo   string
	Login  string // SASL login as Postfix or Dovecot gave it; empty: not authenticated

	// Service is Dovecot's name of the service that a login is for (smtp,
	// submission, pop3, imap), at AUTH.
	Service string
	// Disabled is set at StageAuthFailed when Dovecot itself refused the login
	// as disabled.
	Disabled bool

	Sender     string   // MAIL FROM as the client wrote it, without the outer <>
	Recipient  string   // the recipient of this RCPT
	Recipients []string // those accepted so far, at StageHeaders
	Count      int      // of the recipients, at StageEnd
	QueueID    string
	Instance   string // Postfix's transaction id, policy service only

	// Transaction is the milter's own name of the message: what is reserved for it
	// at RCPT is charged or released under it.
	Transaction string

	// Taken is set by the milter: Postfix runs its own relay check before the
	// milter's RCPT (FACTS.md 1.3), so a recipient seen there is one that
	// Postfix takes, or that the policy service was asked about.
	Taken bool

	Message *Message // at StageHeaders
}

// Message is what the rules need of a message's header.
type Message struct {
	Trail   []TrailField   // Received and Resent-From, in the order of the message: newest first
	Authors []AddressField // From and Sender, in the order of the message
	Crowded bool           // there were more From and Sender fields than were kept
}

// AddressField is a From or Sender field, already parsed.
type AddressField struct {
	Sender    bool     // Sender:, otherwise From:
	Addresses []string // those of groups too; none if the field could not be parsed
	Text      string   // the field's body, for reply and journal
}

// TrailKind tells what a trail field is evidence of.
type TrailKind uint8

const (
	// TrailOther is a Received field of no SMTP hop: HTTP, local submission.
	TrailOther TrailKind = iota
	// TrailHop is a Received field that a mail server wrote for another SMTP client.
	TrailHop
	// TrailResent is a Resent-From field.
	TrailResent
)

// TrailField is one Received or Resent-From field, already parsed.
type TrailField struct {
	Kind      TrailKind
	Addresses []string // of a Resent-From; none if it could not be parsed
	Text      string   // the field's body, for the journal
}
