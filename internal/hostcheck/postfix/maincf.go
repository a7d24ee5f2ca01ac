package postfix

import "strings"

// Main is the text of a main.cf.
type Main struct{ text string }

// ParseMain reads postconf(5)'s format.
func ParseMain(text string) *Main { return &Main{text} }

// String is the text.
func (m *Main) String() string { return m.text }

// lines lists where the lines of a parameter stand: its first line and those
// that continue it. Comments and empty lines between them are left out; of
// several settings of one parameter the last counts, as in Postfix.
func (m *Main) lines(name string) []span {
	var found []span
	at, inside := 0, false
	for line := range strings.Lines(m.text) {
		here := span{at, at + len(line)}
		at += len(line)
		trimmed := strings.TrimLeft(line, blanks)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case strings.IndexByte(blanks, line[0]) >= 0:
			if inside {
				found = append(found, here)
			}
		default:
			n, _, ok := Assignment(line)
			if inside = ok && n == name; inside {
				found = []span{here}
			}
		}
	}
	return found
}

// Has tells whether the parameter is set.
func (m *Main) Has(name string) bool { return len(m.lines(name)) > 0 }

// Value is the parameter as written, its lines joined; no $name is expanded.
func (m *Main) Value(name string) string {
	var text strings.Builder
	for _, s := range m.lines(name) {
		text.WriteString(m.text[s.from:s.to])
	}
	_, value, _ := Assignment(text.String())
	return value
}

// Set gives a parameter a value, in the place of the old one, or at the end
// below the comment. Comments between the old lines stay.
func (m *Main) Set(name, value, comment string) {
	line := name + " = " + value + "\n"
	if strings.HasPrefix(value, "\n") {
		line = name + " =" + value + "\n"
	}
	if value == "" {
		line = name + " =\n"
	}
	old := m.lines(name)
	if len(old) == 0 {
		if m.text != "" && !strings.HasSuffix(m.text, "\n") {
			m.text += "\n"
		}
		m.text += comment + line
		return
	}
	var out strings.Builder
	at := 0
	for i, s := range old {
		out.WriteString(m.text[at:s.from])
		if i == 0 {
			out.WriteString(line)
		}
		at = s.to
	}
	out.WriteString(m.text[at:])
	m.text = out.String()
}

// Lines writes a list with one entry a line, as the fragments of contrib/postfix do.
func Lines(entries []string) string {
	return "\n    " + strings.Join(entries, ",\n    ")
}
