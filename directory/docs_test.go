package directory

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"portreeve/rules"
)

// docs/configuration.md has every key of accounts.toml, no other, and an example
// that can be read.
func TestAccountsFileIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## accounts.toml\n")
	keys := 0
	for _, form := range []reflect.Type{reflect.TypeFor[domainForm](), reflect.TypeFor[accountForm]()} {
		for i := range form.NumField() {
			keys++
			if key := form.Field(i).Tag.Get("toml"); !strings.Contains(text, "\n| `"+key+"` | ") {
				t.Errorf("docs/configuration.md does not say what %s is", key)
			}
		}
	}
	if rows := strings.Count(text, "\n| `"); rows != keys {
		t.Errorf("docs/configuration.md has %d keys of accounts.toml, and there are %d", rows, keys)
	}
	_, rest, _ := strings.Cut(text, "```toml\n")
	example, _, _ := strings.Cut(rest, "```")
	path := filepath.Join(t.TempDir(), "accounts.toml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	file, problems := OpenFile(path, rules.Logins{})
	for _, p := range problems {
		t.Error(p)
	}
	if file == nil || len(file.accounts) == 0 {
		t.Error("the example of accounts.toml has no accounts")
	}
}
