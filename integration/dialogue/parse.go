package dialogue

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// line is one line of a story, with the indentation of its block taken off.
type line struct {
	number int
	text   string
}

func (l line) blank() bool    { return strings.TrimSpace(l.text) == "" }
func (l line) comment() bool  { return strings.HasPrefix(l.text, "#") }
func (l line) indented() bool { return !l.blank() && (l.text[0] == ' ' || l.text[0] == '\t') }

// parser knows what the steps so far have opened and kept, so that a mistyped
// name is found before anything is played.
type parser struct {
	name  string
	story *Story
	conns map[string]bool // opened
	ids   map[string]bool // kept
	errs  []error
}

// Parse reads a story. All mistakes are reported together, each as
// NAME:LINE: what is wrong and what to write.
func Parse(name string, data []byte) (*Story, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s:1: the file is not UTF-8; save it as UTF-8, and write other bytes as \\xNN", name)
	}
	var lines []line
	for i, text := range strings.Split(string(data), "\n") {
		lines = append(lines, line{i + 1, strings.TrimSuffix(text, "\r")})
	}
	p := &parser{
		name:  name,
		story: &Story{Name: name, Settings: Settings{Portreeve: map[string]any{}, Recipe: "milter"}},
		conns: map[string]bool{}, ids: map[string]bool{},
	}
	lines = p.title(lines)
	lines = p.header(lines)
	p.story.Steps = p.steps(lines)
	if len(p.errs) == 0 && len(p.story.Steps) == 0 {
		p.errorf(1, "the story has no steps; begin with `from ADDRESS to PORT`")
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.story, nil
}

func (p *parser) errorf(number int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.name, number, fmt.Sprintf(format, args...)))
}

// title takes the first comment paragraph off.
func (p *parser) title(lines []line) []line {
	for len(lines) > 0 && lines[0].blank() {
		lines = lines[1:]
	}
	var words []string
	for len(lines) > 0 && lines[0].comment() {
		words = append(words, strings.Fields(strings.TrimLeft(lines[0].text, "#"))...)
		lines = lines[1:]
	}
	p.story.Title = strings.Join(words, " ")
	if p.story.Title == "" {
		p.errorf(1, "the story has no title; begin with a comment that says what it shows")
	}
	return lines
}

// header takes the settings off, which stand before the first step.
func (p *parser) header(lines []line) []line {
	for i, l := range lines {
		if l.blank() || l.comment() {
			continue
		}
		word, rest, _ := strings.Cut(l.text, " ")
		if parse := headers[word]; parse == nil {
			return lines[i:]
		} else if err := parse(&p.story.Settings, strings.TrimSpace(rest)); err != nil {
			p.errorf(l.number, "%v", err)
		}
	}
	return nil
}

// steps reads a block of steps; the steps of a repeat come here again.
func (p *parser) steps(lines []line) []Step {
	var steps []Step
	for len(lines) > 0 {
		l := lines[0]
		lines = lines[1:]
		switch {
		case l.blank() || l.comment():
			continue
		case l.indented():
			p.errorf(l.number, "unexpected indentation; only message, accounts and repeat take an indented block")
			continue
		}
		var block []line
		block, lines = p.block(lines)
		if step, ok := p.step(l, block); ok {
			steps = append(steps, step)
		}
	}
	return steps
}

// block takes the indented lines off that follow a step, without the
// indentation of the first one. Blank lines inside belong to it.
func (p *parser) block(lines []line) (block, rest []line) {
	n := 0
	for i, l := range lines {
		if l.indented() {
			n = i + 1
		} else if !l.blank() {
			break
		}
	}
	var indent string
	for _, l := range lines[:n] {
		switch {
		case l.blank() && indent == "":
			p.errorf(l.number, "a blank line before the indented block; take it out")
		case l.blank():
			block = append(block, line{l.number, strings.TrimPrefix(l.text, indent)})
		default:
			if indent == "" {
				indent = l.text[:len(l.text)-len(strings.TrimLeft(l.text, " \t"))]
			}
			text, ok := strings.CutPrefix(l.text, indent)
			if !ok {
				p.errorf(l.number, "indented less than the block's first line")
			}
			block = append(block, line{l.number, text})
		}
	}
	return block, lines[n:]
}

// connName is the prefix of a step on a named connection.
var connName = regexp.MustCompile(`^([a-z][a-z0-9]*): +`)

// step reads one step.
func (p *parser) step(l line, block []line) (Step, bool) {
	s := Step{Line: l.number, Text: l.text}
	text := l.text
	if m := connName.FindStringSubmatch(text); m != nil {
		s.Conn, text = m[1], text[len(m[0]):]
	}
	word, rest, _ := strings.Cut(text, " ")
	verb, found := verbs[verbWord(word)]
	switch {
	case !found:
		p.errorf(l.number, "unknown step %q; see integration/README.md for the steps", word)
		return s, false
	case s.Conn != "" && !verb.conn:
		p.errorf(l.number, "%s has nothing to do with the connection %q; take the prefix off", word, s.Conn)
		return s, false
	case verb.conn && word != "from" && !p.conns[s.Conn]:
		p.errorf(l.number, "no connection is open for this step; write `from ADDRESS to PORT` first")
		return s, false
	case len(block) > 0 && !verb.block:
		p.errorf(block[0].number, "%s takes no indented block", word)
		return s, false
	case len(block) == 0 && verb.block:
		p.errorf(l.number, "%s needs an indented block below it", word)
		return s, false
	}
	action, err := verb.parse(p, args{word: word, rest: rest, block: block})
	if err != nil {
		p.errorf(l.number, "%v", err)
		return s, false
	}
	if word == "from" {
		p.conns[s.Conn] = true
	}
	s.Action = action
	return s, true
}
