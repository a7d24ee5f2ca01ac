package paste_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"portreeve/internal/paste"
	"portreeve/journal"
)

const (
	id1 = "0kHG086hcEUJCINrgXbGZl"
	id2 = "0kHG0AcyIIbExUtW9fWnYa"
)

// here is the zone of times that name none.
var here = time.FixedZone("CET", 3600)

// pasted is one of testdata/texts: what is to be found, an empty line, the text.
type pasted struct {
	name, text string
	want       paste.Found
}

func texts(t testing.TB) []pasted {
	t.Helper()
	files, err := filepath.Glob("testdata/texts/*.txt")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d texts: %v", len(files), err)
	}
	var list []pasted
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := pasted{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
		rest := string(body)
		for {
			line, after, ok := strings.Cut(rest, "\n")
			rest = after
			if !ok {
				t.Fatalf("%s has no empty line", file)
			}
			if line == "" {
				break
			}
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "id":
				p.want.IDs = append(p.want.IDs, value)
			case "sender", "sender:":
				p.want.Senders = append(p.want.Senders, value)
			case "time":
				p.want.Times = append(p.want.Times, parseTime(t, value))
			default:
				t.Fatalf("%s: %q", file, line)
			}
		}
		p.text = rest
		list = append(list, p)
	}
	return list
}

func parseTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02T15:04:05", s, here)
	if err != nil {
		at, err = time.Parse(time.RFC3339, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestFind(t *testing.T) {
	for _, p := range texts(t) {
		got := paste.FindIn(p.text, "", here)
		sameTimes := slices.EqualFunc(sorted(got.Times), sorted(p.want.Times), time.Time.Equal)
		if !slices.Equal(got.IDs, p.want.IDs) || !slices.Equal(got.Senders, p.want.Senders) || !sameTimes {
			t.Errorf("%s:\n%s\ngot  %q %q %s\nwant %q %q %s", p.name, p.text, got.IDs, got.Senders, got.Times, p.want.IDs, p.want.Senders, p.want.Times)
		}
	}
}

func sorted(list []time.Time) []time.Time {
	return slices.SortedFunc(slices.Values(list), time.Time.Compare)
}

// The text of the sender rule may be another, and need not have an id.
func TestFindInAnotherReply(t *testing.T) {
	const own = "<{sender}> is not yours (asked from {ip})"
	for _, test := range []struct{ reply, text, want string }{
		{own, "550 5.1.0 <jan@seznam.cz> is not yours (asked from 192.0.2.7)", "jan@seznam.cz"},
		{own, "> 550 5.1.0 jan@seznam.cz is not\n> yours (asked from 2001:db8::1)", "jan@seznam.cz"},
		{own, "550 5.1.0 <jan@seznam.cz> sender rejected", "jan@seznam.cz"}, // from before it was changed
		{own, "the address jan@seznam.cz", ""},
		{"you may not send as {sender} here", "550 5.1.0 You may not send as jan@seznam.cz here", "jan@seznam.cz"},
		{"no {sender}", "no jan@seznam.cz", ""}, // too little to tell it from others
		{"{id} no, not as {sender}", "no, not as jan@seznam.cz", ""},
		{"no sender like this", "no sender like this", ""},
	} {
		got := paste.Find(test.text, test.reply).Senders
		if strings.Join(got, " ") != test.want {
			t.Errorf("%q in %q: %q, want %q", test.reply, test.text, got, test.want)
		}
	}
}

// Whatever stands around it: a bounce within a mail within a ticket.
func TestFindInTheMiddle(t *testing.T) {
	for _, p := range texts(t) {
		if strings.HasPrefix(p.name, "none") || strings.HasPrefix(p.name, "ids-") {
			continue
		}
		got := paste.FindIn("Dobrý den,\n\nvolal zákazník.\n\n"+p.text+"\n\nS pozdravem\nhelp desk\n", "", here)
		if !slices.Equal(got.IDs, p.want.IDs) || !slices.Equal(got.Senders, p.want.Senders) {
			t.Errorf("%s: %q %q", p.name, got.IDs, got.Senders)
		}
	}
}

func TestLongTexts(t *testing.T) {
	noise := strings.Repeat("Received: from a.b.cz (a.b.cz [192.0.2.7]) by c; <x> sender ", 2000)
	got := paste.Find(noise+id1+" "+noise+"<a@b.cz> sender rejected", "")
	if !slices.Equal(got.IDs, []string{id1}) || !slices.Equal(got.Senders, []string{"a@b.cz"}) {
		t.Errorf("got %q", got)
	}
}

// Thirty-two kilobytes of what costs the most takes no time that anybody notices.
func TestHostileTextsAreFast(t *testing.T) {
	for _, part := range []string{"<", "a@", "<a\n", "[a@b](mailto:", "=\n", "0kHG086hcEU\n", "1.1.2026 1:1", "QUJD\n", "&lt;", "<b>", "<a@b> sender rejected 1/2/2026 11:11 "} {
		began := time.Now()
		paste.Find(strings.Repeat(part, 1<<15/len(part)), "")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q takes %s", part, took)
		}
	}
}

var shape = regexp.MustCompile(`^[0-9A-Za-z]{22}$`)

func FuzzFind(f *testing.F) {
	for _, p := range texts(f) {
		f.Add(p.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := paste.FindIn(text, "", here)
		for i, id := range got.IDs {
			if _, err := journal.ParseID(id); err != nil || !shape.MatchString(id) || slices.Contains(got.IDs[:i], id) {
				t.Errorf("found %q in %q: %v", id, text, err)
			}
		}
		for i, sender := range got.Senders {
			if strings.ContainsAny(sender, "<>\r\n") || len(sender) > 256 || slices.Contains(got.Senders[:i], sender) {
				t.Errorf("found the sender %q in %q", sender, text)
			}
		}
		if len(got.Times) > 8 || len(got.Times) > 0 && len(got.Senders) == 0 {
			t.Errorf("found the times %s in %q", got.Times, text)
		}
		// Whatever stands before it: an id on a line of its own is found.
		if after := paste.Find(text+"\n\n"+id1+"\n", ""); !slices.Contains(after.IDs, id1) {
			t.Errorf("the id after %q was not found", text)
		}
	})
}
