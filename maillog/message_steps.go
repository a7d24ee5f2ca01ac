package maillog

import (
	"net/netip"
	"strconv"
	"strings"
)

// Step is what the line tells of a message or a session; ok is false for every
// other line. The texts are those of Postfix 2.10 to 3.12 (smtpd.c,
// cleanup_message.c, qmgr_message.c, log_adhoc.c). Senders, recipients and message
// ids are a client's words, so each line is read from its first byte, and what
// does not fit tells nothing.
func (l Line) Step() (s Step, ok bool) {
	_, agent := cutLast(l.Program, "/")
	if agent == l.Program {
		return s, false // no program of Postfix's
	}
	if agent == "smtpd" {
		return smtpdStep(l.Text)
	}
	id, text, ok := queueID(l.Text)
	if !ok || id == "" {
		return s, false
	}
	switch agent {
	case "cleanup":
		s, ok = cleanupStep(text)
	case "qmgr", "nqmgr":
		s, ok = qmgrStep(text)
		if !ok { // qmgr itself delivers to what it cannot reach: "to=<…>, relay=none"
			s, ok = deliveryStep(text)
		}
	default:
		s, ok = deliveryStep(text)
	}
	s.QueueID = id
	return s, ok
}

const (
	// A short queue id is five digits of microseconds and the inode, a long one
	// eleven characters and the inode (mail_queue.h).
	minQueueID = 6
	maxQueueID = 32
)

// queueID cuts "ID: " off; the id of NOQUEUE is empty.
func queueID(text string) (id, rest string, ok bool) {
	id, _, ok = strings.Cut(text[:min(len(text), maxQueueID+2)], ": ")
	if !ok || !isQueueID(id) {
		return "", "", false
	}
	rest = text[len(id)+2:]
	if id == "NOQUEUE" {
		id = ""
	}
	return id, rest, true
}

func isQueueID(s string) bool {
	return len(s) >= minQueueID && len(s) <= maxQueueID && all(s, alphanumeric)
}

