package dialogue

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var testAddr = netip.MustParseAddr("127.0.0.9")

// expired is a connection whose patience is always over.
type expired struct{ net.Conn }

func (e expired) SetReadDeadline(time.Time) error {
	return e.Conn.SetReadDeadline(time.Unix(1, 0))
}

func TestParse(t *testing.T) {
	s, err := Parse("x.dlg", []byte(strings.Join([]string{
		"", "# A title", "# on two lines.", "# ", "", "# a comment",
		"set auth_failures.window = \"20s\"", "set quota.messages_per_hour = 3",
		"set replies.sender = { code = 550 }",
		"only real", "recipe policy", "",
		"from 2001:db8::1 to 587", "b: from 127.0.0.1 to 465\r", "b: tls",
		"# between steps", "auth login joe \"a \\\"b\\\"\"", "repeat 2",
		"  # inside", "  > X", "  message", "    # not a comment \\x01", "", "    body", "portreeve[1] test --sender \"\"",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "A title on two lines." {
		t.Errorf("title %q", s.Title)
	}
	want := Settings{Recipe: "policy", Only: "real", Portreeve: map[string]any{
		"auth_failures.window": "20s", "quota.messages_per_hour": int64(3),
		"replies.sender": map[string]any{"code": int64(550)},
	}}
	if !reflect.DeepEqual(s.Settings, want) {
		t.Errorf("settings %#v, want %#v", s.Settings, want)
	}
	wantSteps := []Step{
		{13, "from 2001:db8::1 to 587", "", Dial{netip.MustParseAddr("2001:db8::1"), 587}},
		{14, "b: from 127.0.0.1 to 465", "b", Dial{netip.MustParseAddr("127.0.0.1"), 465}},
		{15, "b: tls", "b", TLS{}},
		{17, `auth login joe "a \"b\""`, "", Auth{"LOGIN", "joe", `a "b"`}},
		{18, "repeat 2", "", Repeat{2, []Step{
			{20, "> X", "", Send{"X"}},
			{21, "message", "", Message{[]string{"# not a comment \x01", "", "body"}}},
		}}},
		{25, `portreeve[1] test --sender ""`, "", Verb{[]string{"test", "--sender", ""}, 1}},
	}
	if !reflect.DeepEqual(s.Steps, wantSteps) {
		t.Errorf("steps\n%+v, want\n%+v", s.Steps, wantSteps)
	}
}

// Every mistake is reported with its line and what to write instead.
func TestParseErrors(t *testing.T) {
	const open = "# t\nfrom 127.0.0.9 to 25\n"
	for text, want := range map[string]string{
		"":                                       "x:1: the story has no title",
		"# t\n":                                  "x:1: the story has no steps",
		"# t\n\xff":                              "x:1: the file is not UTF-8",
		"# t\nset x\n":                           "x:2: \"x\" is no setting",
		"# t\nset X = 1\n":                       "x:2: \"X = 1\" is no setting",
		"# t\nset x = y\n":                       "x:2: the value of x is not TOML",
		"# t\nset x = 1\nset x = 2\n":            "x:3: x is set twice",
		"# t\nonly fake\n":                       "x:2: only \"fake\"",
		"# t\nrecipe ../x\n":                     "x:2: recipe",
		"# t\n> NOOP\n":                          "x:2: no connection is open",
		open + "b: > NOOP\n":                     "x:3: no connection is open",
		open + "set x = 1\n":                     "x:3: unknown step \"set\"",
		open + "smile\n":                         "x:3: unknown step \"smile\"",
		open + "  > X\n":                         "x:3: from takes no indented block",
		"# t\n  > X\n":                           "x:2: unexpected indentation",
		open + "from here to 25\n":               "x:3: reading the client address",
		open + "from 127.0.0.1 to 0\n":           "x:3: \"0\" is no port",
		open + "from 127.0.0.1 25\n":             "x:3: write `from ADDRESS to PORT`",
		open + "> a\\q\n":                        "x:3: unknown escape in \\q",
		open + "> a\\xzz\n":                      "x:3: \\xzz is no byte",
		open + "< {Id}\n":                        "x:3: unknown braces",
		open + "< {id:b!=a}\n":                   "x:3: no id was kept as \"a\" before",
		open + "portreeve explain {a}\n":         "x:3: no id was kept as {a} before",
		open + "portreeve\n":                     "x:3: write the verb",
		open + "portreeve[x] y\n":                "x:3: \"portreeve[x]\"",
		open + "portreeve[999] y\n":              "x:3: exit status 999",
		open + "portreeve a \"b\n":               "x:3: a double quote is not closed",
		open + "auth a\n":                        "x:3: write `auth USER PASSWORD`",
		open + "login a\n":                       "x:3: write `login USER PASSWORD`",
		open + "starttls now\n":                  "x:3: starttls stands alone",
		open + "message\n":                       "x:3: message needs an indented block",
		open + "message\n\n  a\n":                "x:4: a blank line before the indented block",
		open + "message\n    a\n  b\n":           "x:5: indented less",
		open + "message\n  a\\q\n":               "x:3: line 4 of the message: unknown escape",
		open + "wait long\n":                     "x:3: \"long\" is no time to wait",
		open + "wait -1s\n":                      "x:3: \"-1s\" is no time to wait",
		open + "accounts\n  [\n":                 "x:3: the accounts are not TOML",
		open + "directory fails\n":               "x:3: accounts.toml never fails on a real host",
		"# t\nonly real\ndirectory answers\n":    "x:3: accounts.toml never fails on a real host",
		"# t\nonly stand-in\ndirectory falls\n":  "x:3: \"falls\"; write `directory fails`",
		open + "b: wait 1s\n":                    "x:3: wait has nothing to do with the connection",
		open + "repeat 1\n  > X\n":               "x:3: \"1\" is no number of times",
		open + "repeat 2\n  smile\n":             "x:4: unknown step",
		open + "smile\nfrown\n":                  "x:4: unknown step \"frown\"",
		open + "repeat 2\n  > X\n  repeat 2\n\n": "x:5: repeat needs an indented block",
	} {
		_, err := Parse("x", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// FuzzParse: no input makes the parser panic; every error names its line; what
// is accepted has its steps in the order of the file.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../dialogues/*.dlg")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("# t\nset a = 1\nfrom ::1 to 25\n< {id:a} *\nrepeat 2\n  message\n    x\\x00\n\n   y\nportreeve \"\\\"\" {a}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\nf:") {
				var n int
				if _, err := fmt.Sscanf(strings.TrimPrefix(line, "f:"), "%d:", &n); err != nil || n < 1 {
					t.Fatalf("no line number in %q", line)
				}
			}
			return
		}
		last := 0
		var check func([]Step)
		check = func(steps []Step) {
			for _, s := range steps {
				if s.Line <= last || s.Action == nil {
					t.Fatalf("step %+v after line %d", s, last)
				}
				last = s.Line
				if r, ok := s.Action.(Repeat); ok {
					check(r.Steps)
				}
				if e, ok := s.Action.(Expect); ok {
					e.Pattern.Match("250 2.0.0 Ok", map[string]string{})
				}
			}
		}
		check(s.Steps)
	})
}
