package manual

import (
	"regexp"
	"strings"
)

type kind int

const (
	paragraph kind = iota
	heading
	bullet
	code
	row
)

// block is a piece of Markdown: what docs/configuration.md uses, and no more.
type block struct {
	kind  kind
	level int // of a heading
	text  string
	cells []string // of a table's row
}

// parse reads Markdown. The head of a table is left out: every row says what it is.
func parse(text string) []block {
	var list []block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		trimmed := strings.TrimSpace(line)
		open := len(list) > 0 && i > 0 && strings.TrimSpace(lines[i-1]) != ""
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "<!--"):
		case strings.HasPrefix(trimmed, "```"):
			var body []string
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				body = append(body, lines[i])
			}
			list = append(list, block{kind: code, text: strings.Join(body, "\n")})
		case strings.HasPrefix(line, "#"):
			title := strings.TrimLeft(line, "#")
			list = append(list, block{kind: heading, level: len(line) - len(title), text: strings.TrimSpace(title)})
		case strings.HasPrefix(line, "|"):
			if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "| ---") {
				i++ // the head, and the line below it
				continue
			}
			list = append(list, block{kind: row, cells: cells(line)})
		case strings.HasPrefix(line, "- "):
			list = append(list, block{kind: bullet, text: line[2:]})
		case open && (list[len(list)-1].kind == paragraph || list[len(list)-1].kind == bullet):
			list[len(list)-1].text += " " + trimmed
		default:
			list = append(list, block{kind: paragraph, text: trimmed})
		}
	}
	return list
}

func cells(line string) []string {
	list := strings.Split(strings.Trim(line, "| "), " |")
	for i, c := range list {
		list[i] = strings.TrimSpace(c)
	}
	return list
}

// mark is what has a meaning within a line: code, a link, strong text.
var mark = regexp.MustCompile("`([^`]+)`|\\[([^][]+)\\]\\(([^)]+)\\)|\\*\\*([^*]+)\\*\\*")

// inline renders a line. A link to another page of the documentation is its title.
func inline(text string) string {
	var b strings.Builder
	for {
		at := mark.FindStringSubmatchIndex(text)
		if at == nil {
			return b.String() + plain(text)
		}
		b.WriteString(plain(text[:at[0]]))
		for i, render := range map[int]func(string) string{1: bold, 2: plain, 4: bold} {
			if at[2*i] >= 0 {
				b.WriteString(render(text[at[2*i]:at[2*i+1]]))
			}
		}
		text = text[at[1]:]
	}
}
