package dialogue

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// TestStoriesParse reads every story, and holds it to the agreement of the
// README: clients of its own, so that stories can be read side by side in one
// log.
func TestStoriesParse(t *testing.T) {
	files, err := filepath.Glob("../dialogues/*.dlg")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no stories; run this within the whole project")
	}
	owner := map[netip.Prefix]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(filepath.Base(file), data)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, step := range s.Steps {
			d, ok := step.Action.(Dial)
			if !ok || !netip.MustParsePrefix("127.1.0.0/16").Contains(d.From) {
				continue
			}
			prefix := netip.PrefixFrom(d.From, 24).Masked()
			if other := owner[prefix]; other != "" && other != s.Name {
				t.Errorf("%s:%d: %s is a client of %s; take another 127.1.x.y", s.Name, step.Line, d.From, other)
			}
			owner[prefix] = s.Name
		}
	}
}
