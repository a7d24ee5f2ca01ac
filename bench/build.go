package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// programs are what is measured, built for one run.
type programs struct {
	Portreeve string // or the one that can be profiled
	FloorGo   string
	FloorC    string
}

// build leaves bin/portreeve, as `make build` does, and the floors beside it.
func build(ctx context.Context, profiled bool) (programs, error) {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return programs{}, err
	}
	p := programs{
		Portreeve: filepath.Join(bin, "portreeve"),
		FloorGo:   filepath.Join(bin, "bench-floor"), FloorC: filepath.Join(bin, "bench-floor-c"),
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return programs{}, errors.New("the floor in C needs gcc: apt-get install gcc libc6-dev")
	}
	steps := [][]string{
		{"make", "--no-print-directory", "build"},
		{"go", "build", "-o", p.FloorGo, "./bench/floor"},
		{"gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", p.FloorC, "bench/c/floor.c"},
	}
	if profiled {
		p.Portreeve = filepath.Join(bin, "bench-profiled")
		steps = append(steps, []string{"go", "build", "-o", p.Portreeve, "./bench/profiled"})
	}
	for _, step := range steps {
		if err := command(ctx, step[0], step[1:]...); err != nil {
			return programs{}, fmt.Errorf("building: %w; run `make bench` in the project's directory", err)
		}
	}
	return p, nil
}

// command runs a program that says something only when it fails.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
