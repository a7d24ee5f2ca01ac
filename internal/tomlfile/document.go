package tomlfile

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Document is one parsed file. It is not safe for concurrent use.
type Document struct {
	path      string
	text      string
	data      map[string]any
	positions *node // found when the first problem needs them
}

// Path leads to a value: the keys of the tables, and Index for list entries.
type Path []string

// Index is the step of a Path to the entry i of a list, from 0.
func Index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// String is the path as one would write it in TOML, with [i] for list entries.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch {
		case isIndex(step):
			b.WriteString(step)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(quoteKey(step))
	}
	return b.String()
}

func isIndex(step string) bool {
	_, ok := indexOf(step)
	return ok
}

// indexOf reads a step that Index made.
func indexOf(step string) (int, bool) {
	if len(step) < 3 || step[0] != '[' || step[len(step)-1] != ']' {
		return 0, false
	}
	i, err := strconv.Atoi(step[1 : len(step)-1])
	return i, err == nil && i >= 0
}

// quoteKey quotes what is no bare key (TOML 1.0, "Keys").
func quoteKey(key string) string {
	for i := 0; i < len(key); i++ {
		if !isBareKey(key[i]) {
			return strconv.Quote(key)
		}
	}
	if key == "" {
		return `""`
	}
	return key
}

func isBareKey(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// Read reads and parses a file. The Document is nil if that was not possible;
// the one problem then says why.
func Read(path string) (*Document, []Problem) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, []Problem{unreadable(path, err)}
	}
	return Parse(path, text)
}

// unreadable is the problem of a file that cannot be read.
func unreadable(path string, err error) Problem {
	p := Problem{File: path, What: "cannot be read (" + Cause(err) + ")", Remedy: "correct the path, or let Portreeve's user read it"}
	if errors.Is(err, fs.ErrNotExist) {
		p.What, p.Remedy = "does not exist", "create it, or name another file"
	}
	return p
}

// Cause is a file error without the operation and the path, which a Problem
// names already.
func Cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Parse parses the text of a file; path is only what problems are reported
// under. A syntax error ends the parsing, so it is reported alone.
func Parse(path string, text []byte) (*Document, []Problem) {
	// The parser leaves out a byte order mark before it counts.
	d := &Document{path: path, text: strings.TrimPrefix(string(text), "\ufeff")}
	if _, err := toml.Decode(d.text, &d.data); err != nil {
		return nil, []Problem{d.syntax(err)}
	}
	return d, nil
}

// syntax says what the parser could not read.
func (d *Document) syntax(err error) Problem {
	p := Problem{File: d.path, What: err.Error(), Remedy: "correct the line; the rules of TOML are at https://toml.io/en/v1.0.0"}
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return p
	}
	p.Line, p.Key = d.errorLine(pe), pe.LastKey
	p.What = "not TOML: " + strings.TrimSuffix(lowerFirst(pe.Message), ".")
	switch {
	case strings.Contains(pe.Message, "already been defined"), strings.Contains(pe.Message, "already defined"):
		p.Remedy = "keep one of them"
	case strings.Contains(pe.Message, "expected '.' or '='"):
		p.Remedy = `put a name with signs like @ in double quotes, and "=" after it`
	case strings.Contains(pe.Message, "expected value but found"):
		p.Remedy = `put text in double quotes; numbers, true and false go without`
	case strings.Contains(pe.Message, "strings cannot contain newlines"):
		p.Remedy = "close the quotes on the same line"
	case strings.Contains(pe.Message, "UTF-8"):
		p.Remedy = "save the file as UTF-8 text"
	}
	return p
}

// errorLine is the line of a syntax error. The parser has the byte right, but
// counts a line too many for a newline that it did not expect, and none for
// NUL bytes (BurntSushi/toml 1.6.0).
func (d *Document) errorLine(pe toml.ParseError) int {
	start := pe.Position.Start
	if nul := strings.IndexByte(d.text, 0); nul >= 0 && strings.Contains(pe.Message, "NULL") {
		start = nul
	}
	return 1 + strings.Count(d.text[:max(0, min(start, len(d.text)))], "\n")
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// Has tells whether the file has the key.
func (d *Document) Has(at ...string) bool {
	var v any = d.data
	for _, step := range at {
		table, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = table[step]; !ok {
			return false
		}
	}
	return true
}

// Line is where the key stands; for a key that the file does not have, where
// the nearest table around it does, and 0 if there is none.
func (d *Document) Line(at ...string) int {
	if d.positions == nil {
		d.positions = locate(d.text)
	}
	return d.positions.lineOf(at)
}

// Problem reports something about a key.
func (d *Document) Problem(what, remedy string, at ...string) Problem {
	return Problem{File: d.path, Line: d.Line(at...), Key: Path(at).String(), What: what, Remedy: remedy}
}
