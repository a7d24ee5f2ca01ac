package mimic

import "strings"

// parsePath reads the argument of MAIL or RCPT: the path as the client wrote
// it, with its brackets, and the ESMTP arguments behind it.
func parsePath(rest, keyword string) (path string, arguments []string, ok bool) {
	if len(rest) < len(keyword) || !strings.EqualFold(rest[:len(keyword)], keyword) {
		return "", nil, false
	}
	rest = strings.TrimLeft(rest[len(keyword):], " ")
	quoted, bracketed := false, false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			bracketed = true
		case c == '>':
			bracketed = false
		case c == ' ' && !bracketed:
			return rest[:i], strings.Fields(rest[i:]), i > 0
		}
	}
	return rest, nil, rest != ""
}

// Internal is the address as the policy service gets it (FACTS.md 1.5):
// without brackets and route, the local part unquoted. A bare name, % and !
// stay as they are: Postfix rewrites them later.
func Internal(path string) string {
	if strings.HasPrefix(path, "<") && strings.HasSuffix(path, ">") {
		path = path[1 : len(path)-1]
	}
	if strings.HasPrefix(path, "@") {
		if _, after, ok := strings.Cut(path, ":"); ok {
			path = after
		}
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '"':
		case '\\':
			if i++; i < len(path) {
				b.WriteByte(path[i])
			}
		default:
			b.WriteByte(path[i])
		}
	}
	return b.String()
}
