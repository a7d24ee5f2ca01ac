package tomlfile

import (
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	tests := []struct {
		name string
		text string
		at   Path
		want int
	}{
		{"top level", "a = 1\nb = 2\n", Path{"b"}, 2},
		{"no newline at the end", "a = 1\nb = 2", Path{"b"}, 2},
		{"CRLF", "a = 1\r\n\r\nb = 2\r\n", Path{"b"}, 3},
		{"byte order mark", "\ufeffa = 1\nb = 2\n", Path{"a"}, 1},
		{"table header", "# first\n\n[a]\nb = 1\n", Path{"a"}, 3},
		{"key in a table", "# first\n\n[a]\nb = 1\n", Path{"a", "b"}, 4},
		{"spaces in a header", "\n [ a . \"b c\" ] # why\nd = 1\n", Path{"a", "b c", "d"}, 3},
		{"header after its subtable", "[a.b]\nc = 1\n[a]\nd = 1\n", Path{"a"}, 3},
		{"dotted key", "x = 1\na.b.c = 1\n", Path{"a", "b", "c"}, 2},
		{"second dotted key of a table", "a.b = 1\na.c = 2\n", Path{"a", "c"}, 2},
		{"first dotted key of a table", "a.b = 1\na.c = 2\n", Path{"a"}, 1},
		{"quoted key with a dot", "\n\"a.b\" = 1\n", Path{"a.b"}, 2},
		{"quoted key with an equals sign", "\n\"a=b\" = 1\n", Path{"a=b"}, 2},
		{"quoted key with a bracket", "\n[\"a]b\"]\nc = 1\n", Path{"a]b", "c"}, 3},
		{"quoted key with escapes", "\n\"a\\\"\\u0062\" = 1\n", Path{"a\"b"}, 2},
		{"literal key", "\n'a\\b' = 1\n", Path{`a\b`}, 2},
		{"empty key", "\n\"\" = 1\n", Path{""}, 2},
		{"inline table", "\na = { b = 1, c = { d = 2 } }\n", Path{"a", "c", "d"}, 2},
		{"inline table over lines", "a = {\n  b = 1,\n  c = 2,\n}\n", Path{"a", "c"}, 3},
		{"key after an inline table", "a = { b = \"}\" }\nc = 1\n", Path{"c"}, 2},
		{"list entry", "a = [\n  1, # one\n  2,\n]\n", Path{"a", "[1]"}, 3},
		{"key after a list", "a = [\n  1,\n  [2, 3],\n]\nb = 1\n", Path{"b"}, 5},
		{"list with brackets in texts", "a = [\"]\", ']', # ]\n \"x\"]\nb = 1\n", Path{"b"}, 3},
		{"inline table in a list", "a = [\n {b = 1},\n {b = 2},\n]\n", Path{"a", "[1]", "b"}, 3},
		{"array of tables", "[[a]]\nb = 1\n[[a]]\nb = 2\n", Path{"a", "[1]", "b"}, 4},
		{"table below an array of tables", "[[a]]\n[[a]]\n[a.b]\nc = 1\n", Path{"a", "[1]", "b", "c"}, 4},
		{"key after a long text", "a = \"\"\"\nb = 1\n\\\"\"\"\n\"\"\"\nb = 2\n", Path{"b"}, 5},
		{"long text that ends in quotes", "a = \"\"\"x\"\"\"\"\"\nb = 2\n", Path{"b"}, 2},
		{"long literal text", "a = '''\n[b]\n\\'''\nb = 2\n", Path{"b"}, 4},
		{"escaped newline", "a = \"\"\"x\\\n  y\"\"\"\nb = 2\n", Path{"b"}, 3},
		{"comment that looks like a key", "# b = 1\nb = 2 # b = 3\n", Path{"b"}, 2},
		{"hash in a text", "a = \"#\"\nb = 2\n", Path{"b"}, 2},
		{"date with a space", "a = 1979-05-27 07:32:00Z\nb = 2\n", Path{"b"}, 2},
		{"absent key of a table", "x = 1\n[a]\nb = 1\n", Path{"a", "c"}, 2},
		{"absent entry", "a = [1]\n", Path{"a", "[1]"}, 1},
		{"absent table", "x = 1\n", Path{"a", "c"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, problems := Parse("f.toml", []byte(tt.text))
			if problems != nil {
				t.Fatalf("the text of the test is not TOML: %v", problems)
			}
			if got := d.Line(tt.at...); got != tt.want {
				t.Errorf("line of %s is %d, want %d, in\n%s", tt.at, got, tt.want, tt.text)
			}
			sameShape(t, nil, d.data, locate(d.text))
		})
	}
}

