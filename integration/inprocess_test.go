//go:build !real

// The stories of dialogues/ on the stand-in, with the daemon in this process.
package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"portreeve/integration/dialogue"
	"portreeve/integration/mimic"
	"portreeve/internal/daemon"
)

// TestStories plays every story that needs no real program.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("dialogues/*.dlg")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no stories in integration/dialogues; run this in the directory integration of the whole project")
	}
	program, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	host := &mimic.Host{Testdata: "testdata", Program: program, Run: serve}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		story, err := dialogue.Parse(file, data)
		if err != nil {
			t.Error(err)
			continue
		}
		if !host.Plays(story.Settings) {
			continue // played by the real host
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			dialogue.Play(t, host, story)
		})
	}
}

// serve runs the daemon as cmd/portreeve does.
func serve(ctx context.Context, s mimic.Setup, ready func()) error {
	return daemon.Run(ctx, daemon.Options{ConfigPath: s.Config, Now: s.Now, Log: s.Log, Directory: s.Directory}, ready)
}

// build makes the program whose verbs the stories run.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "portreeve")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "../cmd/portreeve").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the program for its verbs: %w\n%s", err, out)
	}
	return program, nil
}
