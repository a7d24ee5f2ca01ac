//go:build real

package pages

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var (
	where = flag.String("where", "", "where the hosts are made: bookworm or trixie (containers), or natively")
	inner = flag.String("story", "", "the first page of the story to play on this host; the other call has made the host for it")
	only  = flag.String("only", "", "the first page of the one story to play")
)

// TestPages plays each story on a host of its own: it runs this very program there
// (run.sh, pristine.sh).
func TestPages(t *testing.T) {
	if *where == "" {
		t.Fatal("nobody said where the hosts are made: run integration/pages/run.sh")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Stories {
		first := s.Pages[0]
		if *only != "" && *only != first {
			continue
		}
		t.Run(strings.ReplaceAll(first, "/", "_"), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), filepath.Join(here, "pristine.sh"), *where, self,
				"-test.v", "-test.run=^TestStory$", "-story="+first)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", first, err, out)
				return
			}
			if !strings.Contains(string(out), "--- PASS: TestStory ") {
				t.Errorf("%s was not played:\n%s", first, out)
			}
			t.Log(string(out))
		})
	}
}
