// Package mailheader reads what the rules need of a message's header: the
// trail of Received and Resent-From fields, and address lists.
package mailheader

import (
	"strings"

	"portreeve/rules"
)

// ParseReceived tells what the body of a Received field is evidence of
// (SPEC.md section 3, rule 7; RFC 5321 section 4.4):
//
//   - TrailHop, if any "with" clause names a protocol other than HTTP, HTTPS or
//     Exim's local ones, or if there is no "with" but a "from" clause;
//   - TrailOther otherwise: webmail, and local submission, which has neither or
//     mentions them in comments only: (Postfix, from userid 1000),
//     (qmail 1 invoked by uid 0), (sSMTP sendmail emulation).
//
// Clauses count outside comments only. The word after "from" is what the client
// called itself, whatever it is, so that HELO with HTTP exempts nobody.
func ParseReceived(value string) rules.TrailKind {
	t := tokens{rest: value}
	from, with := false, false
	for {
		word, ok := t.next()
		switch {
		case !ok && from && (!with || t.broken):
			return rules.TrailHop
		case !ok:
			return rules.TrailOther
		case strings.EqualFold(word, "from"):
			from = true
			t.next()
		case strings.EqualFold(word, "with"):
			with = true
			if protocol, ok := t.next(); ok && !webOrLocal(protocol) {
				return rules.TrailHop
			}
		}
	}
}

// webOrLocal tells whether the protocol is no mail server's. Exim writes local,
// local-smtp, local-esmtp and so on for what a local process handed it; the
// Gmail API's HTTPREST is no webmail of ours, so only the two words count.
func webOrLocal(protocol string) bool {
	p := strings.ToLower(protocol)
	return p == "http" || p == "https" || p == "local" || strings.HasPrefix(p, "local-")
}

// tokens splits a field's body into words, without comments. A semicolon
// separates: the date after it contains no clause, but what claims to be a date
// is not believed. When a comment or a quoted string is never closed, the rest
// has neither: one stray parenthesis hides nothing (and costs no second scan),
// and nothing in such a field exempts it.
type tokens struct {
	rest   string
	broken bool
}

func (t *tokens) next() (word string, ok bool) {
	for t.rest != "" {
		switch c := t.rest[0]; {
		case separates(c):
			t.rest = t.rest[1:]
		case c == '(':
			t.rest = t.rest[t.span(t.rest, commentLen):]
		default:
			n := t.wordLen()
			word, t.rest = t.rest[:n], t.rest[n:]
			return word, true
		}
	}
	return "", false
}

func separates(c byte) bool { return c <= ' ' || c == ';' || c == 0x7f }

// wordLen is the length of the word at the front; quoted strings belong to it
// with everything in them.
func (t *tokens) wordLen() int {
	for i := 0; i < len(t.rest); {
		switch c := t.rest[i]; {
		case separates(c), c == '(':
			return i
		case c == '"':
			i += t.span(t.rest[i:], quotedLen)
		default:
			i++
		}
	}
	return len(t.rest)
}

// span is the length of the comment or quoted string that s begins with, or 1,
// its opening character, where there are none any more.
func (t *tokens) span(s string, length func(string) int) int {
	if !t.broken {
		if n := length(s); n > 0 {
			return n
		}
		t.broken = true
	}
	return 1
}

// commentLen is the length of the comment that s begins with (RFC 5322 section
// 3.2.2: they nest), or 0 if it is never closed.
func commentLen(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// quotedLen is the length of the quoted string that s begins with, or 0 if it
// is never closed.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}
