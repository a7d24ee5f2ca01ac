package postfix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                  nil,
		" a, b\tc,,\n d ":                   {"a", "b", "c", "d"},
		"a { b, c } d":                      {"a", "{ b, c }", "d"},
		"{a,{b, c}},d":                      {"{a,{b, c}}", "d"},
		"a}b c":                             {"a}b", "c"},
		"x{ y }z":                           {"x{ y }z"},
		"permit_mynetworks # not a comment": {"permit_mynetworks", "#", "not", "a", "comment"},
	} {
		got, err := Words(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"{", "a { b", "{{}"} {
		if _, err := Words(text); !errors.Is(err, ErrBraces) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExpand(t *testing.T) {
	params := map[string]string{"a": "1", "b": "$a$a", "loop": "$loop", "empty": "", "big": "$big2$big2"}
	big := strings.Repeat("x", 1000)
	for i := range 19 {
		params[fmt.Sprintf("big%d", i+2)] = fmt.Sprintf("$big%d$big%d", i+3, i+3)
	}
	params["big21"] = big
	lookup := func(n string) (string, bool) { v, ok := params[n]; return v, ok }
	for text, want := range map[string]string{
		"":                     "",
		"plain":                "plain",
		"$a":                   "1",
		"${a}x$(a)":            "1x1",
		"$b":                   "11",
		"$nosuch":              "",
		"$$a":                  "$a",
		"${a?yes}${empty?no}":  "yes",
		"${a:no}${empty:yes}":  "yes",
		"${a?{y}:{n}}":         "y",
		"${empty?{y}:{n $a}}":  "n 1",
		"${ empty ? {y} : n }": "n",
	} {
		got, err := Expand(text, lookup)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"$loop": ErrNesting, "$big": ErrNesting, "${{$a} == {1} ? {x} : {y}}": ErrExpand, "${a": ErrBraces, "$": ErrExpand, "$,": ErrExpand, "${a!b}": ErrExpand, "${a?{b}": ErrBraces,
	} {
		if _, err := Expand(text, lookup); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestRestrictions(t *testing.T) {
	text := "permit_mynetworks, CHECK_POLICY_SERVICE { unix:a/b, policy_context=relay,\n  { default_action=451 4.3.5 try, again } } warn_if_reject reject_rbl_client zen.example, check_client_access hash:/x, sleep 5, reject"
	list, err := Restrictions(text)
	if err != nil || len(list) != 7 {
		t.Fatalf("%v, %v", list, err)
	}
	p, ok := list[1].Policy()
	if !ok || p != (Policy{"unix:a/b", "relay", "451 4.3.5 try, again"}) {
		t.Errorf("policy %+v", p)
	}
	if list[3].Arg != "zen.example" || list[5].Arg != "5" || !list[6].Is("permit", "reject") || list[2].Arg != "" {
		t.Errorf("list %+v", list)
	}
	again, err := Restrictions(FormatRestrictions(list))
	if err != nil || !slices.Equal(again, list) {
		t.Errorf("read again: %v %v", again, err)
	}
	for _, text := range []string{"check_policy_service", "reject_rbl_client,", "check_policy_service { unix:a"} {
		if _, err := Restrictions(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
	if p, ok := (Restriction{"check_policy_service", "inet:127.0.0.1:10031"}).Policy(); !ok || p.Endpoint != "inet:127.0.0.1:10031" {
		t.Errorf("a plain call: %+v", p)
	}
}

func TestMilters(t *testing.T) {
	list, err := Milters("unix:a, { inet:h:1, protocol=4, { default_action = accept } }")
	if err != nil || len(list) != 2 || list[0].Endpoint != "unix:a" || list[1] != (Milter{"{ inet:h:1, protocol=4, { default_action = accept } }", "inet:h:1", "accept", "4"}) {
		t.Errorf("%+v %v", list, err)
	}
}

const master = `# comment
smtp      inet  n       -       y       -       -       smtpd
  -o smtpd_a=1 -v
# -o smtpd_b=2

  -o { smtpd_c = x y }
  -o smtpd_d=old
	-o
	smtpd_e=$x
#submission inet n - y - - smtpd
#  -o sample=yes
pickup    unix  n       -       y       60      1       pickup
broken line
127.0.0.1:2525 inet n - - - - smtpd -osmtpd_f=1 -o smtpd_d=first -o smtpd_d=second`

func TestMaster(t *testing.T) {
	m := ParseMaster(master)
	if n := len(m.Entries()); n != 3 {
		t.Fatalf("%d entries", n)
	}
	e := m.Find("smtp", "inet")
	for name, want := range map[string]string{"smtpd_a": "1", "smtpd_c": "x y", "smtpd_d": "old", "smtpd_e": "$x"} {
		if got, ok := e.Option(name); !ok || got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if _, ok := e.Option("smtpd_b"); ok || e.Line != 2 || e.Port() != 25 || e.Command != "smtpd" || e.Chroot != "y" {
		t.Errorf("entry %+v", e)
	}
	last := m.Find("127.0.0.1:2525", "inet")
	if v, _ := last.Option("smtpd_d"); v != "second" || last.Port() != 2525 || m.Find("smtp", "unix") != nil {
		t.Errorf("entry %+v", last)
	}
}

// Edits change one thing, and the text around it stays to the byte.
func TestMasterSet(t *testing.T) {
	for _, tt := range []struct{ service, option, value, old, now string }{
		{"smtp", "smtpd_a", "2", "-o smtpd_a=1 -v", "-o smtpd_a=2 -v"},
		{"smtp", "smtpd_c", "z", "-o { smtpd_c = x y }", "-o smtpd_c=z"},
		{"smtp", "smtpd_d", "{ a, b }", "-o smtpd_d=old", "-o { smtpd_d = { a, b } }"},
		{"smtp", "smtpd_e", "", "\tsmtpd_e=$x", "\tsmtpd_e="},
		{"smtp", "smtpd_new", "1", "\tsmtpd_e=$x\n", "\tsmtpd_e=$x\n  -o smtpd_new=1\n"},
		{"127.0.0.1:2525", "smtpd_d", "third", "smtpd_d=second", "smtpd_d=third"},
		{"127.0.0.1:2525", "smtpd_f", "2", "-osmtpd_f=1", "-o smtpd_f=2"},
		{"127.0.0.1:2525", "smtpd_new", "x y", "smtpd_d=second", "smtpd_d=second\n  -o { smtpd_new = x y }\n"},
	} {
		m := ParseMaster(master)
		if err := m.Set(tt.service, "inet", tt.option, tt.value); err != nil {
			t.Error(err)
		}
		if want := strings.Replace(master, tt.old, tt.now, 1); m.String() != want {
			t.Errorf("%s of %s:\n%s\nwant\n%s", tt.option, tt.service, m, want)
		}
		if got, ok := m.Find(tt.service, "inet").Option(tt.option); !ok || got != tt.value {
			t.Errorf("%s reads back as %q", tt.option, got)
		}
	}
	if err := ParseMaster(master).Set("nosuch", "inet", "a", "b"); err == nil {
		t.Error("a service that is not there is edited")
	}
	stray := ParseMaster("smtp inet n - y - - smtpd -v -o a=b\n  Instead of\n  -o c=d\n")
	if e := stray.Find("smtp", "inet"); e.Stray != "Instead" || len(e.Options) != 1 {
		t.Errorf("%+v", e)
	}
	if err := stray.Set("smtp", "inet", "e", "f"); err == nil {
		t.Error("an option is set that nobody reads")
	}
}

func TestMasterInsert(t *testing.T) {
	m := ParseMaster(master)
	m.Insert("submission inet n - y - - smtpd\n", "submission", m.Find("smtp", "inet"))
	if want := "#  -o sample=yes\nsubmission inet"; !strings.Contains(m.String(), want) {
		t.Errorf("behind its sample: %s", m)
	}
	m = ParseMaster(master)
	m.Insert("x inet n - y - - smtpd\n", "x", m.Find("smtp", "inet"))
	if want := "smtpd_e=$x\nx inet"; !strings.Contains(m.String(), want) {
		t.Errorf("behind the service: %s", m)
	}
	m = ParseMaster(master)
	m.Insert("x inet n - y - - smtpd\n", "x", nil)
	if want := "second\nx inet"; !strings.Contains(m.String(), want) || m.Find("x", "inet") == nil {
		t.Errorf("at the end: %s", m)
	}
}

const mainText = `# comment
a = 1
b = one,
# between
   two

	three
a = 2
c =`

func TestMainCF(t *testing.T) {
	m := ParseMain(mainText)
	for name, want := range map[string]string{"a": "2", "b": "one,\n   two\n\tthree", "c": "", "nosuch": ""} {
		if got := m.Value(name); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if !m.Has("c") || m.Has("nosuch") || m.Has("two") {
		t.Error("what is set is not known")
	}
	m.Set("a", "3", "")
	m.Set("b", Lines([]string{"x", "y"}), "")
	m.Set("new", "n", "# why\n")
	want := "# comment\na = 1\nb =\n    x,\n    y\n# between\n\na = 3\nc =\n# why\nnew = n\n"
	if m.String() != want {
		t.Errorf("got\n%s\nwant\n%s", m, want)
	}
	m.Set("new", "", "# not again\n")
	if !strings.HasSuffix(m.String(), "# why\nnew =\n") {
		t.Errorf("got %s", m)
	}
}

func TestConfig(t *testing.T) {
	c := New("", "config_directory = /etc/p\nqueue_directory = /q\ncompatibility_level = 3.6\nx = 1\nsmtpd_milters = m\n", `smtp inet n - - - 1 postscreen
smtpd pass - - y - - smtpd -o y=$x-$smtpd_z -o smtpd_z=2 -o smtpd_delay_reject=YES -o bad=${{a}=={b}?{c}:{d}}
submission inet n - - - - smtpd -o smtpd_milters=
old inet n - - - - smtpd
[::1]:2526 inet n - n - - smtpd
lmtp unix - - - - - lmtp
`)
	if c.Dir != "/etc/p" || len(c.Services) != 3 {
		t.Fatalf("%+v", c.Services)
	}
	s := c.Services[0]
	if s.Port != 25 || !s.Screened || s.ID() != "smtpd/pass" || !s.Chrooted() || c.Services[1].Chrooted() || !s.Yes("smtpd_delay_reject") {
		t.Errorf("%+v", s)
	}
	if v := s.Get("y"); v != "1-2" {
		t.Errorf("y is %q", v)
	}
	if _, err := s.Value("bad"); !errors.Is(err, ErrExpand) || s.Get("bad") != "" {
		t.Errorf("bad: %v", err)
	}
	if s.Get("smtpd_milters") != "m" || c.Services[1].Get("smtpd_milters") != "" || !c.Services[1].Own("smtpd_milters") || c.Services[2].Port != 2526 {
		t.Error("an -o does not replace main.cf's value")
	}
	c.Main["compatibility_level"] = "0"
	if !c.Services[1].Chrooted() {
		t.Error("the default chroot of compatibility level 0 is on")
	}
}

func TestEndpoint(t *testing.T) {
	c := New("", "queue_directory = /q\ncompatibility_level = 3\n", "smtp inet n - y - - smtpd\n2525 inet n - n - - smtpd\n")
	for _, tt := range []struct{ text, chrooted, free string }{
		{"unix:a/b", "unix /q/a/b", "unix /q/a/b"},
		{"local:/a/b", "unix /q/a/b", "unix /a/b"},
		{"private/auth", "unix /q/private/auth", "unix /q/private/auth"},
		{"inet:127.0.0.1:12", "tcp 127.0.0.1:12", "tcp 127.0.0.1:12"},
		{"inet:12@localhost", "tcp localhost:12", "tcp localhost:12"},
		{"inet:12", "", ""},
		{"tcp:x", "", ""},
	} {
		for i, want := range []string{tt.chrooted, tt.free} {
			network, addr, err := c.Services[i].Endpoint(tt.text)
			if got := strings.TrimSpace(network + " " + addr); got != want || (err == nil) != (want != "") {
				t.Errorf("%s: %q %v, want %q", tt.text, got, err, want)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	var asked []string
	run := func(_ context.Context, name string, args ...string) ([]byte, error) {
		asked = append(asked, name+" "+strings.Join(args, " "))
		switch {
		case slices.Contains(args, "-M"):
			return []byte("smtp inet n - y - - smtpd\n"), nil
		case slices.Contains(args, "-n"):
			return []byte("own = 1\nmail_version = 2\n"), nil
		}
		return []byte("mail_version = 3.7.11\nconfig_directory = /x\n"), nil
	}
	c, err := Load(t.Context(), run, "/etc/postfix-2")
	if err != nil || c.Main["own"] != "1" || c.Main["mail_version"] != "2" || len(c.Services) != 1 || c.Dir != "/etc/postfix-2" {
		t.Errorf("%+v %v", c, err)
	}
	for _, a := range asked {
		if !strings.HasPrefix(a, "postconf -c /etc/postfix-2 -") {
			t.Errorf("asked %q", a)
		}
	}
	none := func(context.Context, string, ...string) ([]byte, error) { return nil, exec.ErrNotFound }
	if _, err := Load(t.Context(), none, ""); !NotFound(err) {
		t.Errorf("no Postfix: %v", err)
	}
}

func TestExec(t *testing.T) {
	out, err := Exec(t.Context(), "echo", "a", "b")
	if err != nil || string(out) != "a b\n" {
		t.Errorf("%q %v", out, err)
	}
	if _, err := Exec(t.Context(), "no-such-program-here"); !NotFound(err) {
		t.Errorf("%v", err)
	}
	if _, err := Exec(t.Context(), "sh", "-c", "echo why >&2; echo how >&2; exit 3"); err == nil || err.Error() != "sh -c echo why >&2; echo how >&2; exit 3: exit status 3: why; how" {
		t.Errorf("%v", err)
	}
	if _, err := Exec(t.Context(), "false"); err == nil || err.Error() != "false: exit status 1" {
		t.Errorf("%v", err)
	}
	if _, err := Exec(t.Context(), "false", "-x", "1", "2", "3", "4", "5"); err == nil || err.Error() != "false -x 1 2 3 4 …: exit status 1" {
		t.Errorf("%v", err)
	}
}

// cron and su do not know /usr/sbin: Postfix is on the host all the same.
func TestExecBesidePath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "portreeve-probe"), []byte("#!/bin/sh\necho here\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	defer func(before []string) { sbin = before }(sbin)
	sbin = []string{filepath.Join(dir, "nothing"), dir}
	t.Setenv("PATH", "/usr/bin:/bin")
	if out, err := Exec(t.Context(), "portreeve-probe"); err != nil || string(out) != "here\n" {
		t.Errorf("%q %v", out, err)
	}
	if _, err := Exec(t.Context(), "portreeve-other"); !NotFound(err) {
		t.Errorf("%v", err)
	}
}
