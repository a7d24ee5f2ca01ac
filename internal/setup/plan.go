// Package setup connects this host's Postfix and Dovecot with Portreeve. It
// plans first, from texts alone: what it would write, and what it will not
// decide for the administrator. Applying a plan keeps a backup, and Undo puts
// that back.
package setup

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Plan is what would be changed, and what an administrator must know of it.
type Plan struct {
	Target   string   `json:"target"` // postfix, dovecot
	Changes  []Change `json:"changes"`
	Notes    []string `json:"notes"`    // left as it is, or worth a thought
	Blockers []string `json:"blockers"` // why --apply refuses, each with its remedy
}

// Change is one file.
type Change struct {
	Path string      `json:"file"`
	New  bool        `json:"new"` // it does not exist yet
	Diff string      `json:"diff"`
	Mode fs.FileMode `json:"-"` // of a new file; an old one keeps its own
	old  string
	text string
	hide []string // what a diff must not show
	keep bool     // made by apply, but not taken away by undo
	uid  int      // of a new file; -1: who applies
	gid  int
}

func newPlan(target string) *Plan {
	return &Plan{Target: target, Changes: []Change{}, Notes: []string{}, Blockers: []string{}}
}

func (p *Plan) note(format string, a ...any) { p.Notes = once(p.Notes, fmt.Sprintf(format, a...)) }

func (p *Plan) block(format string, a ...any) {
	p.Blockers = once(p.Blockers, fmt.Sprintf(format, a...))
}

func once(list []string, text string) []string {
	for _, known := range list {
		if known == text {
			return list
		}
	}
	return append(list, text)
}

// change enters a file unless it would stay as it is.
func (p *Plan) change(c Change) {
	if !c.New && c.old == c.text {
		return
	}
	c.Diff = c.unified()
	p.Changes = append(p.Changes, c)
}

// unified is the difference with secrets starred out.
func (c *Change) unified() string {
	var pairs []string
	for _, secret := range c.hide {
		if secret != "" {
			pairs = append(pairs, secret, "***")
		}
	}
	mask := strings.NewReplacer(pairs...)
	from := c.Path
	if c.New {
		from = "/dev/null"
	}
	text := string(diff.Diff(from, []byte(mask.Replace(c.old)), c.Path, []byte(mask.Replace(c.text))))
	if text == "" {
		return fmt.Sprintf("--- %s\n+++ %s\n(only a secret in it changes)\n", from, c.Path)
	}
	_, text, _ = strings.Cut(text, "\n") // "diff a b"
	return text
}
