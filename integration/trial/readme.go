package trial

import (
	"errors"
	"regexp"
	"strings"
)

// Step is one block of commands of a README, and what it must answer.
type Step struct {
	Heading  string
	Script   string
	Expected []string
}

// Steps reads the ```sh blocks, each with the ```text block that may follow it.
func Steps(readme string) ([]Step, error) {
	var (
		steps   []Step
		heading string
		kind    string // of the block that is open
		block   []string
	)
	for line := range strings.Lines(readme) {
		line = strings.TrimSuffix(line, "\n")
		fence, fenced := strings.CutPrefix(line, "```")
		switch {
		case fenced && kind == "":
			kind, block = fence, nil
		case fenced && kind == "sh":
			steps = append(steps, Step{Heading: heading, Script: strings.Join(block, "\n")})
			kind = ""
		case fenced && kind == "text":
			if len(steps) == 0 || steps[len(steps)-1].Expected != nil {
				return nil, errors.New("a text block under " + heading + " follows no sh block")
			}
			steps[len(steps)-1].Expected = block
			kind = ""
		case fenced:
			kind = ""
		case kind != "":
			block = append(block, line)
		case strings.HasPrefix(line, "## "):
			heading = line[3:]
		}
	}
	if kind != "" {
		return nil, errors.New("a block under " + heading + " does not end")
	}
	return steps, nil
}

// Missing is the first expected line that does not come, in its turn; … stands for
// anything.
func Missing(expected []string, output string) (line string, missing bool) {
	rest := strings.Split(strings.ReplaceAll(output, "\r", ""), "\n")
next:
	for _, want := range expected {
		re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
		for i, line := range rest {
			if re.MatchString(line) {
				rest = rest[i+1:]
				continue next
			}
		}
		return want, true
	}
	return "", false
}
