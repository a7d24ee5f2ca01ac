package manual

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		`C:\dir`:       `C:\edir`,
		"--json":       `\-\-json`,
		"ID…":          "ID...",
		"it's \"so\"":  `it\(aqs \(dqso\(dq`,
		"login → name": `login \(-> name`,
		"schránka":     `schr\[u00E1]nka`,
		"a~b^c`d":      `a\(tib\(hac\(gad`,
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestInline(t *testing.T) {
	for in, want := range map[string]string{
		"the `limit` of **all**":               `the \fBlimit\fR of \fBall\fR`,
		"see [directory.md](directory.md)":     "see directory.md",
		"`a` and [b](c#d), `e-f`":              `\fBa\fR and b, \fBe\-f\fR`,
		"lists such as [quota] stay, so do ()": "lists such as [quota] stay, so do ()",
	} {
		if got := inline(in); got != want {
			t.Errorf("inline(%q) = %s, want %s", in, got, want)
		}
	}
}

// No line begins with what roff would obey, and a sentence begins a line.
func TestText(t *testing.T) {
	r := &roff{}
	r.section("X")
	r.paragraph("One ends here. " + strings.Repeat("word ", 20) + ".local is a name")
	r.paragraph("'quoted'")
	r.literal(".dot\n\n  indented")
	want := ".SH \"X\"\nOne ends here.\n" +
		"word word word word word word word word word word word word word word word\nword word word word word .local is a name\n" +
		".PP\n\\&'quoted'\n.PP\n.nf\n.RS 4\n\\&.dot\n\\&\n  indented\n.RE\n.fi\n"
	if got := r.String(); got != want {
		t.Errorf("it is\n%s\nand not\n%s", got, want)
	}
}

const markdown = `# Configuration

Both files are strict.

## portreeve.toml

An example:

` + "```toml\nmode = \"observe\"\n```" + `

| key | default | meaning |
| --- | --- | --- |
| ` + "`mode` | `\"enforce\"`" + ` | what happens |

### [log]

It goes to
standard error.

- one
- two,
  in two lines

| key | default | meaning |
| --- | --- | --- |
| ` + "`level` | `\"info\"`" + ` | how much |

## accounts.toml

` + "```toml\n[accounts]\n```" + `

| key | default | meaning |
| --- | --- | --- |
| ` + "`smtp` | `true`" + ` | may send |
`

func TestConfiguration(t *testing.T) {
	pages, err := Configuration(markdown, Stamp{Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	want := `.SH "DESCRIPTION"
Both files are strict.
.PP
An example:
.SH "OPTIONS"
.TP
\fBmode\fR = \fB\(dqenforce\(dq\fR
What happens.
.SS "[log]"
It goes to standard error.
.IP \(bu 3
one
.IP \(bu 3
two, in two lines
.TP
\fBlevel\fR = \fB\(dqinfo\(dq\fR
How much.
.SH "EXAMPLES"
.nf
.RS 4
mode = \(dqobserve\(dq
.RE
.fi
`
	if got := string(pages[0].Text); !strings.Contains(got, want) {
		t.Errorf("portreeve.toml(5) is\n%s\nand has not\n%s", got, want)
	}
	if got := string(pages[1].Text); !strings.Contains(got, `\fBsmtp\fR = \fBtrue\fR`) || strings.Contains(got, "level") {
		t.Errorf("accounts.toml(5) is\n%s", got)
	}
}

func TestConfigurationWithoutItsSections(t *testing.T) {
	for _, gone := range []string{"\n## portreeve.toml", "\n## accounts.toml", "```toml\n[accounts]\n```"} {
		if _, err := Configuration(strings.Replace(markdown, gone, "", 1), Stamp{}); err == nil || !strings.Contains(err.Error(), "docs/configuration.md has no") {
			t.Errorf("without %q the error is %v", gone, err)
		}
	}
}
