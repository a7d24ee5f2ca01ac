package saslrelay

import (
	"bytes"
	"net/netip"
	"time"

	"portreeve/rules"
)

// attempt is one AUTH that has no answer yet.
type attempt struct {
	id        uint32
	mechanism string
	service   string // smtpd_sasl_service
	client    netip.Addr
	tls       bool
	login     string // as the client gave it; empty until it is known
	responded bool   // the client's first response has been looked at
	hinted    bool   // the login was found wanting, and that is only observed
	theirs    bool   // Dovecot has asked: it is the client's turn
	held      []byte // the line that Dovecot gets when the delay is over (rule 11)
	asked     bool   // Dovecot knows the attempt
}

// attemptOf reads the fields of an AUTH, and the initial response if there is
// one. resp= is the last field (Dovecot refuses what follows it).
func attemptOf(m message) (a *attempt, response []byte, has bool) {
	mechanism, rest, _ := bytes.Cut(m.rest, tab)
	a = &attempt{id: m.id, mechanism: string(mechanism)}
	for name, value := range fields(rest) {
		switch name {
		case "service":
			a.service = unescape(value)
		case "rip":
			// "unknown" after XCLIENT ADDR=[UNAVAILABLE]
			if addr, err := netip.ParseAddr(string(value)); err == nil {
				a.client = addr.Unmap().WithZone("")
			}
		case "secured":
			a.tls = true
		case "resp":
			response, has = value, true
		}
	}
	// "=" is an initial response of no bytes (RFC 4954). Dovecot takes it, and
	// an empty one, for none, and asks.
	if string(response) == "=" || len(response) == 0 {
		return a, nil, false
	}
	return a, response, has
}

// learn looks for the login in the client's first response. Never in a later
// one: LOGIN's second is the password.
func (a *attempt) learn(response []byte) (learnt bool) {
	if a.responded {
		return false
	}
	a.responded = true
	a.login, learnt = loginIn(a.mechanism, response)
	return learnt
}

// named is the login, where Dovecot's answer has to tell it.
func (a *attempt) named(v verdict) string {
	if a.login != "" {
		return a.login
	}
	return v.user
}

// question is what is decided about the attempt.
func (r *relay) question(a *attempt, stage rules.Stage, login string) *rules.Request {
	return &rules.Request{
		Stage: stage, Protocol: rules.ProtocolSASL, Time: r.now(),
		Client: a.client, TLS: a.tls, Login: login, Service: a.service,
	}
}

// refused asks the gate, and answers for Dovecot if it refuses. Otherwise delay is
// how long the password's check must wait (rule 11).
func (r *relay) refused(a *attempt, stage rules.Stage, login string) (refused bool, delay time.Duration) {
	d := r.Gate.Decide(r.ctx, r.question(a, stage, login))
	for _, f := range d.Observed {
		a.hinted = a.hinted || f.Rule != rules.RuleThrottled
	}
	if d.Action != rules.Refuse {
		return false, d.Slowed.Delay
	}
	r.meter.AuthReport(a.service, "rejected")
	r.toPostfix(refusal(a.id, login, d.Reply.Text))
	return true, 0
}

// tell records what Dovecot said of the attempt. The client is answered even if it
// could not be stored: memory has it (SPEC.md section 8).
func (r *relay) tell(a *attempt, kind rules.EventKind, login string) {
	err := r.Gate.Tell(r.ctx, rules.Event{
		Kind: kind, Protocol: rules.ProtocolSASL, Time: r.now(),
		Client: a.client, Service: a.service, Login: login, TLS: a.tls,
	})
	if err != nil {
		r.log.Error("a login could not be remembered", "protocol", rules.ProtocolSASL,
			"client", a.client, "login", rules.ShownLogin(login), "error", err)
	}
}

// succeeded passes an OK on, unless the client has been blocked since, or the
// login that Dovecot made of the client's may not send: of attempts that were
// made at the same time, none slips through.
func (r *relay) succeeded(a *attempt, m message, line []byte) {
	v := verdictOf(m.rest)
	login := a.named(v)
	if v.named {
		login = v.user // what Postfix takes it for
	}
	if refused, _ := r.refused(a, rules.StageAuth, login); refused {
		return
	}
	r.tell(a, rules.LoginSucceeded, login)
	r.meter.AuthReport(a.service, "success")
	r.toPostfix(line)
}

// failed records a failure, and answers with the reply's text.
func (r *relay) failed(a *attempt, m message, line []byte) {
	v := verdictOf(m.rest)
	login := a.named(v)
	switch {
	case v.temp:
		r.meter.AuthReport(a.service, "internal")
		r.toPostfix(line)
		return
	case v.reasoned && !v.named:
		// Nothing was checked: the response was no base64, or came too late
		// ("Authentication request timed out"; Dovecot 2.3 and 2.4). After a
		// check there is always a user.
		r.meter.AuthReport(a.service, "rejected")
		r.toPostfix(line)
		return
	case !v.disabled:
		r.tell(a, rules.LoginFailed, login)
	}
	r.meter.AuthReport(a.service, "failure")
	q := r.question(a, rules.StageAuthFailed, login)
	q.Disabled = v.disabled
	if a.hinted { // and recorded; the same is not observed twice
		r.toPostfix(line)
	} else if d := r.Gate.Decide(r.ctx, q); d.Action == rules.Refuse {
		r.toPostfix(withReason(m, d.Reply.Text))
	} else {
		r.toPostfix(line)
	}
}
