package tomlfile

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// node is the place of a value. The tree has the shape of the decoded maps and
// lists.
type node struct {
	line  int
	keys  map[string]*node
	items []*node
}

// lineOf walks down as far as the path goes.
func (n *node) lineOf(at Path) int {
	line := n.line
	for _, step := range at {
		next := n.keys[step]
		if i, ok := indexOf(step); ok && next == nil && i < len(n.items) {
			next = n.items[i]
		}
		if next == nil {
			break
		}
		n, line = next, next.line
	}
	return line
}

// child finds or makes the node of a key. Through an array of tables the path
// goes to the last one (TOML 1.0, "Array of Tables").
func (n *node) child(key string, line int) *node {
	if len(n.items) > 0 {
		n = n.items[len(n.items)-1]
	}
	c := n.keys[key]
	if c == nil {
		c = &node{line: line}
		if n.keys == nil {
			n.keys = map[string]*node{}
		}
		n.keys[key] = c
	}
	return c
}

// maxNesting ends the search for lines inside of values that no sensible file
// has; their keys are reported at the line where that begins.
const maxNesting = 1000

// locator walks over text that the parser has accepted. It notes where keys and
// list entries stand and looks at nothing else. Text that is not TOML gives
// wrong places, but no harm.
type locator struct {
	text  string
	pos   int
	line  int
	depth int
}

// locate finds the lines of everything in a document.
func locate(text string) *node {
	l := &locator{text: text, line: 1}
	root := &node{}
	table := root
	for {
		l.skip(" \t\r\n")
		switch {
		case l.pos >= len(l.text):
			return root
		case l.text[l.pos] == '[':
			table = l.header(root)
		default:
			before := l.pos
			l.pair(table)
			if l.pos == before {
				l.advance(1)
			}
		}
	}
}

// header reads [table] or [[array of tables]].
func (l *locator) header(root *node) *node {
	array := strings.HasPrefix(l.text[l.pos:], "[[")
	l.advance(1)
	if array {
		l.advance(1)
	}
	line := l.line
	n := root
	for _, key := range l.path() {
		n = n.child(key, line)
	}
	switch {
	case array:
		item := &node{line: line}
		n.items = append(n.items, item)
		n = item
	case n != root:
		n.line = line // a header is a better place than a [table.below] that came first
	}
	l.skip(" \t]")
	return n
}

// pair reads key = value.
func (l *locator) pair(table *node) {
	n, line := table, l.line
	for _, key := range l.path() {
		n = n.child(key, line)
	}
	l.skip(" \t")
	if l.peek() == '=' {
		l.advance(1)
		l.skip(" \t")
		l.value(n)
	}
}

// path reads a dotted key.
func (l *locator) path() []string {
	var path []string
	for {
		l.skip(" \t")
		key, ok := l.key()
		if !ok {
			return path
		}
		path = append(path, key)
		l.skip(" \t")
		if l.peek() != '.' {
			return path
		}
		l.advance(1)
	}
}

// key reads one bare or quoted key.
func (l *locator) key() (string, bool) {
	start := l.pos
	switch c := l.peek(); {
	case c == '"' || c == '\'':
		l.quoted(c)
		return unquote(l.text[start:l.pos]), true
	default:
		for l.pos < len(l.text) && isBareKey(l.text[l.pos]) {
			l.advance(1)
		}
		return l.text[start:l.pos], l.pos > start
	}
}

// unquote leaves escapes to the parser, so that both read them alike.
func unquote(quoted string) string {
	if quoted[0] == '"' && strings.Contains(quoted, `\`) {
		var v struct{ K string }
		if _, err := toml.Decode("K = "+quoted, &v); err == nil {
			return v.K
		}
	}
	return strings.Trim(quoted, quoted[:1])
}

// value reads past a value and notes what is inside of lists and inline tables.
func (l *locator) value(n *node) {
	l.depth++
	defer func() { l.depth-- }()
	switch c := l.peek(); {
	case l.depth > maxNesting:
		l.pos = len(l.text)
	case c == '[':
		l.entries(']', func() {
			item := &node{line: l.line}
			n.items = append(n.items, item)
			l.value(item)
		})
	case c == '{':
		l.entries('}', func() { l.pair(n) })
	case c == '"' || c == '\'':
		l.quoted(c)
	default:
		for l.pos < len(l.text) && !strings.ContainsRune(",]}#\n", rune(l.text[l.pos])) {
			l.advance(1)
		}
	}
}

// entries reads what stands between brackets, separated by commas, newlines and
// comments.
func (l *locator) entries(end byte, entry func()) {
	l.advance(1)
	for {
		l.skip(" \t\r\n,")
		if l.pos >= len(l.text) {
			return
		}
		if l.peek() == end {
			l.advance(1)
			return
		}
		before := l.pos
		entry()
		if l.pos == before {
			return // not TOML; what follows is read as something else
		}
	}
}

// quoted reads past a string of any of the four kinds.
func (l *locator) quoted(quote byte) {
	one := string(quote)
	end, escapes := one, quote == '"'
	if triple := strings.Repeat(one, 3); strings.HasPrefix(l.text[l.pos:], triple) {
		end = triple
	}
	l.advance(len(end))
	for l.pos < len(l.text) {
		switch {
		case escapes && l.peek() == '\\':
			l.advance(2)
		case strings.HasPrefix(l.text[l.pos:], end):
			l.advance(len(end))
			// Up to two quotes may stand directly before the closing three.
			for i := 0; len(end) == 3 && i < 2 && l.peek() == quote; i++ {
				l.advance(1)
			}
			return
		case len(end) == 1 && l.peek() == '\n':
			return
		default:
			l.advance(1)
		}
	}
}

// skip reads past any of the characters, and past comments where a newline is
// among them.
func (l *locator) skip(chars string) {
	comments := strings.Contains(chars, "\n")
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case strings.IndexByte(chars, c) >= 0:
			l.advance(1)
		case comments && c == '#':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.advance(1)
			}
		default:
			return
		}
	}
}

func (l *locator) peek() byte {
	if l.pos < len(l.text) {
		return l.text[l.pos]
	}
	return 0
}

func (l *locator) advance(n int) {
	for ; n > 0 && l.pos < len(l.text); n-- {
		if l.text[l.pos] == '\n' {
			l.line++
		}
		l.pos++
	}
}
