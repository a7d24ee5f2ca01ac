//go:build real && soak

package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/textproto"
	"regexp"
	"strings"
	"time"
)

// reply is how a try ended: the server's last word, or the error that came in its
// place.
type reply struct {
	text string
	err  error
}

// again tells that the message is neither queued nor refused: a client waits, and
// tries once more. A full quota is a refusal with an id, and tempfails have none.
func (r reply) again() bool {
	return r.err != nil || r.text == "" || strings.HasPrefix(r.text, "4") && !strings.Contains(r.text, "sending limit reached")
}

// told are the words by which a reply is known (SPEC.md section 2).
var told = []struct{ words, rule string }{
	{"sender rejected", "sender"},
	{"relay rejected", "relay"},
	{"sending limit reached", "quota"},
	{"Connection refused from", "throttled"},
	{"rejected access disabled", "access_disabled"},
	{"authentication rejected", "auth_rejected"},
	{"authentication failed", "auth_failed"},
}

// rule is the key of a refusal; empty is a message that was queued, "none" a
// refusal that is not ours.
func (r reply) rule() string {
	if strings.HasPrefix(r.text, "250 2.0.0 Ok: queued as ") {
		return ""
	}
	for _, one := range told {
		if strings.Contains(r.text, one.words) {
			return one.rule
		}
	}
	return "none"
}

// key is what the refusal is looked for by: its id, or, for a sender, the address.
func (r reply) key() string {
	if r.rule() != "sender" {
		return idPattern.FindString(r.text)
	}
	if m := shownSender.FindStringSubmatch(r.text); m != nil {
		return m[1]
	}
	return ""
}

var shownSender = regexp.MustCompile(`<([^>]*)> sender rejected`)

// talk is one SMTP or POP3 session. The first error ends it.
type talk struct {
	text *textproto.Conn
	err  error
}

// dial opens a session and greets; on 465 under TLS.
func (s *soak) dial(ctx context.Context, from netip.Addr, port int) *talk {
	n, err := s.world.Dial(ctx, from, port)
	if err != nil {
		return &talk{err: err}
	}
	if err := n.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return &talk{err: err}
	}
	if port == 465 {
		n = tls.Client(n, &tls.Config{InsecureSkipVerify: true}) // the host's own certificate
	}
	t := &talk{text: textproto.NewConn(n)}
	if got := t.say(""); port == 110 || !strings.HasPrefix(got, "220 ") {
		return t
	}
	t.say("EHLO pc.test")
	return t
}

func (t *talk) close() {
	if t.text != nil {
		_ = t.text.Close() // the server may have gone first
	}
}

// say sends a line, unless it is empty, and returns the reply's last line.
func (t *talk) say(line string) string {
	if t.err != nil {
		return ""
	}
	got, err := (&client{text: t.text}).ask(line)
	t.err = err
	return got
}

// end is the reply that decides a try.
func (t *talk) end(text string) reply { return reply{text, t.err} }

func positive(text string) bool {
	return strings.HasPrefix(text, "2") || strings.HasPrefix(text, "3")
}

// mail sends one message as far as the server lets it.
func (t *talk) mail(sender, recipient, header string) reply {
	for _, line := range []string{"MAIL FROM:<" + sender + ">", "RCPT TO:<" + recipient + ">", "DATA"} {
		if got := t.say(line); !positive(got) {
			return t.end(got)
		}
	}
	return t.end(t.say(fmt.Sprintf("%sFrom: <%s>\r\nSubject: soak\r\n\r\nHello\r\n.", header, sender)))
}
