package rules

import "strings"

// Rule 5: the sender's domain must be the login's or an alias of it.

// sender is rule 5 at MAIL.
func sender(q *inquiry) (Finding, bool) {
	if q.exempt() {
		return pass()
	}
	who := q.identity()
	if who.login == "" {
		return pass() // a mixed port's unauthenticated client: rule 3 at RCPT
	}
	use := q.mayUse(who.login, q.r.Sender)
	switch {
	case use.ok:
		return pass()
	case use.failed:
		return q.unanswered(who.login, RuleSender)
	}
	return Finding{Rule: RuleSender, Reason: use.reason, Login: who.login, Text: q.r.Sender}, true
}

// use is whether an account may use an address as its sender.
type use struct {
	ok     bool
	failed bool   // the directory could not answer
	reason Reason // when it may not
}

var allowed = use{ok: true}

// mayUse is rule 5 for one account and one address, be it the envelope's or a
// header's.
func (q *inquiry) mayUse(login, sender string) use {
	if sender == "" {
		if q.Sender.Null == NullRefuse {
			return use{reason: ReasonSenderNull}
		}
		return allowed
	}
	addr, plain := parseAddress(sender)
	if !plain {
		return use{reason: ReasonSenderNotPlain}
	}
	fits, state := q.domainFits(login, addr.domain)
	if state == Failed {
		return use{failed: true}
	}
	if fits {
		if !q.Sender.ByAddress {
			return allowed
		}
		if u := q.ownAddress(login, addr); u.ok || u.failed {
			return u
		}
	}
	if u := q.externalSender(login, addr); u.ok || u.failed || !fits {
		return u
	}
	return use{reason: ReasonSenderAddress}
}

// domainFits tells whether the domain is the account's own or in its alias
// group. The own domain needs no look-up.
func (q *inquiry) domainFits(login, domain string) (bool, State) {
	own := DomainOf(login)
	if domain == own {
		return true, Known
	}
	group, state := q.f.Domains(own)
	if state == Failed {
		return false, Failed
	}
	for _, d := range group {
		if d == domain {
			return true, Known
		}
	}
	return false, Known
}

// ownAddress is sender.match = "address": the account's own address, its plus
// part ignored, in any domain of its alias group unless it is another account's
// there, or one of its further addresses.
func (q *inquiry) ownAddress(login string, addr address) use {
	key := addr.key()
	local := key[:strings.LastIndexByte(key, '@')]
	if plus := strings.IndexByte(local, '+'); plus > 0 {
		local = local[:plus]
	}
	base := local + "@" + addr.domain
	if base == login || key == login {
		return allowed
	}
	if local == login[:strings.LastIndexByte(login, '@')] {
		switch _, state := q.f.Account(base); state {
		case Failed:
			return use{failed: true}
		case Absent:
			return allowed
		}
	}
	addresses, state := q.f.Addresses(login)
	if state == Failed {
		return use{failed: true}
	}
	return use{ok: containsAddress(addresses, key), reason: ReasonSenderAddress}
}

// externalSender is an address that the user stored in the webmail: valid from
// there only, or from anywhere for an account that may pass mail on.
func (q *inquiry) externalSender(login string, addr address) use {
	account, state := q.f.Account(login)
	if state == Failed {
		return use{failed: true}
	}
	inside := q.IsWebmail(q.r.Client) || (state == Known && account.Forward)
	senders, state := q.f.Senders(login)
	switch {
	case state == Failed && inside:
		return use{failed: true}
	case !containsAddress(senders, addr.key()) && !containsAddress(senders, "@"+addr.domain):
		return use{reason: ReasonSenderDomain}
	case !inside:
		return use{reason: ReasonSenderNotWebmail}
	}
	return allowed
}

func containsAddress(list []string, key string) bool {
	for _, a := range list {
		if a == key {
			return true
		}
	}
	return false
}
