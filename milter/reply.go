package milter

import (
	"strings"

	library "github.com/emersion/go-milter"

	"portreeve/rules"
)

// fallback stands for a reply that Postfix would not take: a malformed one puts
// the milter in error for the rest of the SMTP session (FACTS.md 1.2).
var fallback = rules.Reply{Code: 451, Enhanced: "4.3.0", Text: "temporary failure, try again later"}

// tooMany is the reply to a recipient for whom there is no room (RFC 5321
// section 4.5.3.1.10); Postfix's smtpd_recipient_limit comes first by default.
var tooMany = rules.Reply{Code: 452, Enhanced: "4.5.3", Text: "too many recipients"}

// replyCode is SMFIR_REPLYCODE. Postfix drops a single % and makes one of two,
// and sends everything else verbatim.
func replyCode(r rules.Reply) library.Response {
	if r.Code < 400 || r.Code > 599 || r.Enhanced == "" || int(r.Enhanced[0]-'0') != r.Code/100 {
		r = fallback
	}
	line := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, r.String())
	return library.NewResponseStr(byte(library.ActReplyCode), strings.ReplaceAll(line, "%", "%%"))
}
