package paste

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// near is how far from a sender its time may stand, in bytes: a dialog shows
	// both, a mailbox that was pasted whole shows many.
	near = 1500
	// maxTimes bounds them.
	maxTimes = 8
)

// clock is a time of day, with a zone where the text has one.
const clock = `(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\s?([AaPp])\.?\s?[Mm]\b)?(?:\s*([+-]\d{4}|GMT|UTC|Z\b))?`

// between may stand between a date and its time: "v", "at", "kl.", "godz.", "um".
const between = `[^\d\n]{1,12}?`

// dates are the ways in which mail programs write a date and a time, with the
// places of year, month and day among the groups.
var dates = []struct {
	form             *regexp.Regexp
	year, month, day int
	named, either    bool // the month is a name; day and month may be swapped
}{
	{form: regexp.MustCompile(`\b(20\d\d)-(\d\d)-(\d\d)[T ]` + clock), year: 1, month: 2, day: 3},
	{form: regexp.MustCompile(`\b(\d{1,2})\.\s?(\d{1,2})\.\s?((?:20)?\d\d)` + between + clock), year: 3, month: 2, day: 1},
	{form: regexp.MustCompile(`\b(\d{1,2})[/-](\d{1,2})[/-]((?:20)?\d\d)` + between + clock), year: 3, month: 2, day: 1, either: true},
	{form: regexp.MustCompile(`\b(\d{1,2})\.?\s+(\pL{3,12})\.?,?\s+(20\d\d)` + between + clock), year: 3, month: 2, day: 1, named: true},
	{form: regexp.MustCompile(`\b(\pL{3,12})\.?\s+(\d{1,2}),?\s+(20\d\d)` + between + clock), year: 3, month: 1, day: 2, named: true},
}

// clockGroups are those of clock, behind the three of the date.
const hourGroup, minuteGroup, secondGroup, halfGroup, zoneGroup = 4, 5, 6, 7, 8

// times collects those around text[from:to].
func (f *Found) times(text string, from, to int, zone *time.Location) {
	text = text[max(0, from-near):min(len(text), to+near)]
	for _, d := range dates {
		for _, m := range d.form.FindAllStringSubmatch(text, -1) {
			day, month := m[d.day], m[d.month]
			f.addTime(m, m[d.year], month, day, d.named, zone)
			if d.either && day != month {
				f.addTime(m, m[d.year], day, month, false, zone)
			}
		}
	}
}

// addTime adds a date and the time of day behind it, if there is such a day.
func (f *Found) addTime(m []string, year, month, day string, named bool, zone *time.Location) {
	y, mo, d := number(year), number(month), number(day)
	if y < 100 {
		y += 2000
	}
	if named {
		mo = monthOf(month)
	}
	hour, minute, second := number(m[hourGroup]), number(m[minuteGroup]), number(m[secondGroup])
	switch half := strings.ToLower(m[halfGroup]); {
	case half != "" && (hour < 1 || hour > 12):
		return
	case half == "p" && hour < 12:
		hour += 12
	case half == "a" && hour == 12:
		hour = 0
	}
	if mo < 1 || mo > 12 || hour > 23 || minute > 59 || second > 60 {
		return
	}
	at := time.Date(y, time.Month(mo), d, hour, minute, second, 0, zoneOf(m[zoneGroup], zone))
	if at.Day() != d || len(f.Times) == maxTimes || slices.ContainsFunc(f.Times, at.Equal) {
		return
	}
	f.Times = append(f.Times, at)
}

// number reads digits; nothing is 0.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func zoneOf(s string, otherwise *time.Location) *time.Location {
	switch {
	case s == "":
		return otherwise
	case len(s) != 5:
		return time.UTC
	}
	offset := number(s[1:3])*3600 + number(s[3:])*60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
}

// months are the beginnings of their names that tell them apart, in the languages
// of the help desk; longer ones stand first.
var months = []struct {
	begins string
	month  int
}{
	{"června", 6},
	{"červen", 6},
	{"červenec", 7},
	{"července", 7},
	{"led", 1},
	{"úno", 2},
	{"bře", 3},
	{"dub", 4},
	{"kvě", 5},
	{"srp", 8},
	{"zář", 9},
	{"říj", 10},
	{"lis", 11},
	{"pro", 12},
	{"sty", 1},
	{"lut", 2},
	{"kwi", 4},
	{"maj", 5},
	{"cze", 6},
	{"lip", 7},
	{"sie", 8},
	{"wrz", 9},
	{"paź", 10},
	{"gru", 12},
	{"jan", 1},
	{"jän", 1},
	{"feb", 2},
	{"mar", 3},
	{"mär", 3},
	{"mai", 5},
	{"may", 5},
	{"apr", 4},
	{"jun", 6},
	{"jul", 7},
	{"aug", 8},
	{"sep", 9},
	{"okt", 10},
	{"oct", 10},
	{"nov", 11},
	{"des", 12},
	{"dez", 12},
	{"dec", 12},
}

// monthOf is the number of a month by its name; 0 for another word.
func monthOf(name string) int {
	name = strings.ToLower(name)
	best, length := 0, 0
	for _, m := range months {
		if strings.HasPrefix(name, m.begins) && len(m.begins) > length {
			best, length = m.month, len(m.begins)
		}
	}
	return best
}
