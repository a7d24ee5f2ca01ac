package tomlfile

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Text is a type that stands in a file as a quoted text.
type Text struct {
	typ     reflect.Type
	name    string // "a network"
	example string
	parse   func(string) (any, error)
}

// TextOf makes values of type T from text. name has its article, as in "a
// network", and example is a text that parses; both are used in problems. parse
// best returns a *Mistake.
func TextOf[T any](name, example string, parse func(string) (T, error)) Text {
	return Text{
		typ:  reflect.TypeFor[T](),
		name: name, example: example,
		parse: func(s string) (any, error) { return parse(s) },
	}
}

// OneOf makes values of type T that are one of a few words.
func OneOf[T ~string](words ...T) Text {
	var known, quoted []string
	for _, w := range words {
		known = append(known, string(w))
		if w != "" { // what is empty by default is best left out
			quoted = append(quoted, strconv.Quote(string(w)))
		}
	}
	choice := "write " + or(quoted)
	return TextOf(or(quoted), known[len(known)-1], func(s string) (T, error) {
		for _, w := range words {
			if string(w) == s {
				return w, nil
			}
		}
		m := &Mistake{What: "is not " + or(quoted), Remedy: choice}
		if near := Nearest(s, known); near != "" {
			m.Remedy = fmt.Sprintf("did you mean %q?", near)
		}
		return "", m
	})
}

// or joins words as a sentence would.
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Size is a number of bytes, written as "2GiB".
type Size int64

var builtin = []Text{
	TextOf("a duration", "1h", parseDuration),
	TextOf("a size", "2GiB", parseSize),
}

// parseDuration reads Go's notation. Days are explained, since people write
// them; the parser has none.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	m := &Mistake{What: "is not a duration", Remedy: `write a number with one of the units ms, s, m, h, such as "90s" or "1h"`}
	number := strings.TrimSuffix(s, "d")
	switch days, err := strconv.ParseUint(number, 10, 16); {
	case err != nil:
	case number == s:
		m.What, m.Remedy = "has no unit", fmt.Sprintf("write %q if seconds are meant, or use ms, m or h", number+"s")
	default:
		m.What, m.Remedy = "is in days", fmt.Sprintf("write it in hours: %q", strconv.FormatUint(days*24, 10)+"h")
	}
	return 0, m
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// parseSize reads a whole number and a unit of bytes, with or without a space
// between them. Binary and decimal units differ, so an ambiguous "2G" is none.
func parseSize(s string) (Size, error) {
	m := &Mistake{What: "is not a size", Remedy: `write a whole number with one of the units B, KiB, MiB, GiB, TiB, such as "2GiB"`}
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			return 0, m
		}
		if n > math.MaxInt64/u.bytes || n < math.MinInt64/u.bytes {
			return 0, &Mistake{What: "is out of range", Remedy: "write a smaller size"}
		}
		return Size(n * u.bytes), nil
	}
	return 0, m
}

// describe names a value of a wrong type.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return "the text " + quote(v)
	case int64:
		return "the number " + strconv.FormatInt(v, 10)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return "a date or a time"
	case []any, []map[string]any:
		return "a list"
	default:
		return "a table"
	}
}

// literal writes a scalar as TOML has it.
func literal(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return quote(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// quotedBytes is how much of a value a problem shows.
const quotedBytes = 80

// quote shows a text on one line, cut inside no character.
func quote(s string) string {
	if len(s) <= quotedBytes {
		return strconv.Quote(s)
	}
	cut := quotedBytes
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
