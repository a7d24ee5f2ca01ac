// Package tomlfile reads TOML files for people who have to correct them: every
// problem is reported at once, each with its file, its line and a remedy.
//
// github.com/BurntSushi/toml parses; it stops at the first value of a wrong
// type and gives no positions for keys. So it decodes into plain maps here,
// which this package then checks against a Go struct, and a small locator finds
// the line of a key when a problem needs it.
package tomlfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"` // from 1; 0 is the file as a whole
	Key    string `json:"key,omitempty"`  // dotted, as in networks.trusted[2]
	What   string `json:"what"`           // what is wrong, naming the key
	Remedy string `json:"remedy"`         // what to do
}

// String is the problem as one line: FILE:LINE: what: remedy.
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, p.Line)
	}
	s += ": " + p.What
	if p.Remedy != "" {
		s += ": " + p.Remedy
	}
	// A key or a file name may hold anything; a problem stays one line.
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// Sort puts the problems of one file in the order of its lines.
func Sort(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
}

// Mistake is the error of a Text parser whose remedy is known.
type Mistake struct {
	What   string // goes on after KEY = "VALUE", as in "is not a network"
	Remedy string
}

// Error joins both parts.
func (m *Mistake) Error() string { return m.What + ": " + m.Remedy }
