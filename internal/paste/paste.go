// Package paste finds what a help desk can look up in a pasted text: a mail
// program's dialog in any language, a bounce, a line of a log.
package paste

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"portreeve/journal"
)

const (
	maxIDs     = 500 // that are found in a text
	maxReplies = 200 // without an id
)

// Found is what a text refers to, in its order, each once.
type Found struct {
	IDs     []string
	Senders []string // of replies that carry no id: <address> sender rejected
	// Times stand near the senders: when the message was sent, or refused. A date
	// that can be read in two ways is two of them.
	Times []time.Time
}

// Find reads a text of any length. A time without a zone is of this process's.
// senderText is the sender rule's text in [replies], which may have no id either.
func Find(text, senderText string) Found { return FindIn(text, senderText, time.Local) }

// FindIn is Find for times of another zone.
func FindIn(text, senderText string, zone *time.Location) Found {
	if ids, only := onlyIDs(text); only {
		return Found{IDs: ids}
	}
	var f Found
	replies := senderReplies(senderText)
	for _, reading := range readings(text) {
		f.ids(reading)
		for _, reply := range replies {
			f.senders(reading, reply, zone)
		}
	}
	return f
}

// onlyIDs tells whether the text is nothing but ids: each is then meant, whatever
// time it may name.
func onlyIDs(text string) (ids []string, only bool) {
	if len(text) > 1<<16 {
		return nil, false
	}
	for _, word := range strings.Fields(text) {
		if _, err := journal.ParseID(word); err != nil {
			return nil, false
		}
		if !slices.Contains(ids, word) {
			ids = append(ids, word)
		}
	}
	return ids, len(ids) > 0
}

// words are runs of letters and digits; an id is one of 22. The limits keep an
// id from being found inside a longer word.
var words = regexp.MustCompile(`[0-9A-Za-z]+`)

// lineEnd is what stands between two halves of a word that a mail program has
// wrapped: the end of the line, the next one's indentation, marks of quoting.
var lineEnd = regexp.MustCompile(`^[ \t]*\n[ \t>|]*$`)

// maxHalves is how many lines one id may be wrapped over.
const maxHalves = 3

func (f *Found) ids(text string) {
	at := words.FindAllStringIndex(text, -1)
	for i := range at {
		if len(f.IDs) >= maxIDs {
			return
		}
		word := text[at[i][0]:at[i][1]]
		for j := i; ; {
			if len(word) == journal.IDLength && likely(word) && !slices.Contains(f.IDs, word) {
				f.IDs = append(f.IDs, word)
			}
			j++
			if j == len(at) || j-i == maxHalves || len(word) >= journal.IDLength || !lineEnd.MatchString(text[at[j-1][1]:at[j][0]]) {
				break
			}
			word += text[at[j][0]:at[j][1]]
		}
	}
}

// An id names its time. A word that only looks like one hardly ever names one
// between these years, unless it is a number.
const firstYear, lastYear = 2020, 2115

// likely tells an id from another word of 22 letters.
func likely(word string) bool {
	id, err := journal.ParseID(word)
	if err != nil || strings.Trim(word, "0123456789") == "" {
		return false
	}
	year := id.Time().UTC().Year()
	return year >= firstYear && year <= lastYear
}
