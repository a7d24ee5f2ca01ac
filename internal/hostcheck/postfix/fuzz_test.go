package postfix

import (
	"slices"
	"strings"
	"testing"
)

// Whatever a list holds, it is read without harm, and what is written is read
// as the same.
func FuzzRestrictions(f *testing.F) {
	for _, s := range []string{
		"permit_mynetworks, reject", "check_policy_service { unix:a, policy_context=relay, { default_action=451 x } }, permit",
		"warn_if_reject reject_rbl_client zen.example", "{", "}{", "check_a {}{} {", "sleep 1,,\n\tpermit",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Restrictions(text)
		if err != nil {
			return
		}
		for _, r := range list {
			r.Policy()
		}
		again, err := Restrictions(FormatRestrictions(list))
		if err != nil || !slices.Equal(again, list) {
			t.Errorf("%q is read as %q, and again as %q (%v)", text, list, again, err)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$a ${b} $(c)", "${a?{$b}:{$c}}", "$$", "${", "${a?", "$loop", "${a:${b:${c}}}"} {
		f.Add(s, "x $b", "$a", "")
	}
	f.Fuzz(func(t *testing.T, text, a, b, c string) {
		values := map[string]string{"a": a, "b": b, "c": c, "loop": text}
		got, err := Expand(text, func(n string) (string, bool) { v, ok := values[n]; return v, ok })
		if len(got) > maxExpanded+len(text)+len(a)+len(b)+len(c) {
			t.Errorf("%d bytes", len(got))
		}
		if err == nil && !strings.Contains(text, "$") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

// An edit of master.cf reads back, and changes no other service.
func FuzzMaster(f *testing.F) {
	f.Add(master, "smtpd_d", "a b")
	f.Add("smtp inet n - y - - smtpd -o { a = { b } }\n -o c=d", "a", "{ x }, y")
	f.Add("smtp inet n - y - - smtpd\n\tx\n# c\n", "o", "")
	f.Fuzz(func(t *testing.T, text, option, value string) {
		m := ParseMaster(text)
		if ParseMaster(m.String()).String() != text {
			t.Fatal("parsing changes the text")
		}
		e := m.Find("smtp", "inet")
		name, v, _ := Assignment(option + "=" + value)
		if e == nil || e.Stray != "" || name == "" || strings.ContainsAny(option+value, "{}\r\n=#") || option != name || value != v || strings.ContainsAny(option, blanks) {
			return
		}
		count := len(m.Entries())
		if err := m.Set("smtp", "inet", option, value); err != nil {
			t.Fatal(err)
		}
		if got, ok := m.Find("smtp", "inet").Option(option); !ok || got != value {
			t.Errorf("%q set to %q reads back as %q", option, value, got)
		}
		if len(m.Entries()) != count {
			t.Errorf("%d services have become %d", count, len(m.Entries()))
		}
	})
}

// An edit of main.cf reads back, and leaves every other parameter.
func FuzzMain(f *testing.F) {
	f.Add(mainText, "a", "new")
	f.Add("a = 1\n b\n#c\n\n d\na=2", "a", "x y")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		n, v, ok := Assignment(name + "=" + value)
		if !ok || n != name || v != value || strings.ContainsAny(name+value, "\r\n#=") {
			return
		}
		m := ParseMain(text)
		before := map[string]string{}
		for line := range strings.Lines(text) {
			if n, _, ok := Assignment(line); ok && n != name && !strings.ContainsAny(line[:1], " \t#\r\n") {
				before[n] = m.Value(n)
			}
		}
		m.Set(name, value, "")
		if got := m.Value(name); got != value {
			t.Errorf("%q set to %q reads back as %q", name, value, got)
		}
		for n, want := range before {
			if got := m.Value(n); got != want {
				t.Errorf("%q was %q and is %q", n, want, got)
			}
		}
	})
}
