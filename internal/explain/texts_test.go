package explain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
)

// phrases reads the constants from their source, so that none can be forgotten.
func phrases(t *testing.T) map[string]phrase {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "phrases.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]phrase{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found[name.Name] = phrase(value)
		}
		return true
	})
	if len(found) < 50 {
		t.Fatalf("only %d phrases found in phrases.go: has their declaration changed?", len(found))
	}
	return found
}

// beyondASCII are the letters that each language has besides a to z. A letter of
// another one is a sentence in the wrong column.
var beyondASCII = map[Lang]string{
	English: "", Czech: "áčďéěíňóřšťúůýž", Norwegian: "æøåé", Polish: "ąćęłńóśźż", German: "äöüß",
}

// common is what every sentence of the language has: one of its words or letters.
var common = map[Lang]string{
	English:   `(?i)\b(the|your|you|our|is|a|to|in|and)\b`,
	Czech:     `(?i)[áčďéěíňóřšťúůýž]`,
	Norwegian: `(?i)(^|[^\pL])(er|ikke|på|som|den|det|du|å|og|en|meldingen|til)([^\pL]|$)`,
	Polish:    `(?i)[ąćęłńóśźż]`,
	German:    `(?i)(^|[^\pL])(der|die|das|Sie|Ihr|Ihre|Ihrer|nicht|ist|mit|den|dem)([^\pL]|$)`,
}

// english are words that none of the other languages has.
var english = regexp.MustCompile(`(?i)\b(the|your|you|and|with|this|that|which|from|password|mailbox|message|mail program|please|send it|server is)\b`)

// Every phrase is in every language, with the same placeholders, and in that
// language.
func TestTextsAreComplete(t *testing.T) {
	all := phrases(t)
	for lang, c := range columns {
		if len(c.texts) != len(all) {
			t.Errorf("%s has %d texts, there are %d phrases", lang, len(c.texts), len(all))
		}
		for name, p := range all {
			text := c.texts[p]
			if text == "" {
				t.Errorf("%s: %s is missing", lang, name)
				continue
			}
			if got, want := placeholders(text), placeholders(textsEN[p]); !slices.Equal(got, want) {
				t.Errorf("%s: %s has the placeholders %v, in English %v", lang, name, got, want)
			}
			checkLanguage(t, lang, name, text)
			for other, d := range columns {
				if other != lang && d.texts[p] == text {
					t.Errorf("%s: %s is the same in %s", lang, name, other)
				}
			}
		}
	}
	if len(columns) != len(Langs) {
		t.Errorf("%d columns, %d languages", len(columns), len(Langs))
	}
}

func checkLanguage(t *testing.T, lang Lang, name, text string) {
	t.Helper()
	bare := placeholder.ReplaceAllString(text, "")
	for _, r := range strings.ToLower(bare) {
		if r > unicode.MaxASCII && !strings.ContainsRune(beyondASCII[lang], r) {
			t.Errorf("%s: %s has the letter %q", lang, name, r)
		}
	}
	if !regexp.MustCompile(common[lang]).MatchString(bare) {
		t.Errorf("%s: %s is not in that language: %s", lang, name, text)
	}
	if lang != English && english.MatchString(bare) {
		t.Errorf("%s: %s has English left over (%q): %s", lang, name, english.FindString(bare), text)
	}
	if strings.TrimSpace(text) != text || strings.Contains(text, "  ") || !strings.HasSuffix(text, ".") || !unicode.IsUpper([]rune(text)[0]) && text[0] != '{' {
		t.Errorf("%s: %s is no sentence: %q", lang, name, text)
	}
}

// placeholders lists those of a text, sorted, each once.
func placeholders(text string) []string {
	found := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// Every placeholder is one that values fills in, and every phrase is said.
func TestPlaceholdersAndPhrasesAreUsed(t *testing.T) {
	v := &view{h: &Host{}}
	v.Reason = "none"
	values := v.values()
	for name, p := range phrases(t) {
		for _, ph := range placeholders(textsEN[p]) {
			if _, ok := values[ph]; !ok {
				t.Errorf("%s: nothing fills in {%s}", name, ph)
			}
		}
	}
	sources := map[string]bool{}
	for _, file := range []string{"reasons.go", "noauth.go", "relaying.go", "login.go", "sendercause.go", "blocked.go", "limits.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				sources[id.Name] = true
			}
			return true
		})
	}
	for name := range phrases(t) {
		if !sources[name] {
			t.Errorf("%s is never said", name)
		}
	}
}

func TestDates(t *testing.T) {
	at := time.Date(2026, 5, 3, 9, 7, 59, 0, time.FixedZone("CEST", 7200))
	for lang, want := range map[Lang]string{
		English: "3 May 2026, 09:07 (CEST)", Czech: "3. května 2026, 09:07 (CEST)", Norwegian: "3. mai 2026 kl. 09:07 (CEST)",
		Polish: "3 maja 2026, godz. 09:07 (CEST)", German: "3. Mai 2026, 09:07 Uhr (CEST)", "xx": "3 May 2026, 09:07 (CEST)",
	} {
		if got := lang.in().when(at); got != want {
			t.Errorf("%s: %q, want %q", lang, got, want)
		}
	}
	for lang, c := range columns {
		seen := map[string]bool{}
		for _, month := range c.months {
			if month == "" || seen[month] {
				t.Errorf("%s: months %q", lang, c.months)
			}
			seen[month] = true
		}
	}
}

func TestLists(t *testing.T) {
	c := Czech.in()
	for want, words := range map[string][]string{
		"": nil, "a": {"a"}, "a nebo b": {"a", "b"}, "a, b nebo c": {"a", "b", "c"},
		"1, 2, 3, 4, 5, 6, …": {"1", "2", "3", "4", "5", "6", "7"},
	} {
		if got := c.list(words); got != want {
			t.Errorf("%v: %q", words, got)
		}
	}
}

func TestParseLang(t *testing.T) {
	for _, l := range Langs {
		if got, err := ParseLang(string(l.Lang)); err != nil || got != l.Lang {
			t.Errorf("%s: %q %v", l.Lang, got, err)
		}
	}
	if got, err := ParseLang(""); err != nil || got != English {
		t.Errorf("none: %q %v", got, err)
	}
	if _, err := ParseLang("fr"); err == nil || err.Error() != `"fr" is no language of these texts: choose one of cs, de, en, no, pl` {
		t.Errorf("got %v", err)
	}
}

// What a client chose stays what it is, placeholders and controls included.
func TestValuesAreFilledInOnce(t *testing.T) {
	got := English.in().say(saidSenderAddress, map[string]string{"address": "{login}\x1b[2J\n@x.cz", "login": "jan@domena.cz"})
	if got != "Your message was to be sent as {login}?[2J?@x.cz, which is not one of the addresses of the mailbox jan@domena.cz." {
		t.Errorf("got %q", got)
	}
}
