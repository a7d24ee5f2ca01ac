// Package postfix reads Postfix's configuration as its programs do, and edits
// main.cf and master.cf without touching what an administrator wrote around
// the settings (postconf(5), master(5), SMTPD_ACCESS_README, MILTER_README).
package postfix

import (
	"errors"
	"strings"
)

const (
	blanks = " \t\r\n"
	commas = blanks + ","
)

// ErrBraces is a value in which an opening brace has no closing one. Postfix's
// programs refuse to start with it.
var ErrBraces = errors.New(`a "{" without its "}": close it`)

// Words cuts a list into its words as Postfix does (mystrtokq): at white space
// and commas, but not inside braces. Braces stay part of their word.
func Words(value string) ([]string, error) { return split(value, commas) }

// Args cuts the arguments of a service of master.cf: at white space only.
func Args(value string) ([]string, error) { return split(value, blanks) }

func split(value, separators string) ([]string, error) {
	var words []string
	spans, err := spans(value, separators)
	for _, s := range spans {
		words = append(words, value[s.from:s.to])
	}
	return words, err
}

// span is where a word stands in its text, in bytes.
type span struct{ from, to int }

func spans(text, separators string) ([]span, error) {
	var list []span
	from, depth := -1, 0
	for i := range len(text) {
		c := text[i]
		if depth == 0 && strings.IndexByte(separators, c) >= 0 {
			if from >= 0 {
				list = append(list, span{from, i})
			}
			from = -1
			continue
		}
		if from < 0 {
			from = i
		}
		switch {
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		}
	}
	if from >= 0 {
		list = append(list, span{from, len(text)})
	}
	if depth > 0 {
		return list, ErrBraces
	}
	return list, nil
}

// Unbrace takes the braces off a word that is one brace group, and the white
// space inside them.
func Unbrace(word string) string {
	if len(word) < 2 || word[0] != '{' || word[len(word)-1] != '}' {
		return word
	}
	return strings.Trim(word[1:len(word)-1], blanks)
}

// Assignment splits name=value, with or without white space around the sign.
func Assignment(text string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(text, "=")
	return strings.Trim(name, blanks), strings.Trim(value, blanks), ok && strings.Trim(name, blanks) != ""
}
