package explain

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// hostile are names that a client may choose.
var hostile = []string{
	"jan@domena.cz", "$(touch owned)@x.cz", "`touch owned`@x.cz", "a;touch owned@x.cz", "a'b@x.cz", `a"b@x.cz`, `a\b@x.cz`, "a&b|c@x.cz", "a b@x.cz",
	"-rf@x.cz", "--config=/etc/shadow@x.cz", "!!@x.cz", "~root@x.cz", "*@x.cz", "a>owned@x.cz", "#a@x.cz", "{a,b}@x.cz", "'; touch owned; '@x.cz",
	`"] }` + "@x.cz", "jürgen@müller.de", "%s%n@x.cz", "$HOME@x.cz", "a=b@x.cz", "''@x.cz", `\'@x.cz`, "(a)@x.cz",
}

// untypable are names that make no command.
var untypable = []string{"", "a\nb@x.cz", "a\rb@x.cz", "a\x00b@x.cz", "a\x1b[2Jb@x.cz", "a\u202eb@x.cz", "a\u200bb@x.cz", "a\xffb@x.cz", "a\ufffdb@x.cz", "a\tb@x.cz", "a\u00a0b@x.cz"}

// asShell runs a command whose program only prints its arguments.
func asShell(t *testing.T, command string) []string {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `show() { for a; do printf '%s\0' "$a"; done; }
`+command)
	cmd.Dir = t.TempDir()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestShellKeepsArgumentsWhole(t *testing.T) {
	for _, name := range hostile {
		command := shell([]string{"show", "-a", "two words"}, name, "last")
		want := "-a\x00two words\x00" + name + "\x00last"
		if strings.HasPrefix(name, "-") {
			want = "-a\x00two words\x00--\x00" + name + "\x00last"
		}
		if got := strings.Join(asShell(t, command), "\x00"); got != want {
			t.Errorf("%q became %q by %s", name, got, command)
		}
	}
	for _, name := range untypable {
		if command := shell([]string{"show"}, "first", name); command != "" {
			t.Errorf("%q made a command: %q", name, command)
		}
	}
}

// A dash anywhere among the arguments ends the options before all of them.
func TestShellEndsOptionsOnce(t *testing.T) {
	if got := shell([]string{"portreeve", "explain"}, "a", "-b", "-c"); got != "portreeve explain -- a -b -c" {
		t.Errorf("got %s", got)
	}
}

func FuzzShell(f *testing.F) {
	for _, name := range append(hostile, untypable...) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		command := shell([]string{"show"}, name)
		if (command == "") == plain(name) {
			t.Fatalf("%q made %q", name, command)
		}
		if command == "" {
			return
		}
		got := asShell(t, command)
		if strings.HasPrefix(name, "-") {
			got = got[1:]
		}
		if len(got) != 1 || got[0] != name {
			t.Errorf("%q became %q by %s", name, got, command)
		}
	})
}

func FuzzTOMLString(f *testing.F) {
	for _, name := range append(hostile, untypable...) {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !plain(name) {
			return // makes no line
		}
		var parsed map[string][]string
		line := tomlString(name) + " = " + tomlStrings([]string{name, "b"})
		if _, err := toml.Decode(line, &parsed); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if list := parsed[name]; len(parsed) != 1 || len(list) != 2 || list[0] != name {
			t.Errorf("%q became %v by %s", name, parsed, line)
		}
	})
}
