package dovecot

import (
	"errors"
	"strings"
)

// maxDepth bounds the nesting of sections; Dovecot's own is below ten.
const maxDepth = 32

var errSections = errors.New("its sections are not closed, or nested too deeply: is it doveconf's?")

// parse reads settings and sections: name = value, kind name {, }.
func parse(text string) (Section, error) {
	stack := []*Section{{Settings: map[string]string{}}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		top := stack[len(stack)-1]
		switch {
		case line == "" || line[0] == '#':
		case line == "}":
			if len(stack) == 1 {
				return Section{}, errSections
			}
			stack = stack[:len(stack)-1]
			parent := stack[len(stack)-1]
			parent.Sections = append(parent.Sections, *top)
		case strings.HasSuffix(line, "{") && !strings.Contains(line, " = "):
			if len(stack) > maxDepth {
				return Section{}, errSections
			}
			kind, name, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(line, "{")), " ")
			stack = append(stack, &Section{Kind: kind, Name: strings.Trim(name, `"`), Settings: map[string]string{}})
		default:
			name, value, ok := strings.Cut(line, "=")
			if ok {
				top.Settings[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
	}
	if len(stack) != 1 {
		return Section{}, errSections
	}
	return *stack[0], nil
}
