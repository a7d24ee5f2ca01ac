package manual

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
)

// roff is a manual page as it is written, in the man(7) macros that groff and
// mandoc share.
type roff struct{ bytes.Buffer }

// maxLine is how long a line of text gets, in bytes; mandoc complains from 80 on.
const maxLine = 76

// title is the page's first line.
func (r *roff) title(name string, section int, s Stamp) {
	fmt.Fprintf(r, ".TH %s %d %s %s Portreeve\n", quoted(strings.ToUpper(name)), section,
		s.Date.UTC().Format("2006-01-02"), quoted("Portreeve "+s.Version))
}

func (r *roff) section(name string)    { fmt.Fprintf(r, ".SH %s\n", quoted(name)) }
func (r *roff) subsection(name string) { fmt.Fprintf(r, ".SS %s\n", quoted(name)) }

// paragraph begins a new one; directly below a heading none is wanted.
func (r *roff) paragraph(text string) {
	if !r.fresh() {
		r.WriteString(".PP\n")
	}
	r.text(text)
}

// item is a term with its explanation below it. Both are roff already.
func (r *roff) item(term, text string) {
	fmt.Fprintf(r, ".TP\n%s\n", term)
	r.text(text)
}

// literal is text whose lines stay as they are.
func (r *roff) literal(text string) {
	if !r.fresh() {
		r.WriteString(".PP\n")
	}
	r.WriteString(".nf\n.RS 4\n")
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		fmt.Fprintln(r, atStart(line))
	}
	r.WriteString(".RE\n.fi\n")
}

// fresh tells whether a heading is the last line.
func (r *roff) fresh() bool {
	body := bytes.TrimRight(r.Bytes(), "\n")
	last := body[bytes.LastIndexByte(body, '\n')+1:]
	return bytes.HasPrefix(last, []byte(".SH ")) || bytes.HasPrefix(last, []byte(".SS "))
}

// text fills lines with words, and begins a line with each sentence, as
// typesetters want it. The words are roff already.
func (r *roff) text(words string) {
	line := ""
	flush := func() {
		if line != "" {
			fmt.Fprintln(r, atStart(line))
			line = ""
		}
	}
	list := strings.Fields(words)
	for i, word := range list {
		if line != "" && len(line)+1+len(word) > maxLine {
			flush()
		}
		if line != "" {
			line += " "
		}
		line += word
		if i+1 < len(list) && endsSentence(word) {
			flush()
		}
	}
	flush()
}

func endsSentence(word string) bool {
	return strings.HasSuffix(strings.TrimRight(word, ")\"'"), ".") || strings.HasSuffix(word, "!") || strings.HasSuffix(word, "?")
}

// atStart keeps a line of text from being taken for a request, and one without
// anything from being taken for a mistake.
func atStart(line string) string {
	if line == "" || line[0] == '.' || line[0] == '\'' {
		return `\&` + line
	}
	return line
}

// signs are characters that have a name in every roff.
var signs = map[rune]string{
	'\\': `\e`, '-': `\-`, '^': `\(ha`, '~': `\(ti`, '`': `\(ga`, '\'': `\(aq`, '"': `\(dq`,
	'…': "...", '–': `\(en`, '→': `\(->`, '×': `\(mu`, '≤': `\(<=`, '≥': `\(>=`, '\u00a0': `\ `,
}

// plain is text as roff; what is no ASCII goes by its number.
func plain(s string) string {
	var b strings.Builder
	for _, c := range s {
		sign, named := signs[c]
		switch {
		case named:
			b.WriteString(sign)
		case c > unicode.MaxASCII:
			fmt.Fprintf(&b, `\[u%04X]`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

func bold(s string) string   { return `\fB` + plain(s) + `\fR` }
func italic(s string) string { return `\fI` + plain(s) + `\fR` }

// quoted is an argument of a macro.
func quoted(s string) string { return `"` + plain(s) + `"` }
