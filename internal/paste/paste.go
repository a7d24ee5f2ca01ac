// Package paste finds what a help desk can look up in a pasted text: a mail
// program's dialog in any language, a bounce, a line of a log.
package paste

import (
	"regexp"
	"slices"
	"strings"

	"portreeve/journal"
	"portreeve/rules"
)

// Found is what a text refers to, in its order, each once.
type Found struct {
	IDs     []string
	Senders []string // of replies that carry no id: <address> sender rejected
}

// words are runs of letters and digits; an id is one of 22. The limits keep an
// id from being found inside a longer word.
var words = regexp.MustCompile(`[0-9A-Za-z]+`)

// rejected is the sender rule's default text (SPEC.md section 2). Mail programs
// wrap lines anywhere and quote them, so white space and > may stand between
// the words.
var rejected = regexp.MustCompile(`<([^<>\r\n]*)>[\s>]+sender[\s>]+rejected`)

// softBreak is a line break that is none (RFC 2045 section 6.7): the source of a
// bounce has them in the middle of words.
var softBreak = regexp.MustCompile(`=\r?\n`)

// Find reads a text of any length.
func Find(text string) Found {
	var f Found
	text = softBreak.ReplaceAllString(text, "")
	for _, w := range words.FindAllString(text, -1) {
		if _, err := journal.ParseID(w); err == nil && plausible(w) && !slices.Contains(f.IDs, w) {
			f.IDs = append(f.IDs, w)
		}
	}
	for _, m := range rejected.FindAllStringSubmatch(text, -1) {
		if len(m[1]) <= rules.MaxSenderBytes && !slices.Contains(f.Senders, m[1]) {
			f.Senders = append(f.Senders, m[1])
		}
	}
	return f
}

// plausible tells an id from a word of 22 letters: one without a digit would
// have to come from a far future, for an id of our time begins with 0 or 1.
func plausible(w string) bool {
	return strings.ContainsAny(w, "0123456789")
}
