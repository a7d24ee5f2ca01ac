package authpolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"portreeve/rules"
)

// body is what Dovecot sends. A nil pointer is a field that is missing (or
// null); unknown fields are ignored, and the last of equal ones counts.
type body struct {
	Login    *string `json:"login"`
	Protocol *string `json:"protocol"`
	Remote   *string `json:"remote"`

	TLS          bool   `json:"tls"`
	SessionID    string `json:"session_id"`
	PasswordHash string `json:"pwhash"`
	FailType     string `json:"fail_type"` // from Dovecot 2.4 on

	// Reports only.
	Success      *bool `json:"success"`
	PolicyReject *bool `json:"policy_reject"`
}

// parseBody reads one JSON object.
func parseBody(data []byte, report bool) (*body, error) {
	var b body
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&b); err != nil {
		return nil, fmt.Errorf("no JSON object of the expected types: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	switch {
	case b.Login == nil:
		return nil, errors.New("no login")
	case b.Protocol == nil:
		return nil, errors.New("no protocol")
	case b.Remote == nil:
		return nil, errors.New("no remote")
	case report && b.Success == nil:
		return nil, errors.New("no success")
	case report && b.PolicyReject == nil:
		return nil, errors.New("no policy_reject")
	}
	return &b, nil
}

// client is the zero Addr for an empty remote (XCLIENT ADDR=[UNAVAILABLE],
// FACTS.md 2.5) and whatever else is no address.
func (b *body) client() netip.Addr {
	a, err := netip.ParseAddr(*b.Remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// request is the question that an "allow" stands for.
func (b *body) request() *rules.Request {
	return &rules.Request{
		Stage: rules.StageAuth, Protocol: rules.ProtocolAuthPolicy,
		Client: b.client(), TLS: b.TLS, Login: *b.Login, Service: *b.Protocol,
	}
}

// The results of a report, as the metric's label has them.
const (
	resultSuccess  = "success"
	resultFailure  = "failure"
	resultInternal = "internal"
	resultRejected = "rejected"
)

// event is what a report tells; false if there is nothing to remember, since
// the refusal was our own (FACTS.md 2.1).
func (b *body) event() (e rules.Event, result string, ok bool) {
	e = rules.Event{
		Protocol: rules.ProtocolAuthPolicy, Client: b.client(), Service: *b.Protocol,
		Login: *b.Login, Password: b.PasswordHash, TLS: b.TLS, Session: b.SessionID,
	}
	if e.Login == "" { // Dovecot did not read the name, nor the password (FACTS.md 2.5): all such hashes are equal
		e.Password = ""
	}
	switch {
	case *b.Success:
		e.Kind = rules.LoginSucceeded
		return e, resultSuccess, true
	case *b.PolicyReject:
		return e, resultRejected, false
	default:
		e.Kind = rules.LoginFailed
		e.Internal = b.FailType == "internal"
		if e.Internal {
			return e, resultInternal, true
		}
		return e, resultFailure, true
	}
}

// answer is what Dovecot gets: 2.4 wants both fields always (FACTS.md 2.3). A
// positive status is how many seconds it waits before it checks the password;
// after the check it ignores it.
type answer struct {
	Status  int    `json:"status"`
	Message string `json:"msg"`
}

// allow is the answer to a decision. Only the text is told: Dovecot and Postfix
// put their own code in front.
func allow(d *rules.Decision) answer {
	if d.Action != rules.Refuse {
		return answer{Status: int(d.Slowed.Delay / time.Second)}
	}
	return answer{Status: -1, Message: printable(d.Reply.Text)}
}

// printable is the text as one line of printable ASCII.
func printable(text string) string {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out)
}
