package postfix

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Master is the text of a master.cf, or of postconf -M, which is one.
type Master struct {
	text    string
	entries []*Entry
}

// Entry is one service. Offsets are of the master's text.
type Entry struct {
	Name, Type, Command string
	Chroot              string // y, n or -
	Line                int    // from 1
	Stray               string // the first argument that is no option: no daemon starts with one
	Options             []Option
	words               []span // every word, comments between them left out
	end                 int    // behind its last line's newline
}

// Option is one -o of a service.
type Option struct {
	Name, Value string
	at          span // the word that is name=value
}

// ParseMaster reads master(5)'s format. Lines that are no service are passed
// over: Postfix complains of them itself.
func ParseMaster(text string) *Master {
	m := &Master{text: text}
	var current *Entry
	at, number := 0, 0
	for line := range strings.Lines(text) {
		number++
		from := at
		at += len(line)
		trimmed := strings.TrimLeft(line, blanks)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if strings.IndexByte(blanks, line[0]) < 0 || current == nil {
			current = &Entry{Line: number}
			m.entries = append(m.entries, current)
		}
		current.end = at
		current.words = append(current.words, span{from, at})
	}
	m.entries = slices.DeleteFunc(m.entries, func(e *Entry) bool { return !m.read(e) })
	return m
}

// read turns an entry's lines into its words. A brace group may go on over
// lines, so the words are found in the joined lines and mapped back.
func (m *Master) read(e *Entry) bool {
	var joined strings.Builder
	var origin []int // of each byte of joined
	for _, line := range e.words {
		for i := line.from; i < line.to; i++ {
			joined.WriteByte(m.text[i])
			origin = append(origin, i)
		}
	}
	list, err := spans(joined.String(), blanks)
	if err != nil || len(list) < 8 {
		return false
	}
	words := make([]string, len(list))
	e.words = e.words[:0]
	for i, s := range list {
		words[i] = joined.String()[s.from:s.to]
		e.words = append(e.words, span{origin[s.from], origin[s.to-1] + 1})
	}
	e.Name, e.Type, e.Chroot, e.Command = words[0], words[1], words[4], words[7]
	e.readOptions(words)
	return true
}

func (e *Entry) readOptions(words []string) {
	for i := 8; i < len(words); i++ {
		text := words[i]
		switch {
		case text == "-o" && i+1 < len(words):
			i++
			text = words[i]
		case strings.HasPrefix(text, "-o") && len(text) > 2: // -oname=value
			text = text[2:]
		case strings.HasPrefix(text, "-") && text != "-o":
			continue
		default:
			e.Stray = text
			return
		}
		if name, value, ok := Assignment(Unbrace(text)); ok {
			e.Options = append(e.Options, Option{Name: name, Value: value, at: e.words[i]})
		}
	}
}

// Entries lists the services.
func (m *Master) Entries() []*Entry { return m.entries }

// Find returns the service of that name and type, or nil.
func (m *Master) Find(name, kind string) *Entry {
	for _, e := range m.entries {
		if e.Name == name && e.Type == kind {
			return e
		}
	}
	return nil
}

// String is the text.
func (m *Master) String() string { return m.text }

// Option returns the value that a service sets with -o; of several the last.
func (e *Entry) Option(name string) (string, bool) {
	for _, o := range slices.Backward(e.Options) {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// Port is the port of an inet service; 0 if the services file does not know
// its name, of which Postfix complains itself.
func (e *Entry) Port() uint16 {
	if e.Type != "inet" {
		return 0
	}
	name := e.Name
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	port, err := net.LookupPort("tcp", name)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// Set gives a service an option: in place of the one that is there, or on a
// line of its own behind the service's last one. All else stays as it is.
func (m *Master) Set(name, kind, option, value string) error {
	e := m.Find(name, kind)
	if e == nil {
		return fmt.Errorf("master.cf has no service %s/%s: correct its name", name, kind)
	}
	if e.Stray != "" { // nobody would see an option behind it
		return fmt.Errorf("%s/%s has the argument %q, which is no option: comment its line out", name, kind, e.Stray)
	}
	text := optionText(option, value)
	for _, o := range slices.Backward(e.Options) {
		if o.Name != option {
			continue
		}
		if m.text[o.at.from] == '-' { // -oname=value
			text = "-o " + text
		}
		*m = *ParseMaster(m.text[:o.at.from] + text + m.text[o.at.to:])
		return nil
	}
	head, tail := m.text[:e.end], m.text[e.end:]
	if !strings.HasSuffix(head, "\n") {
		head += "\n"
	}
	*m = *ParseMaster(head + "  -o " + text + "\n" + tail)
	return nil
}

// optionText writes name=value; in braces (3.0) where the value has blanks.
func optionText(name, value string) string {
	if strings.ContainsAny(value, blanks+"{}") {
		return "{ " + name + " = " + value + " }"
	}
	return name + "=" + value
}

// Insert puts a block of services behind the commented-out sample of the named
// service if there is one, else behind the entry that is given, else at the end.
func (m *Master) Insert(block, sample string, behind *Entry) {
	at := len(m.text)
	if behind != nil {
		at = behind.end
	}
	if end := sampleEnd(m.text, sample); end > 0 {
		at = end
	}
	head := m.text[:at]
	if head != "" && !strings.HasSuffix(head, "\n") {
		head += "\n"
	}
	*m = *ParseMaster(head + block + m.text[at:])
}

// sampleEnd finds the end of a sample such as Debian's "#submission inet …" with
// its "#  -o …" lines; 0 if there is none.
func sampleEnd(text, name string) int {
	at, end, inside := 0, 0, false
	for line := range strings.Lines(text) {
		at += len(line)
		f := strings.Fields(line)
		switch {
		case len(f) > 2 && f[0] == "#"+name && f[1] == "inet":
			inside, end = true, at
		case inside && (strings.HasPrefix(line, "#  ") || strings.HasPrefix(line, "#\t")):
			end = at
		default:
			inside = false
		}
	}
	return end
}
