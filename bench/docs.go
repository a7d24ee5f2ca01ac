package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What stands between the markers is generated.
const (
	beginMark = "<!-- begin: written by make bench -->\n"
	endMark   = "<!-- end: written by make bench -->\n"
)

// renew puts new results in the place of those of the same names, and writes
// performance.json, the generated part of performance.md, and the plots.
func renew(dir string, fresh []result) error {
	kept, err := readResults(filepath.Join(dir, "performance.json"))
	if err != nil {
		return err
	}
	all := merged(kept, fresh)
	body, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	page := filepath.Join(dir, "performance.md")
	old, err := os.ReadFile(page)
	if err != nil {
		return fmt.Errorf("reading the page: %w; give -docs the project's docs directory", err)
	}
	text, err := between(string(old), generated(all))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	errs := []error{
		os.WriteFile(filepath.Join(dir, "performance.json"), append(body, '\n'), 0o644),
		os.WriteFile(page, []byte(text), 0o644),
	}
	for _, r := range fresh {
		for _, p := range r.Plots {
			errs = append(errs, os.WriteFile(filepath.Join(dir, p.File), []byte(p.svg()), 0o644))
		}
	}
	return errors.Join(errs...)
}

func readResults(path string) ([]result, error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading earlier results: %w", err)
	}
	var all []result
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("reading earlier results from %s: %w; remove the file and measure everything again", path, err)
	}
	return all, nil
}

// merged has the scenarios' order.
func merged(kept, fresh []result) []result {
	var all []result
	for _, s := range scenarios {
		isIt := func(r result) bool { return r.Name == s.name }
		if i := slices.IndexFunc(fresh, isIt); i >= 0 {
			all = append(all, fresh[i])
		} else if i := slices.IndexFunc(kept, isIt); i >= 0 {
			all = append(all, kept[i])
		}
	}
	return all
}

// between replaces what stands between the markers.
func between(page, text string) (string, error) {
	before, rest, begins := strings.Cut(page, beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return "", fmt.Errorf("the lines %q and %q are not there: put them back around the generated part", strings.TrimSpace(beginMark), strings.TrimSpace(endMark))
	}
	return before + beginMark + text + endMark + after, nil
}

// generated is the page's middle.
func generated(all []result) string {
	var b strings.Builder
	targets := table{Head: []string{"target", "wanted", "reached", ""}}
	for _, r := range all {
		for _, a := range r.Targets {
			verdict := "missed"
			if a.Met {
				verdict = "met"
			}
			targets.Rows = append(targets.Rows, []string{a.What, a.Want, a.Got, verdict})
		}
	}
	b.WriteString("\n## Targets\n\n" + targets.markdown())
	for _, r := range all {
		b.WriteString("\n" + r.markdown())
	}
	b.WriteString("\n")
	return b.String()
}

func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n`go run ./bench -only %s`, %s; %s\n", r.Title, r.Name, r.When, r.Setup)
	for _, t := range r.Tables {
		b.WriteString("\n" + t.markdown())
	}
	for _, p := range r.Plots {
		fmt.Fprintf(&b, "\n![%s](%s)\n", p.Title, p.File)
	}
	for _, n := range r.Notes {
		b.WriteString("\n" + n + "\n")
	}
	return b.String()
}
