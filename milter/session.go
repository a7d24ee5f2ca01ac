package milter

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"net/textproto"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	library "github.com/emersion/go-milter"

	"portreeve/internal/mailheader"
	"portreeve/rules"
)

// How many recipients one message may have here, and how many bytes.
const (
	maxRecipients     = 10_000
	maxRecipientBytes = 1 << 20
)

// session is one SMTP session as the library tells it. What it knows of the
// client outlives the messages; a message's facts are dropped with it.
type session struct {
	gate  Gate
	ctx   context.Context //nolint:containedctx // the library's callbacks take none
	clock func() time.Time
	log   *slog.Logger
	conn  *guard

	// silent are the events that Postfix does not wait for an answer to. That to a
	// header field says nothing, and costs both sides as much as one that refuses.
	silent library.OptProtocol

	client netip.Addr
	port   uint16
	helo   string
	message
}

// message is what is known of one message.
type message struct {
	sender, login, queueID string
	tls                    bool
	recipients             []string // that we did not refuse
	recipientBytes         int
	transaction            string // under which the gate knows it, from the first RCPT on
	header                 mailheader.Collector

	// refused is the answer that ended the message, if there was one. Postfix
	// does not go on after it; whoever does hears it again.
	refused library.Response
}

var _ library.Milter = (*session)(nil)

// Connect is the client's address and our port. The macro comes first, for the
// library cannot read every form of the address.
func (s *session) Connect(_, _ string, _ uint16, _ net.IP, _ *library.Modifier) (library.Response, error) {
	m := &s.conn.now
	_, inFrame, _ := connection(s.conn.payload())
	s.client = address(inFrame)
	s.learnClient(m)
	return library.RespContinue, nil
}

// learnClient takes what the macros say of the connection.
func (s *session) learnClient(m *macros) {
	if m.clientAddr != "" {
		s.client = address(m.clientAddr)
	}
	if m.daemonPort != "" {
		s.port = m.port()
	}
}

// Helo asks whether the client is refused already now (refuse_at = "helo").
// HELO ends a message that has begun (RFC 5321 section 4.1.4).
func (s *session) Helo(name string, _ *library.Modifier) (library.Response, error) {
	s.end(rules.MessageDropped)
	s.message = message{tls: s.conn.now.tlsVersion != ""}
	s.helo = name
	response, _ := s.decide(&rules.Request{Stage: rules.StageHelo})
	return response, nil
}

// MailFrom begins a message. Login and TLS are taken anew each time: AUTH and
// STARTTLS may have come since the last one.
func (s *session) MailFrom(_ string, _ *library.Modifier) (library.Response, error) {
	m := &s.conn.now
	s.learnClient(m)
	s.end(rules.MessageDropped)
	s.message = message{
		sender: path(s.conn.payload()), login: m.authAuthen, queueID: m.queueID, tls: m.tlsVersion != "",
	}
	response, refused := s.decide(&rules.Request{Stage: rules.StageMail})
	s.conn.settled = refused
	if refused {
		s.refused = response
	}
	return response, nil
}

// RcptTo asks about one recipient. A refusal is that recipient's alone.
func (s *session) RcptTo(_ string, _ *library.Modifier) (library.Response, error) {
	if s.refused != nil {
		return s.refused, nil
	}
	s.learnQueueID()
	recipient := path(s.conn.payload())
	if len(s.recipients) >= maxRecipients || s.recipientBytes+len(recipient) > maxRecipientBytes {
		return replyCode(tooMany), nil
	}
	if s.transaction == "" {
		s.transaction = strconv.FormatUint(transactions.Add(1), 36)
	}
	response, refused := s.decide(&rules.Request{
		Stage: rules.StageRcpt, Recipient: recipient, Taken: true, Transaction: s.transaction,
	})
	if !refused {
		s.recipients = append(s.recipients, recipient)
		s.recipientBytes += len(recipient)
	}
	return response, nil
}

