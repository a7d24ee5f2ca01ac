package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve/rules"
)

// Lang is a language in which a help desk speaks to customers.
type Lang string

// The languages that every text is in.
const (
	English   Lang = "en"
	Czech     Lang = "cs"
	Norwegian Lang = "no" // bokmål
	Polish    Lang = "pl"
	German    Lang = "de"
)

// Langs lists them with their own names, as a menu shows them.
var Langs = []struct {
	Lang Lang
	Name string
}{
	{English, "English"},
	{Czech, "čeština"},
	{German, "Deutsch"},
	{Norwegian, "norsk"},
	{Polish, "polski"},
}

// ParseLang reads a language's code; an empty one is English.
func ParseLang(s string) (Lang, error) {
	if s == "" {
		return English, nil
	}
	codes := make([]string, len(Langs))
	for i, l := range Langs {
		if codes[i] = string(l.Lang); codes[i] == s {
			return l.Lang, nil
		}
	}
	slices.Sort(codes)
	return "", fmt.Errorf("%q is no language of these texts: choose one of %s", s, strings.Join(codes, ", "))
}

// column is one language: its texts, and how it writes times and lists.
type column struct {
	texts  map[phrase]string
	months [12]string // as they stand in a date
	date   string     // {day} {month} {year} {time} {zone}
	or     string     // between the last two of a list
}

var columns = map[Lang]column{
	English:   {textsEN, monthsEN, "{day} {month} {year}, {time} ({zone})", " or "},
	Czech:     {textsCS, monthsCS, "{day}. {month} {year}, {time} ({zone})", " nebo "},
	Norwegian: {textsNO, monthsNO, "{day}. {month} {year} kl. {time} ({zone})", " eller "},
	Polish:    {textsPL, monthsPL, "{day} {month} {year}, godz. {time} ({zone})", " lub "},
	German:    {textsDE, monthsDE, "{day}. {month} {year}, {time} Uhr ({zone})", " oder "},
}

// in is the language's column; English for one that is none.
func (l Lang) in() column {
	if c, ok := columns[l]; ok {
		return c
	}
	return columns[English]
}

// when writes a time as the customer reads it, to the minute.
func (c column) when(t time.Time) string {
	return strings.NewReplacer("{day}", t.Format("2"), "{month}", c.months[t.Month()-1], "{year}", t.Format("2006"),
		"{time}", t.Format("15:04"), "{zone}", t.Format("MST")).Replace(c.date)
}

// listAtMost is how many of a list are read out.
const listAtMost = 6

// list joins words as a sentence would.
func (c column) list(words []string) string {
	switch {
	case len(words) == 0:
		return ""
	case len(words) == 1:
		return words[0]
	case len(words) > listAtMost:
		return strings.Join(words[:listAtMost], ", ") + ", …"
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + c.or + words[last]
}

// say fills in a text. Values are what clients chose, too: one pass, so that one
// that contains a placeholder stays what it is.
func (c column) say(p phrase, values map[string]string) string {
	pairs := make([]string, 0, 2*len(values))
	for name, value := range values {
		pairs = append(pairs, "{"+name+"}", rules.PrintableSender(value))
	}
	return strings.NewReplacer(pairs...).Replace(c.texts[p])
}
