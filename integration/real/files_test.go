package real

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	if got := log(path, 0) + log(path, 7); got != "" || size(path) != 0 {
		t.Errorf("a log that is not there: %q, size %d", got, size(path))
	}
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[int64]string{0: "one\ntwo\n", 4: "two\n", 8: "", 9: "one\ntwo\n"} { // 9: rotated since
		if got := log(path, from); got != want {
			t.Errorf("from %d: %q, want %q", from, got, want)
		}
	}
}
