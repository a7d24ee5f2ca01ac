package rules

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSenderBytes is where {sender} is cut in a reply (SPEC.md section 2). An
// SMTP reply line may have 512 bytes (RFC 5321 section 4.5.3.1.5).
const MaxSenderBytes = 256

// Reply is what a client is told.
type Reply struct {
	Code     int    // 550
	Enhanced string // 5.1.0 (RFC 3463)
	Text     string // one line, printable
}

// String is the whole SMTP reply line without CRLF; empty if there is none.
func (r Reply) String() string {
	return string(r.Append(nil))
}

// Append adds what String returns.
func (r Reply) Append(b []byte) []byte {
	if r.Code == 0 {
		return b
	}
	b = append(strconv.AppendInt(b, int64(r.Code), 10), ' ')
	b = append(append(b, r.Enhanced...), ' ')
	return append(b, r.Text...)
}

// ReplyText is one entry of [replies]: a reply with {id}, {sender} and {ip}
// still in place.
type ReplyText struct {
	Code     int
	Enhanced string
	Text     string
}

// Replies holds the text of every rule.
type Replies map[Rule]ReplyText

// DefaultReplies are the documented texts, to the byte (SPEC.md section 2).
func DefaultReplies() Replies {
	return Replies{
		RuleAuthFailed:     {550, "5.1.0", "{id} authentication failed"},
		RuleAuthRejected:   {550, "5.1.0", "{id} authentication rejected"},
		RuleAccessDisabled: {550, "5.1.0", "{id} authentication rejected access disabled"},
		RuleSender:         {550, "5.1.0", "<{sender}> sender rejected"},
		RuleThrottled:      {550, "5.1.0", "{id} Connection refused from {ip}. Too many authorization failures from this IP, try again later."},
		RuleRelay:          {550, "5.1.0", "{id} relay rejected"},
		RuleQuota:          {450, "4.7.1", "{id} sending limit reached, try again later"},
		RuleDefer:          {451, "4.3.0", "{id} temporary lookup failure, try again later"},
	}
}

// Render fills in the text of one rule. sender is as the client wrote it.
func (rs Replies) Render(rule Rule, id, sender string, client netip.Addr) Reply {
	t, ok := rs[rule]
	if !ok {
		return Reply{} // rule 11 tells the client nothing
	}
	// One pass, so that a sender that contains "{ip}" stays what it is.
	var room [256]byte // enough for most
	b := room[:0]
	for rest := t.Text; rest != ""; {
		at := strings.IndexByte(rest, '{')
		if at < 0 {
			b = append(b, rest...)
			break
		}
		b, rest = append(b, rest[:at]...), rest[at:]
		switch {
		case strings.HasPrefix(rest, "{id}"):
			b, rest = append(b, id...), rest[len("{id}"):]
		case strings.HasPrefix(rest, "{sender}"):
			b, rest = append(b, PrintableSender(sender)...), rest[len("{sender}"):]
		case strings.HasPrefix(rest, "{ip}") && client.IsValid():
			b, rest = client.AppendTo(b), rest[len("{ip}"):]
		case strings.HasPrefix(rest, "{ip}"):
			b, rest = append(b, "unknown"...), rest[len("{ip}"):]
		default:
			b, rest = append(b, rest[0]), rest[1:]
		}
	}
	return Reply{Code: t.Code, Enhanced: t.Enhanced, Text: string(b)}
}

// PrintableSender is the sender as a reply may show it: what is not printable
// UTF-8 becomes "?", and it is cut at MaxSenderBytes, never inside a character.
func PrintableSender(sender string) string {
	if len(sender) <= MaxSenderBytes && printableASCII(sender) {
		return sender
	}
	var b strings.Builder
	for i := 0; i < len(sender); {
		r, size := utf8.DecodeRuneInString(sender[i:])
		if (r == utf8.RuneError && size == 1) || !unicode.IsPrint(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > MaxSenderBytes {
			break
		}
		b.WriteRune(r)
		i += size
	}
	return b.String()
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