func alphanumeric(c byte) bool {
	return digit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func smtpdStep(text string) (s Step, ok bool) {
	switch {
	case strings.HasPrefix(text, "connect from "):
		s.Kind = SessionBegan
		s.Client, _, ok = peer(text[len("connect from "):])
		return s, ok
	case strings.HasPrefix(text, "disconnect from "):
		s.Kind = SessionEnded
		s.Client, _, ok = peer(text[len("disconnect from "):])
		return s, ok
	case strings.HasPrefix(text, "proxy-accept: "):
		return proxied(text)
	}
	id, text, ok := queueID(text)
	if !ok {
		return s, false
	}
	s.QueueID = id
	switch {
	case strings.HasPrefix(text, "client="):
		ok = s.received(text[len("client="):])
	case id != "" && wholeMessage(text):
		s.Kind = Dropped
	case strings.HasPrefix(text, "reject: "), strings.HasPrefix(text, "milter-reject: "):
		s.Kind = Refused
	default:
		return s, false
	}
	return s, ok
}

// wholeMessage tells whether a refusal ends a message that was begun, and not only
// one recipient of it (smtpd_data_restrictions, smtpd_end_of_data_restrictions).
func wholeMessage(text string) bool {
	for _, way := range []string{"reject: ", "milter-reject: "} {
		where, found := strings.CutPrefix(text, way)
		if !found {
			continue
		}
		for _, end := range []string{"DATA from ", "BDAT from ", "END-OF-MESSAGE from "} {
			if strings.HasPrefix(where, end) {
				return true
			}
		}
	}
	return false
}

// received reads what follows "client=": the client, then what is known of its
// login and of whom it passes on.
//
// A login can hold what its server lets it hold. So the ends are taken off from
// the right, each only if it is what Postfix would write there.
func (s *Step) received(text string) (ok bool) {
	s.Kind = Received
	s.Client, text, ok = peer(text)
	if !ok || text == "" {
		return ok
	}
	if rest, orig, found := cutField(text, ", orig_client="); found {
		if _, end, ok := peer(orig); ok && end == "" {
			s.Passed, text = true, rest
		}
	}
	if rest, orig, found := cutField(text, ", orig_queue_id="); found && isQueueID(orig) {
		s.Passed, text = true, rest
	}
	if rest, xtext, found := cutField(text, ", sasl_sender="); found && !strings.ContainsAny(xtext, " ,") {
		text = rest
	}
	text = strings.TrimPrefix(text, ", sasl_method=")
	method, login, found := strings.Cut(text, ", sasl_username=")
	if found && len(method) <= 20 && (method == "" || all(method, mechanismLetter)) {
		s.Login, text = login, ""
	}
	return text == ""
}

func mechanismLetter(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' }

func cutField(text, mark string) (before, after string, found bool) {
	if i := strings.LastIndex(text, mark); i >= 0 {
		return text[:i], text[i+len(mark):], true
	}
	return text, "", false
}

// peer reads "host[address]" and, with smtpd_client_port_logging, ":port". The
// zero Addr is an address that is "unknown".
func peer(text string) (a netip.Addr, rest string, ok bool) {
	name, after, found := strings.Cut(text, "[")
	address, rest, closed := strings.Cut(after, "]")
	if !found || !closed || !all(name, hostLetter) {
		return a, "", false
	}
	if address != "unknown" {
		var err error
		if a, err = netip.ParseAddr(address); err != nil {
			return a, "", false
		}
	}
	if port, found := strings.CutPrefix(rest, ":"); found {
		n := 0
		for n < len(port) && digit(port[n]) {
			n++
		}
		rest = port[n:]
	}
	return a.Unmap().WithZone(""), rest, true
}

func hostLetter(c byte) bool { return programLetter(c) && c != '/' }

// proxied reads "proxy-accept: END-OF-MESSAGE: 250 … queued as ID; from=<…>
// to=<…> proto=…". The recipient is the last one; the others stand with the
// message that the filter passed on.
func proxied(text string) (s Step, ok bool) {
	reply, text, ok := strings.Cut(text, "; from=<")
	if !ok {
		return s, false
	}
	s.Kind, s.Next = Proxied, queuedAs(reply)
	if s.Sender, text, ok = strings.Cut(text, "> to=<"); !ok {
		return s, false
	}
	s.Recipient, _, ok = strings.Cut(text, "> proto=")
	s.Address = s.Recipient
	return s, ok
}

// queuedAs is the queue id that the other server's reply names, or empty.
func queuedAs(reply string) string {
	const mark = "queued as "
	i := strings.LastIndex(reply, mark)
	if i < 0 {
		return ""
	}
	id := reply[i+len(mark):]
	n := 0
	for n < len(id) && alphanumeric(id[n]) {
		n++
	}
	if !isQueueID(id[:n]) {
		return ""
	}
	return id[:n]
}

func cleanupStep(text string) (s Step, ok bool) {
	if id, found := strings.CutPrefix(text, "message-id="); found {
		s.Kind = Named
		s.MessageID = strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
		return s, true
	}
	for _, end := range []string{"reject: ", "milter-reject: ", "discard: ", "removed (canceled)"} {
		if strings.HasPrefix(text, end) {
			return Step{Kind: Dropped}, true
		}
	}
	return s, false
}

// qmgrStep reads "from=<…>, size=1, nrcpt=1 (queue active)", and "removed". The
// sender ends where the last ">, size=" stands: what follows it is digits.
func qmgrStep(text string) (s Step, ok bool) {
	if text == "removed" {
		return Step{Kind: Removed}, true
	}
	text, ok = strings.CutPrefix(text, "from=<")
	if !ok {
		return s, false
	}
	sender, numbers, ok := cutField(text, ">, size=")
	if !ok {
		return s, false
	}
	size, count, ok := strings.Cut(strings.TrimSuffix(numbers, " (queue active)"), ", nrcpt=")
	n, err := strconv.Atoi(count)
	if !ok || !all(size, digit) || !all(count, digit) || err != nil {
		return s, false
	}
	return Step{Kind: Queued, Sender: sender, Recipients: n}, true
}

// deliveryStep reads "to=<…>, orig_to=<…>, relay=…, …, status=sent (…)" of any
// delivery agent.
func deliveryStep(text string) (s Step, ok bool) {
	text, ok = strings.CutPrefix(text, "to=<")
	if !ok {
		return s, false
	}
	head, rest, ok := strings.Cut(text, ">, relay=")
	if !ok {
		return s, false
	}
	s.Kind = Delivered
	s.Address, s.Recipient, ok = strings.Cut(head, ">, orig_to=<")
	if !ok {
		s.Recipient = s.Address
	}
	s.Next = queuedAs(rest)
	return s, true
}
