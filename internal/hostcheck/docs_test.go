package hostcheck

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// docs/setup.md lists the checks as they are, in their order.
func TestDocsListTheChecks(t *testing.T) {
	data, err := os.ReadFile("../../docs/setup.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, c := range Checks() {
		fmt.Fprintf(&want, "| `%s` | %s |\n", c.Name, c.About)
	}
	if _, rest, _ := strings.Cut(string(data), "| check | what it finds |\n| --- | --- |\n"); !strings.HasPrefix(rest, want.String()+"\n") {
		t.Errorf("docs/setup.md has another list of checks; this is the one:\n%s", want.String())
	}
}