// Header gathers the trail. A header beyond the collector's budget is read to
// its end and changes nothing but the outcome of rule 7.
func (s *session) Header(name, value string, m *library.Modifier) (library.Response, error) {
	// The library keeps every field until ABORT (FACTS.md 3.2, 3.5), in the
	// map that it shows us; it has no use for it.
	clear(m.Headers)
	var response library.Response = library.RespContinue
	if s.refused != nil {
		response = s.refused
	} else {
		s.header.Add(name, value)
	}
	if s.silent&library.OptNoHeaderReply != 0 {
		return nil, nil //nolint:nilnil // no answer
	}
	return response, nil
}

// Headers asks about the message when its header is complete.
func (s *session) Headers(textproto.MIMEHeader, *library.Modifier) (library.Response, error) {
	if s.refused != nil {
		return s.refused, nil
	}
	s.learnQueueID()
	response, refused := s.decide(&rules.Request{
		Stage: rules.StageHeaders, Recipients: s.recipients, Message: s.header.Message(),
	})
	if refused {
		s.refused, s.conn.settled = response, true
		s.end(rules.MessageDropped)
	}
	return response, nil
}

// BodyChunk is not called: bodies were negotiated away, and the guard lets none
// through.
func (s *session) BodyChunk([]byte, *library.Modifier) (library.Response, error) {
	return library.RespContinue, nil
}

// Body is the end of the message: what we let pass is charged now, whatever
// others say of it later (FACTS.md 1.2).
func (s *session) Body(*library.Modifier) (library.Response, error) {
	var response library.Response = library.RespContinue
	if s.refused != nil {
		response = s.refused
		s.end(rules.MessageDropped)
	} else {
		s.end(rules.MessageAccepted)
	}
	s.message = message{}
	return response, nil
}

// transactions numbers the messages of the process.
var transactions atomic.Uint64

// end tells the gate how the message ended, once. Its error is logged there: the
// message is charged in memory all the same.
func (s *session) end(how rules.EventKind) {
	if s.transaction == "" {
		return
	}
	_ = s.gate.Tell(s.ctx, rules.Event{
		Kind: how, Protocol: rules.ProtocolMilter, Time: s.clock(), Client: s.client, Login: s.login, Transaction: s.transaction,
	})
	s.transaction = ""
}

// Abort ends a message early. Postfix sends it after every message too
// (FACTS.md 1.2).
func (s *session) Abort(*library.Modifier) error {
	s.end(rules.MessageDropped)
	s.message = message{}
	return nil
}

func (s *session) learnQueueID() {
	if id := s.conn.now.queueID; id != "" {
		s.queueID = id
	}
}

// decide completes the request with what the session knows, and asks.
func (s *session) decide(r *rules.Request) (response library.Response, refused bool) {
	// The library recovers panics too, but prints them unescaped. No answer is
	// given: Postfix applies milter_default_action when the connection closes.
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("a decision panicked", "protocol", rules.ProtocolMilter, "error", v, "stack", string(debug.Stack()))
			s.conn.failed = true
			response, refused = nil, true
		}
	}()
	r.Protocol, r.Time = rules.ProtocolMilter, s.clock()
	r.Client, r.Port, r.TLS, r.Helo = s.client, s.port, s.tls, s.helo
	r.Login, r.Sender, r.QueueID = s.login, s.sender, s.queueID
	decision := s.gate.Decide(s.ctx, r)
	if decision.Action != rules.Refuse {
		return library.RespContinue, false
	}
	return replyCode(decision.Reply), true
}

// path is the address of a MAIL or RCPT frame as the client typed it, without
// one pair of angle brackets. The library would strip as many as there are.
func path(payload []byte) string {
	typed := firstString(payload)
	if inner, ok := strings.CutPrefix(typed, "<"); ok && strings.HasSuffix(inner, ">") {
		return inner[:len(inner)-1]
	}
	return typed
}
