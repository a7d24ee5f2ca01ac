package mimic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Postfix's own configuration on the test host.
var (
	mynetworks = netip.MustParsePrefix("127.0.0.1/32")
	ownDomains = []string{hostname, "domena.cz", "domena.eu", "firma.cz", "b.cz", "hačky.cz", "xn--haky-hua.cz"}
)

// question is one check_policy_service call. Without a context it is the
// recipe "policy only": in smtpd_sender_restrictions, which Postfix applies at
// RCPT (smtpd_delay_reject), and in smtpd_end_of_data_restrictions.
type question struct {
	context   string
	state     string // of the protocol
	class     string // of the restriction, for Postfix's prefix
	about     string // what is refused, for Postfix's prefix
	recipient string
	away      string // default_action
}

// Postfix's words for the restriction classes, and the default actions of
// contrib/postfix.
const (
	classSender    = "Sender address"
	classRecipient = "Recipient address"
	classData      = "End-of-data"

	awayRelay  = "451 4.3.5 relaying cannot be checked now, try again later"
	awaySender = "451 4.3.5 the sender cannot be checked now, try again later"
)

// senderRestrictions are those of contrib/postfix/policy-only.
func (s *smtp) senderRestrictions(recipient string) string {
	return s.policyOnly(question{state: "RCPT", class: classSender, about: s.sender, recipient: recipient})
}

// endOfData are smtpd_end_of_data_restrictions of contrib/postfix/policy-only.
// The recipient is told if there is one only (FACTS.md 6.1).
func (s *smtp) endOfData() string {
	q := question{state: "END-OF-MESSAGE", class: classData, about: "END-OF-MESSAGE"}
	if len(s.recipients) == 1 {
		q.recipient = s.recipients[0]
	}
	return s.policyOnly(q)
}

// policyOnly asks where there is no milter. On port 25 mail goes on while
// Portreeve is away.
func (s *smtp) policyOnly(q question) string {
	if s.host.fronts.Milter != "" {
		return ""
	}
	if q.away = awaySender; s.mx() {
		q.away = "DUNNO"
	}
	switch action := s.policy(q); strings.ToUpper(action) {
	case "OK", "DUNNO":
		return ""
	default:
		return q.prefixed(action)
	}
}

// relayRestrictions are smtpd_relay_restrictions of contrib/postfix/main.cf. It
// returns the refusal, or nothing. Postfix applies them before the milter sees
// the RCPT (FACTS.md 1.3).
func (s *smtp) relayRestrictions(recipient string) string {
	if s.client.IsValid() && mynetworks.Contains(s.client) {
		return ""
	}
	if s.mx() && authDestination(recipient) {
		return ""
	}
	q := question{"relay", "RCPT", classRecipient, recipient, recipient, awayRelay}
	switch action := s.policy(q); strings.ToUpper(action) {
	case "OK":
		return ""
	case "DUNNO":
	default:
		return q.prefixed(action)
	}
	switch {
	case s.login != "":
		return "" // permit_sasl_authenticated
	case s.mx():
		return fmt.Sprintf("554 5.7.1 <%s>: Relay access denied", recipient)
	default:
		return fmt.Sprintf("554 5.7.1 <%s>: Recipient address rejected: Access denied", recipient)
	}
}

// prefixed puts Postfix's words in front of a policy service's text (FACTS.md 1.1).
func (q question) prefixed(action string) string {
	code, rest, _ := strings.Cut(action, " ")
	enhanced, text, ok := strings.Cut(rest, " ")
	if len(code) != 3 || !ok || strings.Count(enhanced, ".") != 2 {
		return "451 4.3.5 Server configuration error"
	}
	return fmt.Sprintf("%s %s <%s>: %s rejected: %s", code, enhanced, q.about, q.class, text)
}

// authDestination is permit_auth_destination: this server's own domains, but
// not a route through them (allow_untrusted_routing = no).
func authDestination(recipient string) bool {
	at := strings.LastIndexByte(recipient, '@')
	if at < 0 {
		return true // at $myorigin
	}
	return !strings.ContainsAny(recipient[:at], "@%!") &&
		slices.Contains(ownDomains, strings.ToLower(strings.TrimSuffix(recipient[at+1:], ".")))
}

// policy asks the policy service. Postfix asks again when an answer is lost,
// twice at most (FACTS.md 1.7).
func (s *smtp) policy(q question) string {
	request := s.policyRequest(q)
	for range 2 {
		if s.policyConn == nil {
			c, err := dial(context.Background(), s.host.fronts.Policy)
			if err != nil {
				return q.away
			}
			s.policyConn = c
		}
		action, err := ask(s.policyConn, request)
		if err == nil {
			return action
		}
		s.host.log.Warn("policy request failed", "error", errors.Join(err, s.policyConn.Close()))
		s.policyConn = nil
	}
	return q.away
}

func ask(c net.Conn, request string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	first, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if blank, err := r.ReadString('\n'); err != nil || blank != "\n" {
		return "", fmt.Errorf("no blank line after %q: %w", first, err)
	}
	action, ok := strings.CutPrefix(strings.TrimSpace(first), "action=")
	if !ok {
		return "", fmt.Errorf("no action in %q", first)
	}
	return action, nil
}

// policyRequest is what Postfix 3.7 sends, in its order.
func (s *smtp) policyRequest(q question) string {
	address, port := "unknown", "unknown" // FACTS.md 1.6
	if s.client.IsValid() {
		address, port = s.client.String(), fmt.Sprint(s.peer.clientPort)
	}
	protocol, encryption := "SMTP", ""
	if s.esmtp {
		protocol = "ESMTP"
	}
	if s.peer.tls {
		encryption = "TLSv1.3"
	}
	count := 0
	if q.state != "RCPT" {
		count = len(s.recipients)
	}
	queueID := ""
	if len(s.recipients) > 0 {
		queueID = s.queueID // FACTS.md 6.1: empty at the first RCPT
	}
	var b strings.Builder
	for _, a := range [][2]string{
		{"request", "smtpd_access_policy"},
		{"protocol_state", q.state},
		{"protocol_name", protocol},
		{"client_address", address},
		{"client_name", "unknown"},
		{"client_port", port},
		{"reverse_client_name", "unknown"},
		{"server_address", "127.0.0.1"},
		{"server_port", fmt.Sprint(s.port)},
		{"helo_name", s.helo},
		{"sender", s.sender},
		{"recipient", q.recipient},
		{"recipient_count", fmt.Sprint(count)},
		{"queue_id", queueID},
		{"instance", s.instance},
		{"size", "0"},
		{"etrn_domain", ""},
		{"stress", ""},
		{"sasl_method", s.mechanism},
		{"sasl_username", s.login},
		{"sasl_sender", ""},
		{"ccert_subject", ""},
		{"ccert_issuer", ""},
		{"ccert_fingerprint", ""},
		{"ccert_pubkey_fingerprint", ""},
		{"encryption_protocol", encryption},
		{"encryption_cipher", ""},
		{"encryption_keysize", "0"},
		{"policy_context", q.context},
	} {
		fmt.Fprintf(&b, "%s=%s\n", a[0], a[1])
	}
	return b.String() + "\n"
}
