package config

import (
	"maps"

	"portreeve/rules"
)

// Policy is the configuration as the rules read it. It shares nothing that
// anybody changes, so it may be put in force while the old one is still in use.
func (c *Config) Policy() *rules.Policy {
	p := &rules.Policy{
		ObserveAll: c.Mode == ModeObserve,
		Observe:    map[rules.Rule]bool{},
		Submission: c.Ports.Submission,
		Mixed:      c.Ports.Mixed,
		Trusted:    c.Networks.Trusted,
		Webmail:    c.Networks.Webmail,
		Shared:     c.Networks.Shared,
		Logins:     c.Logins(),
		Hints:      c.AuthPolicy.Hints,
		SASLRelay:  c.Listen.SASL.Addr != "",
		Throttle: rules.Throttle{
			Limit:      c.AuthFailures.Limit,
			Window:     c.AuthFailures.Window,
			IPv4Prefix: c.AuthFailures.IPv4Prefix,
			IPv6Prefix: c.AuthFailures.IPv6Prefix,
			Once:       c.AuthFailures.SamePassword == SameOnce,
			Services:   c.AuthFailures.Protocols,
			AtHelo:     c.AtHelo(),
		},
		Guessing: rules.Guessing{
			Limit:  c.LoginFailures.Limit,
			Window: c.LoginFailures.Window,
			Delay:  c.LoginFailures.Delay,
		},
		Sender: rules.SenderPolicy{
			ByAddress:  c.Sender.Match == MatchAddress,
			Null:       nullSenders[c.Sender.NullSender],
			HeaderFrom: headerFroms[c.Sender.HeaderFrom],
		},
		POP: rules.POPPolicy{
			Enabled:     c.SMTPAfterPOP.Enabled,
			Validity:    c.SMTPAfterPOP.Validity,
			Services:    c.SMTPAfterPOP.Protocols,
			MaxAccounts: c.SMTPAfterPOP.MaxAccounts,
		},
		Relay:   rules.RelayPolicy{RefuseForwarded: c.Relay.RefuseForwarded, LocalDomains: map[string]bool{}},
		Replies: maps.Clone(c.Replies),
	}
	p.Quota = rules.Limits{Messages: c.Quota.MessagesPerHour, Recipients: c.Quota.RecipientsPerHour}
	if c.Directory.OnFailure == FailAccept {
		p.OnFailure = rules.FailAccept
	}
	for _, rule := range c.Observe {
		p.Observe[rule] = true
	}
	for _, domain := range c.Relay.LocalDomains {
		p.Relay.LocalDomains[domain] = true
	}
	return p
}

var headerFroms = map[HeaderFrom]rules.HeaderFrom{
	HeaderOff:     rules.HeaderOff,
	HeaderObserve: rules.HeaderObserve,
	HeaderEnforce: rules.HeaderEnforce,
}

var nullSenders = map[NullSender]rules.NullSender{
	NullHeader: rules.NullHeader,
	NullAllow:  rules.NullAllow,
	NullRefuse: rules.NullRefuse,
}

// Logins says how logins are read, by the rules and by the directory alike.
func (c *Config) Logins() rules.Logins {
	return rules.Logins{DefaultDomain: c.Login.DefaultDomain}
}

// AtHelo tells whether blocked clients are refused at HELO already. Unless it
// is said, that is so where Dovecot does not refuse them at AUTH (rule 2), and
// where there is a milter that is asked at HELO.
func (c *Config) AtHelo() bool {
	switch c.AuthFailures.RefuseAt {
	case RefuseAtHelo:
		return true
	case RefuseAtMail:
		return false
	}
	return c.Listen.Auth.Addr == "" && c.Listen.Milter.Addr != ""
}
