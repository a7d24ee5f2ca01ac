package policyd

import (
	"net/netip"
	"strconv"

	"portreeve/rules"
)

// stage tells at which stage of the rules the request stands; false if there is
// nothing to ask there.
func (a *attributes) stage() (rules.Stage, bool) {
	// smtpd_relay_restrictions, where OK means the right to relay (FACTS.md 1.8).
	if string(a.value(attrPolicyContext)) == "relay" {
		return rules.StageRelay, true
	}
	switch string(a.value(attrProtocolState)) {
	case "CONNECT", "HELO", "EHLO":
		return rules.StageHelo, true
	case "MAIL", "DATA":
		return rules.StageMail, true
	case "RCPT":
		return rules.StageEnvelope, true
	case "END-OF-MESSAGE":
		return rules.StageEnd, true
	default:
		return 0, false
	}
}

// fill translates the request into r. Its strings are parts of one copy.
func (a *attributes) fill(r *rules.Request, stage rules.Stage) {
	*r = rules.Request{}
	r.Stage = stage
	r.Protocol = rules.ProtocolPolicy
	r.Client = address(a.value(attrClientAddress))
	r.Port = port(a.value(attrServerPort))
	r.TLS = len(a.value(attrEncryptionProtocol)) > 0
	r.Count = count(a.value(attrRecipientCount))

	a.kept = a.kept[:0]
	for _, i := range keptTexts {
		a.kept = append(a.kept, a.value(i)...)
	}
	texts := string(a.kept)
	r.Helo, texts = a.cut(attrHeloName, texts)
	r.Login, texts = a.cut(attrSASLUsername, texts)
	r.Sender, texts = a.cut(attrSender, texts)
	r.Recipient, texts = a.cut(attrRecipient, texts)
	r.QueueID, texts = a.cut(attrQueueID, texts)
	r.Instance, _ = a.cut(attrInstance, texts)
}

// keptTexts is in the order in which fill cuts the copy.
var keptTexts = [...]attribute{attrHeloName, attrSASLUsername, attrSender, attrRecipient, attrQueueID, attrInstance}

// cut takes the attribute's value off the front of the texts.
func (a *attributes) cut(i attribute, texts string) (value, rest string) {
	n := a.values[i].end - a.values[i].begin
	return texts[:n], texts[n:]
}

// address is the zero Addr for "unknown" (FACTS.md 1.6) and whatever else is no
// address.
func address(text []byte) netip.Addr {
	if a, ok := dotted(text); ok {
		return a
	}
	a, err := netip.ParseAddr(string(text))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// dotted reads an IPv4 address without the copy of it that netip.ParseAddr
// needs for its errors.
func dotted(text []byte) (netip.Addr, bool) {
	var octets [4]byte
	n, value, digits := 0, 0, 0
	for _, c := range text {
		switch {
		case c >= '0' && c <= '9' && digits < 3 && (digits == 0 || value > 0):
			value, digits = 10*value+int(c-'0'), digits+1
			if value > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && n < 3:
			octets[n] = byte(value)
			n, value, digits = n+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	octets[3] = byte(value)
	return netip.AddrFrom4(octets), n == 3 && digits > 0
}

func port(text []byte) uint16 {
	if len(text) == 0 {
		return 0 // an error would cost memory
	}
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil {
		return 0 // not told: the rules take it for a submission port
	}
	return uint16(n)
}

// count is the number of recipients, which Postfix tells from DATA on.
func count(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return 0
	}
	return n
}

// appendAnswer adds the action for a decision to out. DUNNO lets Postfix's
// further restrictions speak; OK gives the right to relay where relaying was
// asked about.
func appendAnswer(out []byte, d *rules.Decision) []byte {
	out = append(out, "action="...)
	switch d.Action {
	case rules.Refuse:
		begin := len(out)
		out = d.Reply.Append(out)
		for i, c := range out[begin:] {
			// A line end would be a second attribute.
			if c < ' ' || c == 0x7f {
				out[begin+i] = '?'
			}
		}
	case rules.Permit:
		out = append(out, "OK"...)
	default:
		out = append(out, "DUNNO"...)
	}
	return append(out, "\n\n"...)
}
