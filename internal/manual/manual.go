// Package manual renders the manual pages: those of the verbs from the texts of
// their --help, those of the two files from docs/configuration.md. Nothing of it
// is in the program; `make manuals` runs it.
package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Page is one manual page.
type Page struct {
	Name    string
	Section int
	Text    []byte // roff
}

// File is the name that man(1) finds it under.
func (p Page) File() string { return fmt.Sprintf("%s.%d", p.Name, p.Section) }

// Stamp says what the pages belong to. It is all that may differ between two
// runs over the same sources.
type Stamp struct {
	Version string
	Date    time.Time
}

// Write writes the pages into a directory, which it makes.
func Write(dir string, pages []Page) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of the manual pages: %w: name one that can be written to", err)
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), p.Text, 0o644); err != nil {
			return fmt.Errorf("writing a manual page: %w: name a directory with room that can be written to", err)
		}
	}
	return nil
}
