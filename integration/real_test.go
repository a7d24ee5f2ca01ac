//go:build real

// The stories of dialogues/ on the real programs, and what needs a process to
// be shown. run.sh runs this in a container, as root.
package integration

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"portreeve/integration/dialogue"
	"portreeve/integration/real"
)

var (
	program  = flag.String("portreeve", "../bin/portreeve", "the portreeve binary under test")
	parallel = flag.Int("hosts", 4, "how many mail hosts may run at a time")
)

// host is the mail hosts of all tests of this run.
var host *real.Host

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (status int) {
	root, err := filepath.Abs("..")
	if err != nil {
		return complain(err)
	}
	bin, err := filepath.Abs(*program)
	if err != nil {
		return complain(err)
	}
	// Not t.TempDir: Postfix's and Dovecot's users must be able to enter it.
	dir, err := os.MkdirTemp("", "portreeve-real-")
	if err != nil {
		return complain(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return complain(err)
	}
	host = real.NewHost(root, bin, dir, *parallel)
	defer func() {
		if err := host.Close(); err != nil {
			status = complain(err)
			return // the files tell why
		}
		if err := os.RemoveAll(dir); err != nil {
			status = complain(err)
		}
	}()
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "real:", err)
	return 1
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("dialogues/*.dlg")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no stories in integration/dialogues; run this in the directory integration of the whole project")
	}
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
		if story.Settings.Only == dialogue.OnlyStandIn {
			continue // played by the in-process host
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			dialogue.Play(t, host, story)
		})
	}
}
