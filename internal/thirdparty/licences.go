package main

import (
	"regexp"
	"slices"
	"strings"
)

// compatible are the licences under which code may be linked into a program that is
// distributed under MIT, and what has to be done for it.
var compatible = map[string]string{
	"MIT":          "the text is kept",
	"ISC":          "the text is kept",
	"BSD-2-Clause": "the text is kept",
	"BSD-3-Clause": "the text is kept, no name is used to promote",
	"Apache-2.0":   "the text and the NOTICE are kept",
	"MPL-2.0":      "its files are used unchanged, and their source is where the module's path says",
	"blessing":     "nothing: SQLite is in the public domain",
}

// marks are words of a licence that no other has.
var marks = []struct {
	id   string
	mark *regexp.Regexp
}{
	{"MIT", regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining`)},
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software`)},
	{"Apache-2.0", regexp.MustCompile(`Apache License,? Version 2\.0`)},
	{"MPL-2.0", regexp.MustCompile(`Mozilla Public License,? [Vv]ersion 2\.0`)},
	{"GPL", regexp.MustCompile(`GNU (LESSER |AFFERO )?GENERAL PUBLIC LICENSE`)},
	{"blessing", regexp.MustCompile(`May you do good and not evil|SQLite Is Public Domain|dedicated to the public domain by the authors|in the public domain`)},
	{"BSD", regexp.MustCompile(`Redistribution and use in source and binary forms`)},
}

var (
	blanks      = regexp.MustCompile(`\s+`)
	endorsement = regexp.MustCompile(`Neither the names? of|may not be used to endorse or promote`)
)

// classify names the licences in a text by their SPDX identifiers.
func classify(body string) []string {
	flat := blanks.ReplaceAllString(strings.NewReplacer("//", "", "#", "", "*", "").Replace(body), " ")
	var found []string
	for _, m := range marks {
		if !m.mark.MatchString(flat) {
			continue
		}
		switch {
		case m.id != "BSD":
			found = append(found, m.id)
		case endorsement.MatchString(flat):
			found = append(found, "BSD-3-Clause")
		default:
			found = append(found, "BSD-2-Clause")
		}
	}
	if slices.Contains(found, "MPL-2.0") { // its text speaks of the GPL as of a secondary licence
		found = slices.DeleteFunc(found, func(id string) bool { return id == "GPL" })
	}
	return found
}
