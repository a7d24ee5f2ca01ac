package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Every key of the file stands in docs/configuration.md, in its section.
func TestEveryKeyIsDocumented(t *testing.T) {
	body, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text, _, found := strings.Cut(string(body), "## accounts.toml")
	if !found {
		t.Fatal("docs/configuration.md has no section on accounts.toml")
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		field := reflect.TypeFor[Config]().Field(i)
		key := field.Tag.Get("toml")
		switch {
		case key == "-":
		case field.Type.Kind() == reflect.Struct:
			section(t, text, key, field.Type)
		case key == "replies":
			if !strings.Contains(text, "### [replies]") {
				t.Error("no section [replies]")
			}
		case !strings.Contains(text, "| `"+key+"` |"):
			t.Errorf("%s is not documented", key)
		}
	}
}

// section looks for the keys of one table between its heading and the next.
func section(t *testing.T, text, name string, table reflect.Type) {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n### ["+name+"]\n")
	if !found {
		t.Errorf("no section [%s]", name)
		return
	}
	part, _, _ := strings.Cut(rest, "\n###")
	for i := range table.NumField() {
		key := table.Field(i).Tag.Get("toml")
		if key == "-" {
			continue
		}
		if table.Field(i).Type.Kind() == reflect.Struct && !strings.Contains(part, "| `"+key+"` |") {
			section(t, text, name+"."+key, table.Field(i).Type) // a table of its own
			continue
		}
		if !strings.Contains(part, "| `"+key+"` |") {
			t.Errorf("%s.%s is not documented", name, key)
		}
	}
}

// heading and keyRow are a section of docs/configuration.md, and a key of it with
// its default.
var (
	heading = regexp.MustCompile(`(?m)^### \[([a-z_.]+)\]$`)
	keyRow  = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| `([^`]+)` \\|")
)

// What docs/configuration.md calls the defaults, written into a file, loads and
// means what an empty file means: so no key is invented, and no default is wrong.
func TestDocumentedDefaults(t *testing.T) {
	body, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(body), "## accounts.toml")
	text = heading.ReplaceAllString(text, "\n### $1\n")
	var file strings.Builder
	keys := 0
	for line := range strings.Lines(text) {
		if name, found := strings.CutPrefix(line, "### "); found {
			fmt.Fprintf(&file, "[%s]\n", strings.TrimSpace(name))
		}
		if m := keyRow.FindStringSubmatch(line); m != nil {
			keys++
			fmt.Fprintf(&file, "%s = %s\n", m[1], m[2])
		}
	}
	if keys < 90 {
		t.Errorf("only %d keys were found", keys)
	}
	documented, empty := load(t, strings.Replace(file.String(), "[replies]\n", "", 1)), load(t, "")
	documented.Path, empty.Path = "", ""
	if got, want := fmt.Sprintf("%+v", documented), fmt.Sprintf("%+v", empty); got != want {
		t.Errorf("docs/configuration.md tells other defaults:\n%s\n%s", got, want)
	}
}

// The example on top of the page is one that loads.
func TestDocumentedExample(t *testing.T) {
	body, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), "```toml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/configuration.md has no example")
	}
	if c := load(t, example); c.Mode != ModeObserve || c.AuthPolicy.Token == "" {
		t.Errorf("the example means %+v", c)
	}
}
