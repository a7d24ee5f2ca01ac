package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Block is what a page's reader copies, or what its test does in between.
type Block struct {
	Page string
	Line int // of the fence, or of the comment
	Lang string
	File string // where a file's text goes, from the fence: ```toml /etc/portreeve/portreeve.toml
	Text string
}

func (b Block) String() string { return fmt.Sprintf("%s:%d", b.Page, b.Line) }

// What a block may be. Commands are run, steps are of the test, the rest is to be
// read; a block without a language could be anything, so there is none.
const (
	Shell   = "sh"      // commands
	Console = "console" // commands behind "$ ", and their output
	Step    = "step"    // <!-- test: NAME ARGUMENT… -->
)

// toRead are the languages of blocks that hold no commands.
var toRead = []string{"text", "toml", "sql", "nginx", "ini", "json", "yaml"}

// step is a comment that a reader does not see.
var step = regexp.MustCompile(`^<!-- test: (.*) -->$`)

// Parse reads the blocks of a page.
func Parse(page, text string) ([]Block, error) {
	var list []Block
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if m := step.FindStringSubmatch(lines[i]); m != nil {
			list = append(list, Block{Page: page, Line: i + 1, Lang: Step, Text: m[1]})
		}
		fence, opened := strings.CutPrefix(strings.TrimSpace(lines[i]), "```")
		if !opened {
			continue
		}
		b := Block{Page: page, Line: i + 1}
		b.Lang, b.File, _ = strings.Cut(fence, " ")
		var body []string
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			body = append(body, lines[i])
		}
		b.Text = strings.Join(body, "\n") + "\n"
		switch {
		case i == len(lines):
			return nil, fmt.Errorf("%s: the block is not closed: write ``` below it", b)
		case b.Lang != Shell && b.Lang != Console && !slices.Contains(toRead, b.Lang):
			return nil, fmt.Errorf("%s: the block is %q: write ```sh for commands, ```console for commands with their output, or ```text", b, b.Lang)
		}
		list = append(list, b)
	}
	return list, nil
}

// Command is a command of a console block, with the output that is shown.
type Command struct {
	Line   int
	Text   string
	Output string
}

// Commands are those of a block, in order. A shell block is one: a reader pastes it.
func (b Block) Commands() []Command {
	switch b.Lang {
	case Shell:
		return []Command{{Line: b.Line, Text: b.Text}}
	case Console:
		var list []Command
		for i, line := range strings.Split(strings.TrimSuffix(b.Text, "\n"), "\n") {
			if text, found := strings.CutPrefix(line, "$ "); found {
				list = append(list, Command{Line: b.Line + 1 + i, Text: text})
			} else if len(list) > 0 {
				list[len(list)-1].Output += line + "\n"
			}
		}
		return list
	}
	return nil
}

// Documents are the pages of a project, relative to its root.
func Documents(root string) ([]string, error) {
	var list []string
	for _, pattern := range []string{"README.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			list = append(list, name)
		}
	}
	return list, nil
}

// Read reads the blocks of one page below root.
func Read(root, page string) ([]Block, error) {
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		return nil, err
	}
	return Parse(page, string(text))
}

// Lines are the commands of a block, one a line, without comments.
func Lines(b Block) []string {
	var list []string
	for _, c := range b.Commands() {
		for line := range strings.Lines(c.Text) {
			if line = strings.TrimSpace(comment.ReplaceAllString(line, "")); line != "" {
				list = append(list, line)
			}
		}
	}
	return list
}

// comment is one of the shell's; none of our commands has a # within quotes.
var comment = regexp.MustCompile(`(^|\s)#.*`)

// link is one within the project: a file, or a place in it, or both.
var link = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)

// Link is where a page leads to.
type Link struct {
	File  string // empty: the page itself
	Place string // the heading's anchor; empty: the file as a whole
}

// Links are those of a page to others, and to itself.
func Links(text string) []Link {
	var list []Link
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		list = append(list, Link{m[1], m[2]})
	}
	return list
}

// marks are left out of an anchor.
var marks = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)

// Anchors are the places in a page, as forges name its headings.
func Anchors(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			name := marks.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			list = append(list, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return list
}
