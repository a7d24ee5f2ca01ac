package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/internal/manual"
)

var stamp2026 = manual.Stamp{Version: "1.2.3", Date: time.Date(2026, 11, 26, 23, 59, 0, 0, time.UTC)}

func rendered(t *testing.T) map[string]string {
	t.Helper()
	list, err := manuals(newRoot(), "../../docs/configuration.md", stamp2026)
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, p := range list {
		pages[p.File()] = string(p.Text)
	}
	return pages
}

// Each verb has a page with every section that a manual page has, and each file
// has one.
func TestManualPages(t *testing.T) {
	pages := rendered(t)
	for verb := range helps {
		name := strings.ReplaceAll("portreeve "+verb, " ", "-")
		page, found := pages[strings.TrimSuffix(name, "-")+".8"]
		if !found {
			t.Errorf("%s has no page", name)
		}
		from := 0
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", `EXIT STATUS`, "EXAMPLES", "FILES", `SEE ALSO`} {
			at := strings.Index(page, ".SH \""+section+"\"\n")
			if at < from {
				t.Errorf("%s: no section %s in its place:\n%s", name, section, page)
			}
			from = at
		}
	}
	for _, file := range []string{"portreeve.toml.5", "accounts.toml.5"} {
		if !strings.Contains(pages[file], ".SH \"EXAMPLES\"\n") || !strings.Contains(pages[file], ".SH \"OPTIONS\"\n") {
			t.Errorf("%s: %s", file, pages[file])
		}
	}
	if len(pages) != len(helps)+2 {
		t.Errorf("%d pages, and %d verbs", len(pages), len(helps))
	}
	if first, _, _ := strings.Cut(pages["portreeve-explain.8"], "\n"); first != `.TH "PORTREEVE\-EXPLAIN" 8 2026-11-26 "Portreeve 1.2.3" Portreeve` {
		t.Errorf("the title is %s", first)
	}
}

// Two runs over the same sources give the same bytes.
func TestManualPagesAreReproducible(t *testing.T) {
	first := rendered(t)
	for name, text := range rendered(t) {
		if first[name] != text {
			t.Errorf("%s differs from run to run", name)
		}
	}
}

// everyVerb is each command that a person may run.
func everyVerb(c *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{c}
	for _, v := range c.Commands() {
		if v.Name() != "help" && v.Name() != "completion" {
			list = append(list, everyVerb(v)...)
		}
	}
	return list
}

// --help says all that the page says: texts, examples, exit statuses.
func TestEveryVerbHasItsHelp(t *testing.T) {
	for _, c := range everyVerb(newRoot()) {
		_, verb, _ := strings.Cut(c.CommandPath(), " ")
		h, found := helps[verb]
		if !found {
			t.Errorf("%s has no entry in helps", c.CommandPath())
			continue
		}
		var out, errOut bytes.Buffer
		if code := run(context.Background(), append(strings.Fields(verb), "--help"), nil, &out, &errOut); code != 0 {
			t.Errorf("%s --help: status %d: %s", c.CommandPath(), code, errOut.String())
		}
		for _, want := range []string{c.Long, c.Example, "Exit status:\n", "2 " + h.failure} {
			if want == "" || !strings.Contains(out.String(), want) {
				t.Errorf("%s --help has no %q:\n%s", c.CommandPath(), want, out.String())
			}
		}
		if strings.Count(c.Long, " ") < 10 {
			t.Errorf("%s says of itself only %q", c.CommandPath(), c.Long)
		}
	}
}

// Each example is a call that the program takes: a verb, its flags, its arguments.
func TestExamplesAreCalls(t *testing.T) {
	for _, c := range everyVerb(newRoot()) {
		calls := 0
		for line := range strings.Lines(c.Example) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			for part := range strings.SplitSeq(strings.ReplaceAll(line, "&&", "|"), "|") {
				_, call, found := strings.Cut(" "+part, " portreeve ")
				if !found || strings.HasSuffix(strings.TrimSpace(call), "portreeve serve") {
					continue // another program's end of a pipe
				}
				calls++
				if err := accepted(shellWords(call)); err != nil {
					t.Errorf("%s: the example %q: %v", c.CommandPath(), line, err)
				}
			}
		}
		if calls == 0 {
			t.Errorf("%s has no example of a call", c.CommandPath())
		}
	}
}

