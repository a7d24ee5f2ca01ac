package project

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// targets are make's, as the Makefile defines them.
func targets(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):( |$)`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		if !slices.Contains(list, m[1]) { // a line may only set a variable for one
			list = append(list, m[1])
		}
	}
	if !slices.Contains(list, "test") {
		t.Fatalf("the Makefile has only %q", list)
	}
	return list
}

// No target is a file, and make must not take it for one.
func TestTargetsArePhony(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if m == nil {
		t.Fatal("no .PHONY")
	}
	phony, real := strings.Fields(m[1]), targets(t)
	slices.Sort(phony)
	slices.Sort(real)
	if !slices.Equal(phony, real) {
		t.Errorf(".PHONY has %q, the targets are %q", phony, real)
	}
}

// The workflows and .ci/run call the targets that there are, and the same ones.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	known := targets(t)
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	calls := regexp.MustCompile(`(?m)(?:run:|exec|^) *make ((?:[a-z-]+ ?)+)$`)
	for _, name := range append(files, filepath.Join(root, ".ci/run")) {
		name, err := filepath.Rel(root, name)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`(?m)^\s*#.*$`).ReplaceAllString(read(t, name), "")
		var called []string
		for _, m := range calls.FindAllStringSubmatch(text, -1) {
			called = append(called, strings.Fields(m[1])...)
		}
		for _, target := range called {
			if !slices.Contains(known, target) {
				t.Errorf("%s calls make %s, which the Makefile has not", name, target)
			}
		}
		if !slices.Contains(called, "test") {
			t.Errorf("%s does not call make test", name)
		}
		if strings.HasSuffix(name, ".yml") {
			pinned(t, name, text)
		}
	}
}

// pinned wants foreign actions named by their commit, which nobody can move, and no
// rights but those that are written down.
func pinned(t *testing.T, name, text string) {
	t.Helper()
	commit := regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9]`)
	for _, m := range regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(text, -1) {
		if !commit.MatchString(m[1]) {
			t.Errorf("%s: %s is not pinned by commit, with its version behind it", name, m[1])
		}
	}
	if !regexp.MustCompile(`(?m)^permissions:\n  contents: read$`).MatchString(text) {
		t.Errorf("%s does not begin with the right to read only", name)
	}
}

// A link of a page to another one, or to a file, leads somewhere.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	pages := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "build"}, d.Name()) {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" || strings.Contains(path, "testdata") || d.Name() == "THIRD_PARTY_NOTICES.md" {
			return nil
		}
		pages++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
		return nil
	})
	if err != nil || pages < 15 {
		t.Errorf("%d pages, %v", pages, err)
	}
}
