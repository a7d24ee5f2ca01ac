package mimic

import "strings"

// headerSize is Postfix's header_size_limit; what is longer arrives truncated
// (FACTS.md 1.10).
const headerSize = 102400

// data takes a message. The milter sees its content when it is complete, and
// its refusal is the reply to the final dot.
func (s *smtp) data() bool {
	switch {
	case len(s.recipients) == 0 && s.mail:
		s.peer.say("554 5.5.1 Error: no valid recipients")
		return true
	case len(s.recipients) == 0:
		s.peer.say("503 5.5.1 Error: need RCPT command")
		return true
	}
	if reply := s.milter.event(cmdData, nil); reply != "" {
		s.peer.say(reply)
		return true
	}
	s.peer.say("354 End data with <CR><LF>.<CR><LF>")
	var lines []string // at a bare LF too a line ends (FACTS.md 1.10)
	for {
		line, err := s.peer.line()
		if err != nil {
			return false
		}
		if line == "." {
			break
		}
		lines = append(lines, strings.TrimPrefix(line, "."))
	}
	reply := s.endOfData()
	if reply == "" {
		reply = s.content(lines)
	}
	reply = or(reply, "250 2.0.0 Ok: queued as "+s.queueID)
	s.reset()
	s.peer.say(reply)
	return true
}

// content shows the milter the message.
func (s *smtp) content(lines []string) string {
	fields, body := split(lines)
	for _, f := range fields {
		if s.milter.events&leadingSpace == 0 {
			f.value = strings.TrimPrefix(f.value, " ")
		}
		if reply := s.milter.event(cmdHeader, []byte(f.name+"\x00"+f.value+"\x00")); reply != "" {
			return reply
		}
	}
	if reply := s.milter.event(cmdEOH, nil); reply != "" {
		return reply
	}
	for text := strings.Join(body, "\r\n"); text != ""; {
		n := min(len(text), chunk)
		if reply := s.milter.event(cmdBody, []byte(text[:n])); reply != "" {
			return reply
		}
		text = text[n:]
	}
	return s.milter.event(cmdEOM, nil)
}

// field is a header field as a milter is shown it.
type field struct{ name, value string }

// split tells the header from the body. The header ends at an empty line, or
// at one that is no header field, a name with a BOM or an NBSP before it for
// instance (FACTS.md 1.10).
func split(lines []string) (fields []field, body []string) {
	for i, l := range lines {
		if l == "" {
			return fields, lines[i+1:]
		}
		if n := len(fields); n > 0 && (l[0] == ' ' || l[0] == '\t') {
			fields[n-1].value += "\n" + l
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		name = strings.TrimRight(name, " \t") // "from :" arrives as "from"
		if !ok || name == "" || strings.ContainsFunc(name, notInName) {
			body = lines[i:]
			break
		}
		fields = append(fields, field{name, value})
	}
	for i, f := range fields {
		fields[i].value = f.value[:min(len(f.value), headerSize)]
	}
	return fields, body
}

func notInName(r rune) bool { return r <= ' ' || r >= 0x7f }