// TestDeepNesting: a list in a list in a list … must not cost the stack.
func TestDeepNesting(t *testing.T) {
	const depth = 10 * maxNesting
	d, problems := Parse("f.toml", []byte("a = "+strings.Repeat("[", depth)+strings.Repeat("]", depth)+"\n"))
	if problems != nil {
		t.Fatal(problems)
	}
	if got := d.Line("a"); got != 1 {
		t.Errorf("line %d, want 1", got)
	}
}

// sameShape checks the locator against the parser: whatever the parser read,
// the tree of places has the very same keys and entries.
func sameShape(t *testing.T, at Path, v any, n *node) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if len(v) != len(n.keys) {
			t.Errorf("%s: %d keys, but %d have a place", at, len(v), len(n.keys))
		}
		for key, below := range v {
			if c := n.keys[key]; c == nil {
				t.Errorf("%s: key %q has no place", at, key)
			} else {
				sameShape(t, append(at, key), below, c)
			}
		}
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		sameShape(t, at, list, n)
	case []any:
		if len(v) != len(n.items) {
			t.Fatalf("%s: %d entries, but %d have a place", at, len(v), len(n.items))
		}
		for i, below := range v {
			sameShape(t, append(at, Index(i)), below, n.items[i])
		}
	default:
		if len(n.keys)+len(n.items) > 0 {
			t.Errorf("%s: a plain value has places inside", at)
		}
	}
}

// linesInside checks that every place is a line of the text, no earlier than
// that of the value around it, and that the key can be read there.
func linesInside(t *testing.T, text string, n *node, from int) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for key, c := range n.keys {
		if c.line < 1 || c.line > len(lines) {
			t.Errorf("key %q is at line %d of %d", key, c.line, len(lines))
			continue
		}
		line := lines[c.line-1]
		if !strings.Contains(line, key) && !strings.Contains(line, `\`) {
			t.Errorf("key %q is not in line %d: %q", key, c.line, line)
		}
		linesInside(t, text, c, c.line)
	}
	for i, item := range n.items {
		if item.line < from || item.line > len(lines) {
			t.Errorf("entry %d is at line %d, outside %d to %d", i, item.line, from, len(lines))
		}
		linesInside(t, text, item, item.line)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a = 1\n[b]\nc.d = [\"x\", {e = 'y'}]\n[[f.g]]\nh = \"\"\"\n\\\"\"\"\"\n",
		"text = 1\nnumber = \"x\"\nlist = [[]]\nmap = {x = 2}\nwait = \"1d\"\nunknown = 1979-05-27 07:32:00Z\n",
		"\ufeff\"a\\u0062\" = {\n b = 1, # c\n}\r\n",
		"a = yes\n", "[x\n", "a = \"\xff\"", "a = '\x00'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		locate(text) // text that is no TOML must do no harm
		d, problems := Parse("f.toml", []byte(text))
		if d != nil {
			places := locate(d.text)
			sameShape(t, nil, d.data, places)
			linesInside(t, d.text, places, 1)
			problems = d.Decode(&sample{})
		} else if len(problems) != 1 {
			t.Errorf("%d problems for text that cannot be parsed, want 1", len(problems))
		}
		for _, p := range problems {
			if s := p.String(); strings.ContainsAny(s, "\n\r\x00\x1b") {
				t.Errorf("a problem is not one printable line: %q", s)
			}
			if p.What == "" || p.Remedy == "" || p.Line < 0 || p.Line > 1+strings.Count(text, "\n") {
				t.Errorf("incomplete problem %+v", p)
			}
		}
	})
}
