package mailheader

import (
	"os"
	"strings"
	"testing"
	"time"

	"portreeve/rules"
)

// examples reads testdata/received.txt.
func examples(t testing.TB) map[string]rules.TrailKind {
	t.Helper()
	data, err := os.ReadFile("testdata/received.txt")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]rules.TrailKind{"hop": rules.TrailHop, "other": rules.TrailOther}
	got := make(map[string]rules.TrailKind)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		word, value, _ := strings.Cut(line, " ")
		kind, ok := kinds[word]
		if !ok {
			t.Fatalf("testdata/received.txt: %q is neither hop nor other", word)
		}
		value = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(strings.TrimLeft(value, " "))
		got[value] = kind
	}
	return got
}

func TestParseReceived(t *testing.T) {
	for value, want := range examples(t) {
		for _, v := range []string{value, " " + value, "\n " + value, strings.ReplaceAll(value, "\n", "\r\n")} {
			if got := ParseReceived(v); got != want {
				t.Errorf("ParseReceived(%q) = %v, want %v", v, got, want)
			}
		}
	}
}

// TestParseReceivedIsLinear would take minutes if a stray parenthesis or quote
// were looked at again from every place in the field.
func TestParseReceivedIsLinear(t *testing.T) {
	for _, s := range []string{"(", `"`, `"\`, `(\`, "()", `""`, "a(", `a"`, "from ", "with HTTP "} {
		began := time.Now()
		ParseReceived(strings.Repeat(s, 1<<20/len(s)))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a megabyte of %q took %v", s, took)
		}
	}
}

func FuzzParseReceived(f *testing.F) {
	for value := range examples(f) {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		kind := ParseReceived(value)
		// A server that adds its own clause in front, as all do, is a hop
		// whatever the rest says.
		if ParseReceived("from a by b with ESMTP id c "+value) != rules.TrailHop {
			t.Errorf("%q hides a clause before it", value)
		}
		// A comment says nothing.
		if ParseReceived("(c) "+value) != kind {
			t.Errorf("a comment before %q changes it", value)
		}
		// Case does not matter in ASCII.
		if strings.ToLower(value) != value && len(strings.ToLower(value)) == len(value) &&
			ParseReceived(strings.ToLower(value)) != kind {
			t.Errorf("the case of %q matters", value)
		}
	})
}
