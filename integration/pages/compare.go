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
}

// normal is text without what may differ. Lines are one: a page breaks long ones,
// and columns are as wide as what is in them.
func normal(text string) string {
	for _, v := range varying {
		text = v.what.ReplaceAllString(text, v.name)
	}
	return strings.Join(strings.Fields(text), " ")
}

// Shows tells whether an output is what a page shows of it; "…" stands for any text.
func Shows(page, output string) bool {
	var parts []string
	for part := range strings.SplitSeq(page, "…") {
		parts = append(parts, regexp.QuoteMeta(normal(part)))
	}
	return regexp.MustCompile(`^` + strings.Join(parts, `.*`) + `$`).MatchString(normal(output))
}
