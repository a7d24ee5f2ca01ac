package config

import (
	"os"
	"reflect"
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