// accepted tells whether the program would run a call, without running it.
func accepted(args []string) error {
	c, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

// shellWords splits a line at blanks outside single and double quotes.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	quote := rune(0)
	for _, r := range line + " " {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote = r
		case r != ' ':
			word.WriteRune(r)
		case word.Len() > 0:
			words = append(words, word.String())
			word.Reset()
		}
	}
	return words
}

// What a shell is offered when Tab is pressed, without a daemon.
func TestCompletions(t *testing.T) {
	for call, want := range map[string]string{
		"decisions --rule ":       "auth_failed\n",
		"decisions --since ":      "24h\n",
		"explain --lang ":         "pl\n",
		"test --port ":            "587\n",
		"setup ":                  "dovecot\t",
		"setup postfix --re":      "--recipe\t",
		"setup postfix --recipe ": "policy-only\n",
		"unblock ":                ":4\n", // nothing, and no files
		"replay ":                 ":0\n", // files
		"--config ":               "toml\n:8\n",
		"un":                      "unblock\t",
	} {
		var out, errOut bytes.Buffer
		args := append([]string{"__complete", "--config", "none.toml"}, strings.Split(call, " ")...)
		if call == "--config " {
			args = []string{"__complete", "--config", ""}
		}
		if code := run(context.Background(), args, nil, &out, &errOut); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%q is completed to %q, %q", call, out.String(), errOut.String())
		}
	}
}

// unblock offers who is blocked, with the logins that were tried.
func TestCompletionOfBlocked(t *testing.T) {
	a := answers{blocks: []admin.Block{
		{Prefix: "192.0.2.7/32", Logins: []admin.LoginCount{{Login: "jan@domena.cz", Count: 11}}},
		{Prefix: "2001:db8::/64"},
	}}
	_, out, _ := a.verb(t, "__complete", "unblock", "192.0.2.9", "")
	expect(t, "after unblock", out, `(?m)^192\.0\.2\.7\tjan@domena\.cz \(11\)$`, `(?m)^2001:db8::/64$`)
	if _, out, _ = a.verb(t, "__complete", "unblock", "2"); strings.Contains(out, "192") {
		t.Errorf("what does not begin so is offered: %s", out)
	}
	if _, out, _ = a.verb(t, "__complete", "failures", "192.0.2.7", ""); strings.Contains(out, "2001") {
		t.Errorf("a second address is offered where one is taken: %s", out)
	}
}

// What the documentation calls a command within its text is a verb, with flags that
// it has. Blocks of commands are run (integration/pages).
func TestCommandsInTheText(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`portreeve ([^`]+)`").FindAllStringSubmatch(string(text), -1) {
			calls++
			c, rest, err := newRoot().Find(shellWords(m[1]))
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err != nil || c.Parent() == nil {
				t.Errorf("%s: `portreeve %s`: %v", page, m[1], err)
			}
		}
	}
	if calls < 20 {
		t.Errorf("only %d commands were found", calls)
	}
}

// A daemon that does not answer holds nobody's shell.
func TestCompletionIsBounded(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // nobody is connected then
	config := filepath.Join(dir, "portreeve.toml")
	if err := os.WriteFile(config, []byte("[listen]\nadmin = \"unix:a.sock\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	begin := time.Now()
	code := run(t.Context(), []string{"__complete", "--config", config, "unblock", ""}, nil, &out, &errOut)
	if took := time.Since(begin); code != 0 || took > 10*completeWithin || !strings.HasPrefix(out.String(), ":4\n") {
		t.Errorf("after %v: status %d, %q, %q", took, code, out.String(), errOut.String())
	}
}
