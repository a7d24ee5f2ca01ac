package replay

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// keys are the names of a type's fields in JSON, and of what is in it.
func keys(t reflect.Type, into map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		keys(t.Elem(), into)
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			into[name] = true
			keys(t.Field(i).Type, into)
		}
	}
}

// Scripts read the JSON by what docs/replay.md says of it: every field is there.
func TestJSONIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## For scripts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !found {
		t.Fatal("docs/replay.md has nothing for scripts")
	}
	names := map[string]bool{}
	keys(reflect.TypeFor[Report](), names)
	if len(names) < 40 {
		t.Errorf("only %d fields were found", len(names))
	}
	for name := range names {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("docs/replay.md does not say what %q is", name)
		}
	}
}
