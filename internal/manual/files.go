package manual

import (
	"fmt"
	"strings"
)

// The pages of section 5.
const (
	settings = "portreeve.toml"
	accounts = "accounts.toml"
)

// Configuration renders the pages of both files from docs/configuration.md: what
// stands ahead of its first `##` heading belongs to both.
func Configuration(markdown string, s Stamp) ([]Page, error) {
	intro, rest, found := strings.Cut(markdown, "\n## "+settings+"\n")
	ours, theirs, foundToo := strings.Cut(rest, "\n## "+accounts+"\n")
	if !found || !foundToo {
		return nil, fmt.Errorf("docs/configuration.md has no section ## %s, or no ## %s behind it: the manual pages are made of them", settings, accounts)
	}
	_, intro, _ = strings.Cut(intro, "\n") // the title
	first, err := file(settings, "how Portreeve decides, listens and remembers", intro, ours, s, accounts)
	if err != nil {
		return nil, err
	}
	second, err := file(accounts, "who may send as whom, for Portreeve", intro, theirs, s, settings)
	return []Page{first, second}, err
}

// file is one page of section 5. The first literal block of its part is its example.
func file(title, about, intro, part string, s Stamp, other string) (Page, error) {
	blocks := append(parse(intro), parse(part)...)
	r := &roff{}
	r.title(title, 5, s)
	r.section("NAME")
	r.text(plain(title) + ` \- ` + plain(about))
	r.section("SYNOPSIS")
	r.text(italic("/etc/portreeve/" + title))
	r.section("DESCRIPTION")
	example, options := "", false
	for _, b := range blocks {
		if !options && (b.kind == heading || b.kind == row) {
			options = true
			r.section("OPTIONS")
		}
		if b.kind == code && example == "" {
			example = b.text
			continue
		}
		r.block(b)
	}
	if example == "" {
		return Page{}, fmt.Errorf("docs/configuration.md has no example under ## %s: write one between ``` lines", title)
	}
	r.section("EXAMPLES")
	r.literal(plain(example))
	r.section("FILES")
	r.item(bold("/etc/portreeve/"+settings), "The configuration.")
	r.item(bold("/etc/portreeve/"+accounts), "The accounts, unless a database or an LDAP server knows them.")
	r.section("SEE ALSO")
	r.text(strings.Join([]string{page("portreeve", 8), page("portreeve-check", 8), page("portreeve-reload", 8), page(other, 5)}, ", "))
	return Page{Name: title, Section: 5, Text: r.Bytes()}, nil
}

// block renders one block of Markdown.
func (r *roff) block(b block) {
	switch b.kind {
	case heading:
		r.subsection(b.text)
	case paragraph:
		r.paragraph(inline(b.text))
	case bullet:
		fmt.Fprintln(r, `.IP \(bu 3`)
		r.text(inline(b.text))
	case code:
		r.literal(plain(b.text))
	case row:
		r.row(b.cells)
	}
}

// row is a key with its default and its meaning, or a term and what it is.
func (r *roff) row(cells []string) {
	term := inline(cells[0])
	if len(cells) > 2 && cells[1] != "" {
		term += " = " + inline(cells[1])
	}
	text := ""
	if last := cells[len(cells)-1]; last != "" {
		text = inline(upper(last)) + "."
	}
	r.item(term, text)
}
