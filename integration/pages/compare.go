package pages

import (
	"regexp"
	"strings"
)

// varying is what differs from run to run and from host to host, with what it is
// taken for: so a page shows a time and an id as they look.
var varying = []struct {
	what *regexp.Regexp
	name string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?( [A-Z]{3,4})?`), "TIME"},
	{regexp.MustCompile(`\b[0-9A-Za-z]{22}\b`), "ID"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?s\b`), "DURATION"},
	{regexp.MustCompile(`[ \t]+`), " "}, // columns are as wide as what is in them
}

// Shows tells whether an output is what a page shows of it. "…" stands for any
// text within a line, and alone in a line for any lines.
func Shows(page, output string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.SplitSeq(strings.TrimRight(page, "\n"), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				pattern.WriteString(`[^\n]*`)
			}
			pattern.WriteString(regexp.QuoteMeta(normal(part)))
		}
		pattern.WriteString(` ?\n`)
	}
	pattern.WriteString(`$`)
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range lines {
		lines[i] = normal(line)
	}
	return regexp.MustCompile(pattern.String()).MatchString(strings.Join(lines, "\n") + "\n")
}

// normal is text without what may differ.
func normal(text string) string {
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.name)
	}
	return text
}
