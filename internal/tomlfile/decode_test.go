package tomlfile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample has a field of every kind.
type sample struct {
	Text   string
	Number int
	Port   uint16 `toml:"port"`
	Flag   bool
	Maybe  *bool
	Wait   time.Duration
	Room   Size
	Mode   mode
	List   []string
	Below  struct {
		First  int
		Second string `toml:"the_second"`
		Deep   struct{ Third int }
	}
	Map    map[string]entry
	Hidden string `toml:"-"`
}

type mode string

type entry struct {
	A int
	B string
}

var modes = OneOf[mode]("", "enforce", "observe")

func decode(t *testing.T, text string, into *sample) []string {
	t.Helper()
	d, problems := Parse("f.toml", []byte(text))
	if problems == nil {
		problems = d.Decode(into, modes)
	}
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return lines
}

func TestDecode(t *testing.T) {
	got := sample{
		Number: 7, Text: "default", List: []string{"default"},
		Map: map[string]entry{"old": {1, "x"}, "kept": {2, "y"}},
	}
	problems := decode(t, `
port = 465
flag = true
maybe = false
wait = "90s"
room = "2GiB"
mode = "observe"
list = ["a", "b"]
map.old.a = 5
map.new = { b = "z" }
[below]
first = 1
the_second = "two"
deep.third = 3
`, &got)
	if problems != nil {
		t.Fatal(problems)
	}
	no := false
	want := sample{
		Text: "default", Number: 7, Port: 465, Flag: true, Maybe: &no,
		Wait: 90 * time.Second, Room: 2 << 30, Mode: "observe", List: []string{"a", "b"},
		Map: map[string]entry{"old": {5, "x"}, "kept": {2, "y"}, "new": {0, "z"}},
	}
	want.Below.First, want.Below.Second, want.Below.Deep.Third = 1, "two", 3
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeProblems(t *testing.T) {
	tests := []struct{ text, want string }{
		{`txet = "x"`, `unknown key txet: did you mean text?`},
		{`Text = "x"`, `unknown key Text: did you mean text?`},
		{`the_second = "x"`, `unknown key the_second: it belongs in [below]`},
		{`third = 1`, `unknown key third: it belongs in [below.deep]`},
		{`hidden = "x"`, `unknown key hidden: remove it; the keys here are text, number, port, flag, maybe, wait, room, mode, list, below, map`},
		{`"a b" = 1`, `unknown key "a b": remove it; the keys here are text, number, port, flag, maybe, wait, room, mode, list, below, map`},
		{`below.frist = 1`, `unknown key below.frist: did you mean first?`},
		{`map."x.y".c = 1`, `unknown key map."x.y".c: did you mean a?`},
		{`map.example.com = {}`, `unknown key map.example.com: if it is one name, put it in double quotes: "example.com"`},
		{`map.sub.example.com = {}`, `unknown key map.sub.example: if it is one name, put it in double quotes: "sub.example.com"`},
		{`map.example.com = { a = 1 }`, `unknown key map.example.com: if it is one name, put it in double quotes: "example.com"`},
		{`below.sub.x = {}`, `unknown key below.sub: remove it; the keys here are first, the_second, deep`},
		{`text = 1`, `text is the number 1, not text: put it in double quotes: "1"`},
		{`text = true`, `text is true, not text: put it in double quotes: "true"`},
		{`text = ["x"]`, `text is a list, not text: write text in double quotes`},
		{`number = "10"`, `number is the text "10", not a whole number: leave out the quotes: 10`},
		{`number = "ten"`, `number is the text "ten", not a whole number: write a whole number, without quotes`},
		{`number = 1.5`, `number is the number 1.5, not a whole number: write a whole number, without quotes`},
		{`number = 2026-01-01`, `number is a date or a time, not a whole number: write a whole number, without quotes`},
		{`port = 70000`, `port = 70000 is out of range: write a number from 0 to 65535`},
		{`port = -1`, `port = -1 is out of range: write a number from 0 to 65535`},
		{`flag = "true"`, `flag is the text "true", not true or false: write true or false, without quotes`},
		{`maybe = 1`, `maybe is the number 1, not true or false: write true or false, without quotes`},
		{`wait = 60`, `wait is the number 60, not a duration: write one in double quotes, such as "1h"`},
		{`wait = "60"`, `wait = "60" has no unit: write "60s" if seconds are meant, or use ms, m or h`},
		{`wait = "30d"`, `wait = "30d" is in days: write it in hours: "720h"`},
		{`wait = "1 hour"`, `wait = "1 hour" is not a duration: write a number with one of the units ms, s, m, h, such as "90s" or "1h"`},
		{`room = "2G"`, `room = "2G" is not a size: write a whole number with one of the units B, KiB, MiB, GiB, TiB, such as "2GiB"`},
		{`room = "1.5GiB"`, `room = "1.5GiB" is not a size: write a whole number with one of the units B, KiB, MiB, GiB, TiB, such as "2GiB"`},
		{`room = "9999999999TiB"`, `room = "9999999999TiB" is out of range: write a smaller size`},
		{`room = 5`, `room is the number 5, not a size: write one in double quotes, such as "2GiB"`},
		{`mode = "enforced"`, `mode = "enforced" is not "enforce" or "observe": did you mean "enforce"?`},
		{`mode = "both"`, `mode = "both" is not "enforce" or "observe": write "enforce" or "observe"`},
		{`list = "x"`, `list is the text "x", not a list: put it in square brackets: list = ["x"]`},
		{`list = {}`, `list is a table, not a list: write a list in square brackets`},
		{`list = ["x", 2]`, `list[1] is the number 2, not text: put it in double quotes: "2"`},
		{`list = [{}]`, `list[0] is a table, not text: write text in double quotes`},
		{`below = 1`, `below is the number 1, not a table: write a table, as in [below], and its keys below it`},
		{`map = 1`, `map is the number 1, not a table: write a table, as in [map], and its keys below it`},
		{`map.x = 1`, `map.x is the number 1, not a table: write a table, as in [map.x], and its keys below it`},
		{"text = yes", `not TOML: expected value but found "yes" instead: put text in double quotes; numbers, true and false go without`},
		{"text = \"a\"\ntext = \"b\"", `not TOML: key 'text' has already been defined: keep one of them`},
		{"text = \"a\nb\"", `not TOML: strings cannot contain newlines: close the quotes on the same line`},
		{"text = \"\xff\"", `not TOML: invalid UTF-8 byte: 0xff: save the file as UTF-8 text`},
		{"te@xt = 1", `not TOML: expected '.' or '=', but got '@' instead: put a name with signs like @ in double quotes, and "=" after it`},
		{"text", `not TOML: unexpected EOF; expected key separator '=': correct the line; the rules of TOML are at https://toml.io/en/v1.0.0`},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got := decode(t, "\n"+tt.text, &sample{})
			want := "f.toml:2: " + tt.want
			if strings.HasPrefix(tt.want, "not TOML: key") {
				want = "f.toml:3: " + tt.want
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// TestAllAtOnce: one mistake does not hide another, and the order is that of
// the lines.
func TestAllAtOnce(t *testing.T) {
	got := strings.Join(decode(t, "[map.x]\nd = 1\na = \"1\"\n[below]\nfirst = true\n[zone]\n", &sample{}), "\n")
	want := `f.toml:2: unknown key map.x.d: did you mean a?
f.toml:3: map.x.a is the text "1", not a whole number: leave out the quotes: 1
f.toml:5: below.first is true, not a whole number: write a whole number, without quotes
f.toml:6: unknown key zone: remove it; the keys here are text, number, port, flag, maybe, wait, room, mode, list, below, map`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestBadValueKeepsDefault: what cannot be read leaves the default in place, so
// that checks after it do not complain about the same thing again.
func TestBadValueKeepsDefault(t *testing.T) {
	s := sample{Number: 10, Wait: time.Hour}
	if got := decode(t, "number = \"x\"\nwait = \"x\"\n", &s); len(got) != 2 {
		t.Fatalf("%d problems, want 2: %q", len(got), got)
	}
	if s.Number != 10 || s.Wait != time.Hour {
		t.Errorf("defaults are gone: %+v", s)
	}
}

func TestReadUnreadable(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "absent.toml"): "absent.toml: does not exist: create it, or name another file",
		dir:                               ": cannot be read (is a directory): correct the path, or let Portreeve's user read it",
	} {
		d, problems := Read(path)
		if d != nil || len(problems) != 1 || !strings.HasSuffix(problems[0].String(), want) {
			t.Errorf("%s: %v, want one that ends in %q", path, problems, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.toml")
	if err := os.WriteFile(path, []byte("a.b = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, problems := Read(path)
	if problems != nil {
		t.Fatal(problems)
	}
	for at, want := range map[string]bool{"a": true, "a b": true, "a c": false, "a b c": false, "x": false} {
		if got := d.Has(strings.Fields(at)...); got != want {
			t.Errorf("Has(%s) is %v, want %v", at, got, want)
		}
	}
	p := d.Problem("a.b is odd", "make it even", "a", "b")
	if want := (Problem{File: path, Line: 1, Key: "a.b", What: "a.b is odd", Remedy: "make it even"}); p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

// TestProblemIsOneLine: neither a file name nor a key can forge a second line.
func TestProblemIsOneLine(t *testing.T) {
	p := Problem{File: "a\nb", Line: 3, What: "x\x1b[31m", Remedy: "y\r"}
	if got, want := p.String(), "a?b:3: x?[31m: y?"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTextOfPlainError(t *testing.T) {
	type even int
	text := TextOf("an even number", "2", func(string) (even, error) { return 0, errors.New("it is odd") })
	d, _ := Parse("f.toml", []byte(`n = "3"`))
	var into struct{ N even }
	problems := d.Decode(&into, text)
	if len(problems) != 1 || problems[0].String() != `f.toml:1: n = "3" is not an even number (it is odd): write one such as "2"` {
		t.Errorf("got %v", problems)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"limit", "window", "ipv4_prefix", "ipv6_prefix", "on"}
	for word, want := range map[string]string{
		"limt": "limit", "lmiit": "limit", "limits": "limit", "windows": "window", "Window": "window",
		"ipv4-prefix": "ipv4_prefix", "ipv5_prefix": "ipv4_prefix", "off": "", "no": "on", "maximum": "", "": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
