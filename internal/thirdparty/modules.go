package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is other people's code that is linked into the program.
type module struct {
	Path, Version string
	Texts         []text // of its licences and notices
}

// text is one file of a module.
type text struct {
	Name, Body string
	Licences   []string // SPDX identifiers; none: a notice
}

// licences are the SPDX identifiers of those that the module as a whole is under.
func (m module) licences() []string {
	var all []string
	for _, t := range m.Texts {
		all = append(all, t.Licences...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// architectures are those that are released; they link the same packages, or the notices
// hold the sum.
var architectures = []string{"amd64", "arm64"}

// linked lists the modules of the program's packages, the standard library first.
func linked(ctx context.Context) ([]module, error) {
	dirs := map[[2]string]string{}
	for _, arch := range architectures {
		cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Module", "./cmd/portreeve")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("listing the packages for %s: %w: %s", arch, err, stderr.String())
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct {
				Module *struct {
					Path, Version, Dir string
					Main               bool
				}
			}
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("reading the packages for %s: %w", arch, err)
			}
			if p.Module != nil && !p.Module.Main {
				dirs[[2]string{p.Module.Path, p.Module.Version}] = p.Module.Dir
			}
		}
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for GOROOT: %w", err)
	}
	std, err := read("The Go standard library", "", strings.TrimSpace(string(root)))
	if err != nil {
		return nil, err
	}
	modules := []module{std}
	for name, dir := range dirs {
		m, err := read(name[0], name[1], dir)
		if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules[1:], func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, nil
}

// legal are the names of files that say under what terms a module may be used.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// unused are files about what is no part of the program.
var unused = map[string]string{
	"modernc.org/memory LICENSE-LOGO": "the logo of its web page",
}

// read collects a module's texts.
func read(path, version, dir string) (module, error) {
	m := module{Path: path, Version: version}
	files, err := os.ReadDir(dir)
	if err != nil {
		return m, fmt.Errorf("looking for the licence of %s: %w: run `go mod download`", path, err)
	}
	for _, f := range files {
		if f.IsDir() || !legal.MatchString(f.Name()) || unused[path+" "+f.Name()] != "" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return m, fmt.Errorf("reading the licence of %s: %w", path, err)
		}
		body := strings.TrimSpace(strings.ReplaceAll(string(data), "\r\n", "\n"))
		t := text{Name: f.Name(), Body: body, Licences: classify(body)}
		notice := strings.HasPrefix(strings.ToUpper(f.Name()), "NOTICE") || strings.HasPrefix(f.Name(), "PATENTS")
		if notice {
			t.Licences = nil
		} else if len(t.Licences) == 0 {
			return m, fmt.Errorf("%s: nobody knows the licence in %s: read it, and teach internal/thirdparty/licences.go about it", path, f.Name())
		}
		m.Texts = append(m.Texts, t)
	}
	if len(m.licences()) == 0 {
		return m, fmt.Errorf("%s has no licence in %s: it may not be distributed; choose another module", path, dir)
	}
	for _, l := range m.licences() {
		if _, ok := compatible[l]; !ok {
			return m, fmt.Errorf("%s is under %s, which is not known to go with the MIT licence of a static binary: choose another module", path, l)
		}
	}
	return m, nil
}
