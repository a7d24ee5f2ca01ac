package dialogue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// unescape reads \xNN, \t and \\; any other backslash is an error, so that
// nothing means something else than it says.
func unescape(s string) (string, error) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), nil
		case strings.HasPrefix(after, "x") && len(after) >= 3:
			v, err := strconv.ParseUint(after[1:3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`\%s is no byte; write \xNN with two hexadecimal digits`, after[:3])
			}
			b.WriteByte(byte(v))
			s = after[3:]
		case strings.HasPrefix(after, "t"):
			b.WriteByte('\t')
			s = after[1:]
		case strings.HasPrefix(after, `\`):
			b.WriteByte('\\')
			s = after[1:]
		default:
			return "", fmt.Errorf(`unknown escape in \%s; write \xNN, \t or \\`, after)
		}
	}
}

// words splits at blanks. Double quotes keep blanks and the empty word; within
// them the escapes of unescape and \" are understood.
func words(s string) ([]string, error) {
	var out []string
	for s = strings.TrimLeft(s, " \t"); s != ""; s = strings.TrimLeft(s, " \t") {
		if s[0] != '"' {
			end := strings.IndexAny(s, " \t")
			if end < 0 {
				end = len(s)
			}
			out, s = append(out, s[:end]), s[end:]
			continue
		}
		end := closing(s)
		if end < 0 {
			return nil, errors.New(`a double quote is not closed; write " at the end of the word`)
		}
		word, err := unescape(strings.ReplaceAll(s[1:end], `\"`, `\x22`))
		if err != nil {
			return nil, err
		}
		out, s = append(out, word), s[end+1:]
	}
	return out, nil
}

// closing finds the quote that ends the word that begins with one.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
