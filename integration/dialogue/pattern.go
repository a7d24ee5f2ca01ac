package dialogue

import (
	"fmt"
	"regexp"
	"strings"
)

// An id is 22 characters of base 62 (SPEC.md section 2).
const idExpr = `[0-9A-Za-z]{22}`

// Pattern matches one whole line: `*` stands for any run of characters, {id}
// for an id, {id:NAME} for an id that is kept under a name and must be the
// same wherever the name appears, {id:NAME!=OTHER} for one that also differs
// from another that was kept before. Everything else is literal.
type Pattern struct {
	text  string
	parts []part
}

// part is a literal, a run (any) or an id.
type part struct {
	literal string
	any, id bool
	name    string // of an id that is kept
	unlike  string // name of an id that this one must differ from
}

var (
	idPart  = regexp.MustCompile(`^\{id(?::([a-z][a-z0-9]*)(?:!=([a-z][a-z0-9]*))?)?\}`)
	idNamed = regexp.MustCompile(`\{([a-z][a-z0-9]*)\}`)
)

// ParsePattern reads a pattern. A brace that opens nothing known is an error,
// so that a mistyped {id} is not taken literally.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	literal := func(s string) {
		if n := len(p.parts); n > 0 && p.parts[n-1].literal != "" {
			p.parts[n-1].literal += s
			return
		}
		p.parts = append(p.parts, part{literal: s})
	}
	for rest := text; rest != ""; {
		switch rest[0] {
		case '*':
			p.parts = append(p.parts, part{any: true})
			rest = rest[1:]
		case '{':
			m := idPart.FindStringSubmatch(rest)
			if m == nil {
				return Pattern{}, fmt.Errorf("unknown braces in %q; write {id}, {id:NAME} or {id:NAME!=OTHER}", rest)
			}
			p.parts = append(p.parts, part{id: true, name: m[1], unlike: m[2]})
			rest = rest[len(m[0]):]
		default:
			end := strings.IndexAny(rest, "*{")
			if end < 0 {
				end = len(rest)
			}
			literal(rest[:end])
			rest = rest[end:]
		}
	}
	return p, nil
}

// String is the pattern as written.
func (p Pattern) String() string { return p.text }

// Match matches a line and adds the ids that it names to ids. When it does not
// match, ids is unchanged and why tells what is wrong beyond "different".
func (p Pattern) Match(line string, ids map[string]string) (ok bool, why string) {
	m := p.regexp(ids).FindStringSubmatch(line)
	if m == nil {
		return false, p.whyNot(line, ids)
	}
	found, group := map[string]string{}, 0
	for _, part := range p.parts {
		if !part.id {
			continue
		}
		group++
		id := m[group]
		if former, seen := found[part.name]; part.name != "" && seen && former != id {
			return false, fmt.Sprintf("{id:%s} stands for two different ids", part.name)
		}
		if part.unlike != "" && ids[part.unlike] == id {
			return false, fmt.Sprintf("the id is the same as {%s}", part.unlike)
		}
		if part.name != "" {
			found[part.name] = id
		}
	}
	for name, id := range found {
		ids[name] = id
	}
	return true, ""
}

// regexp puts the ids that are known in their places: among several ids on a
// line the right one is then found.
func (p Pattern) regexp(ids map[string]string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for _, part := range p.parts {
		switch known := ids[part.name]; {
		case part.any:
			b.WriteString(`.*`)
		case !part.id:
			b.WriteString(regexp.QuoteMeta(part.literal))
		case part.name != "" && known != "":
			b.WriteString(`(` + regexp.QuoteMeta(known) + `)`)
		default:
			b.WriteString(`(` + idExpr + `)`)
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// whyNot recognises the mismatch that is hardest to see: a line that is right
// but for the id.
func (p Pattern) whyNot(line string, ids map[string]string) string {
	if len(ids) > 0 && p.regexp(nil).MatchString(line) {
		return "the line is right but for an id that must be the one seen before"
	}
	return ""
}

// names lists what the pattern keeps and what it compares with.
func (p Pattern) names() (kept, compared []string) {
	for _, part := range p.parts {
		if part.name != "" {
			kept = append(kept, part.name)
		}
		if part.unlike != "" {
			compared = append(compared, part.unlike)
		}
	}
	return kept, compared
}
