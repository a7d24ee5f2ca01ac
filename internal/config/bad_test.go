package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/tomlfile"
)

var update = flag.Bool("update", false, "write the sentences that are said now to testdata/bad/*.want; read them before you commit")

// TestBad: each file of testdata/bad has one mistake (many.toml has several),
// and the .want beside it has everything that is to be said about it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 90 {
		t.Fatalf("found %d bad configurations (%v): the fixtures are missing", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			_, problems := Load(file)
			got := sentences(t, problems)
			wantFile := strings.TrimSuffix(file, ".toml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if got == "" || got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// sentences joins the problems without the directory, which differs from host
// to host.
func sentences(t *testing.T, problems []tomlfile.Problem) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range problems {
		if p.What == "" || p.Remedy == "" {
			t.Errorf("%q has no remedy", p)
		}
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(p.String(), dir+"/", ""), dir, "DIR") + "\n")
	}
	return b.String()
}
