package directory

import (
	"errors"
	"strconv"
	"strings"
)

// Driver is the language and the protocol of a database.
type Driver string

// The drivers.
const (
	Postgres Driver = "postgres"
	MySQL    Driver = "mysql" // and MariaDB
	SQLite   Driver = "sqlite"
)

// placeholders finds each ? of a query that stands for the value asked for:
// none in a text, a name or a comment. "??" is a single ? that is none, for
// PostgreSQL's operators. The text that comes back is the driver's own: with $1, $2, …
// for PostgreSQL, as written for the others.
func placeholders(d Driver, query string) (text string, count int, err error) {
	var b strings.Builder
	b.Grow(len(query) + 8)
	for i := 0; i < len(query); {
		end, err := skip(d, query, i)
		switch {
		case err != nil:
			return "", 0, err
		case end > i:
			b.WriteString(query[i:end])
			i = end
		case strings.HasPrefix(query[i:], "??"):
			b.WriteByte('?')
			i += 2
		case query[i] == '?':
			count++
			b.WriteString(placeholder(d, count))
			i++
		default:
			b.WriteByte(query[i])
			i++
		}
	}
	return b.String(), count, nil
}

// placeholder is the nth of a query. Each is a parameter of its own, though all
// have the same value: PostgreSQL wants one type for one parameter.
func placeholder(d Driver, n int) string {
	if d == Postgres {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// skip finds the end of the text, name or comment that begins at i; i itself if
// none does.
func skip(d Driver, s string, i int) (int, error) {
	rest := s[i:]
	switch {
	case strings.HasPrefix(rest, "--") && (d != MySQL || isSpace(s, i+2)), s[i] == '#' && d == MySQL:
		return i + line(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return comment(d, s, i)
	case s[i] == '\'':
		return quoted(s, i, '\'', d == MySQL || d == Postgres && escapes(s, i))
	case s[i] == '"':
		return quoted(s, i, '"', d == MySQL)
	case s[i] == '`' && d != Postgres:
		return quoted(s, i, '`', false)
	case s[i] == '[' && d == SQLite:
		return until(s, i, "]")
	case s[i] == '$' && d == Postgres && !inName(s, i):
		return dollar(s, i)
	}
	return i, nil
}

// line is the length of the rest of a line.
func line(s string) int {
	if n := strings.IndexAny(s, "\r\n"); n >= 0 {
		return n
	}
	return len(s)
}

// isSpace: MySQL's "--" begins a comment only before white space.
func isSpace(s string, i int) bool {
	return i >= len(s) || s[i] <= ' '
}

// comment ends where it began to nest, in PostgreSQL; elsewhere at the first */.
func comment(d Driver, s string, i int) (int, error) {
	if d != Postgres {
		return until(s, i+1, "*/")
	}
	depth := 0
	for ; i < len(s)-1; i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, errors.New("has a comment that does not end")
}

// quoted ends at the quote that is not doubled and, with escapes, not behind a
// backslash.
func quoted(s string, i int, quote byte, escapes bool) (int, error) {
	for i++; i < len(s); i++ {
		switch {
		case s[i] == '\\' && escapes:
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1, nil
		}
	}
	return 0, errors.New("has a quote that is not closed")
}

// escapes tells whether the text at i is one of PostgreSQL's E'…'.
func escapes(s string, i int) bool {
	return i > 0 && (s[i-1] == 'e' || s[i-1] == 'E') && !inName(s, i-1)
}

// inName tells whether what is at i goes on a name or a number.
func inName(s string, i int) bool {
	if i == 0 {
		return false
	}
	c := s[i-1]
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// until ends behind the next end.
func until(s string, i int, end string) (int, error) {
	n := strings.Index(s[i+1:], end)
	if n < 0 {
		return 0, errors.New("has a comment or a name that does not end")
	}
	return i + 1 + n + len(end), nil
}

// dollar ends PostgreSQL's $tag$…$tag$; what is none ($1) is one character.
func dollar(s string, i int) (int, error) {
	n := strings.IndexByte(s[i+1:], '$')
	if n < 0 {
		return i + 1, nil
	}
	tag := s[i : i+n+2]
	for j := 1; j < len(tag)-1; j++ {
		if c := tag[j]; c != '_' && c < 0x80 && (c|0x20 < 'a' || c|0x20 > 'z') && (j == 1 || c < '0' || c > '9') {
			return i + 1, nil
		}
	}
	end := strings.Index(s[i+len(tag):], tag)
	if end < 0 {
		return 0, errors.New("has a text in $ that does not end")
	}
	return i + len(tag) + end + len(tag), nil
}
