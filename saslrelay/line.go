package saslrelay

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strconv"

	"portreeve/rules"
)

var tab = []byte{'\t'}

var (
	errEmpty     = errors.New("an empty line")
	errForbidden = errors.New("NUL or CR in a line")
	errNoID      = errors.New("a command without its request's number")
	errTwice     = errors.New("a request's number is in use")
	errNotAsked  = errors.New("an answer that nobody asked for")
)

// malformed is what ends a connection. It never has the line's content: that may
// be a password.
type malformed struct{ why error }

func (m malformed) Error() string { return "malformed line: " + m.why.Error() }

// The commands that are about one request, by who sends them. All others belong
// to the handshake, or to a later version, and are passed on unread.
var (
	commandsOfPostfix = []string{"AUTH", "CONT", "CANCEL"}
	commandsOfDovecot = []string{"OK", "CONT", "FAIL"}
)

// message is one line about a request.
type message struct {
	command string // empty: none of ours
	id      uint32
	rest    []byte // the fields after the id, with tabs between them
}

// parse reads a line as far as the relay needs it.
func parse(line []byte, commands []string) (message, error) {
	if len(line) == 0 {
		return message{}, malformed{errEmpty}
	}
	if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return message{}, malformed{errForbidden}
	}
	command, fields, _ := bytes.Cut(line, tab)
	at := slices.Index(commands, string(command))
	if at < 0 {
		return message{}, nil
	}
	number, rest, _ := bytes.Cut(fields, tab)
	id, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil || id == 0 || number[0] == '+' { // Dovecot takes no 0 either
		return message{}, malformed{errNoID}
	}
	return message{command: commands[at], id: uint32(id), rest: rest}, nil
}

// fields yields the optional parameters: name and value, which is nil for a
// boolean.
func fields(rest []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for field := range bytes.SplitSeq(rest, tab) {
			name, value, _ := bytes.Cut(field, []byte{'='})
			if len(field) > 0 && !yield(string(name), value) {
				return
			}
		}
	}
}

// unescape undoes Dovecot's tab-escaping (\001 and a letter).
func unescape(s []byte) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 1 && i+1 < len(s) {
			i++
			c = s[i]
			if at := bytes.IndexByte([]byte("01trl"), c); at >= 0 {
				c = "\x00\x01\t\r\n"[at]
			}
		}
		out = append(out, c)
	}
	return string(out)
}

// verdict is what an OK or a FAIL says.
type verdict struct {
	user     string // as Dovecot knows the login; what Postfix will take it for
	named    bool   // there was a user
	reasoned bool   // there was a reason
	temp     bool   // the backend's fault
	disabled bool
}

// verdictOf reads the fields of an OK or a FAIL. Before 2.3 the codes were
// booleans ("temp", "user_disabled").
func verdictOf(rest []byte) (v verdict) {
	for name, value := range fields(rest) {
		switch name {
		case "user":
			v.user, v.named = unescape(value), true
		case "reason":
			v.reasoned = true
		case "code":
			v.temp = v.temp || string(value) == "temp_fail"
			v.disabled = v.disabled || string(value) == "user_disabled"
		case "temp":
			v.temp = true
		case "user_disabled":
			v.disabled = true
		}
	}
	return v
}

// refusal is a FAIL of our own. Postfix reads user= for its log and reason= for
// the client (FACTS.md 2.10) and undoes no escaping, so that what is not
// printable becomes "?".
func refusal(id uint32, login, text string) []byte {
	line := strconv.AppendUint([]byte("FAIL\t"), uint64(id), 10)
	if login != "" {
		line = append(append(line, "\tuser="...), rules.PrintableSender(login)...)
	}
	return append(append(line, "\treason="...), printable(text)...)
}

// withReason is Dovecot's FAIL with our reason in the place of its own.
func withReason(m message, text string) []byte {
	line := strconv.AppendUint([]byte("FAIL\t"), uint64(m.id), 10)
	for field := range bytes.SplitSeq(m.rest, tab) {
		if len(field) > 0 && !bytes.HasPrefix(field, []byte("reason=")) {
			line = append(append(line, '\t'), field...)
		}
	}
	return append(append(line, "\treason="...), printable(text)...)
}

// printable is the text as one line of printable ASCII: an SMTP reply.
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
