package postfix

import (
	"errors"
	"strings"
)

// What an expansion may cost: a value that names itself, or doubles itself at
// each step, must not take the program with it.
const (
	maxNesting  = 20
	maxExpanded = 256 << 10 // bytes
)

var (
	// ErrExpand is a $ expression that is not read here, such as a comparison.
	ErrExpand = errors.New("an expression in ${…} that is not understood here: write it out")
	// ErrNesting is a value that names itself, or is too long written out.
	ErrNesting = errors.New("a parameter that names itself, or is too long written out: correct it")
)

// Expand replaces $name, ${name}, $(name), ${name?text} and ${name:text}, the
// texts with or without braces (postconf(5)). An unknown name is empty.
// Comparisons, ${{…} == {…} ? …}, are ErrExpand.
func Expand(value string, lookup func(name string) (string, bool)) (string, error) {
	e := expander{lookup: lookup}
	if err := e.text(value, 0); err != nil {
		return "", err
	}
	return e.out.String(), nil
}

type expander struct {
	lookup func(string) (string, bool)
	out    strings.Builder
}

func (e *expander) text(s string, depth int) error {
	if depth > maxNesting {
		return ErrNesting
	}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			i = len(s)
		}
		e.out.WriteString(s[:i])
		if e.out.Len() > maxExpanded {
			return ErrNesting
		}
		if i == len(s) {
			return nil
		}
		rest, err := e.dollar(s[i+1:], depth)
		if err != nil {
			return err
		}
		s = rest
	}
	return nil
}

// dollar expands what follows a "$" and returns what comes after it.
func (e *expander) dollar(s string, depth int) (rest string, err error) {
	switch {
	case s == "":
		return "", ErrExpand
	case s[0] == '$':
		e.out.WriteByte('$')
		return s[1:], nil
	case s[0] == '{', s[0] == '(':
		end := closing(s)
		if end < 0 {
			return "", ErrBraces
		}
		return s[end+1:], e.inner(strings.Trim(s[1:end], blanks), depth)
	}
	n := nameLength(s)
	if n == 0 {
		return "", ErrExpand
	}
	return s[n:], e.name(s[:n], depth)
}

// inner expands the inside of ${…}.
func (e *expander) inner(s string, depth int) error {
	n := nameLength(s)
	if n == 0 {
		return ErrExpand
	}
	name, rest := s[:n], strings.TrimLeft(s[n:], blanks)
	if rest == "" {
		return e.name(name, depth)
	}
	if rest[0] != '?' && rest[0] != ':' {
		return ErrExpand
	}
	value, _ := e.lookup(name)
	then, otherwise := rest[1:], ""
	if rest[0] == ':' {
		then, otherwise = "", rest[1:]
	} else if t := strings.TrimLeft(then, blanks); t != "" && t[0] == '{' {
		end := closing(t)
		if end < 0 {
			return ErrBraces
		}
		after := strings.TrimLeft(t[end+1:], blanks)
		then = t[:end+1]
		otherwise, _ = strings.CutPrefix(after, ":")
	}
	if value != "" {
		return e.text(branch(then), depth+1)
	}
	return e.text(branch(otherwise), depth+1)
}

func branch(s string) string { return Unbrace(strings.Trim(s, blanks)) }

func (e *expander) name(name string, depth int) error {
	value, _ := e.lookup(name)
	return e.text(value, depth+1)
}

// closing finds the end of the group that s begins with.
func closing(s string) int {
	open := s[0]
	end := map[byte]byte{'{': '}', '(': ')'}[open]
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case end:
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
