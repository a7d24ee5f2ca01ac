package pages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// Every command that a page shows is run by a story, or stands in Elsewhere with
// a reason; and nothing stands there that no page shows.
func TestEveryCommandIsRun(t *testing.T) {
	documents, err := Documents(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) < 15 {
		t.Fatalf("only %d pages were found", len(documents))
	}
	shown := map[string]bool{}
	for _, page := range documents {
		blocks, err := Read(root, page)
		if err != nil {
			t.Error(err)
		}
		played := slices.ContainsFunc(Stories, func(s Story) bool { return slices.Contains(s.Pages, page) })
		for _, b := range blocks {
			for _, line := range Lines(b) {
				shown[line] = true
				if _, elsewhere := Elsewhere[line]; !elsewhere && !played {
					t.Errorf("%s: nothing runs %q: add the page to Stories, or the command to Elsewhere", b, line)
				}
			}
		}
	}
	for command, reason := range Elsewhere {
		if !shown[command] {
			t.Errorf("Elsewhere has %q, which no page shows", command)
		}
		if strings.Count(reason, " ") < 2 {
			t.Errorf("Elsewhere gives no reason for %q", command)
		}
	}
	for _, s := range Stories {
		for _, page := range s.Pages {
			if !slices.Contains(documents, page) {
				t.Errorf("there is no page %s", page)
			}
		}
	}
}

// Every page is reached from docs/README.md, and every link leads somewhere.
func TestLinks(t *testing.T) {
	documents, err := Documents(root)
	if err != nil {
		t.Fatal(err)
	}
	reached := map[string]bool{}
	for _, page := range documents {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range Links(string(text)) {
			file := filepath.Join(filepath.Dir(page), l.File)
			if l.File == "" {
				file = page
			}
			there, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s links to %s: %v", page, l.File, err)
			} else if l.Place != "" && !slices.Contains(Anchors(string(there)), l.Place) {
				t.Errorf("%s links to %s, where there is no #%s", page, file, l.Place)
			}
			if page == "docs/README.md" {
				reached[file] = true
			}
		}
	}
	for _, page := range documents {
		if filepath.Dir(page) == "docs" && page != "docs/README.md" && !reached[page] {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}
