package manual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What a command says of itself besides its texts (cobra's Annotations), each a
// line an entry.
const (
	Exit  = "exit"  // exit statuses: "1 what it means"
	Files = "files" // "/path what it is"
	Also  = "also"  // other pages: "portreeve-unblock(8)"
)

// Verbs renders a page for the program and one for each verb, from the texts that
// --help prints.
func Verbs(root *cobra.Command, s Stamp) []Page {
	pages := []Page{verb(root, s)}
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		pages = append(pages, Verbs(c, s)...)
	}
	return pages
}

// name is the page's: "portreeve-setup-dovecot".
func name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func verb(c *cobra.Command, s Stamp) Page {
	r := &roff{}
	r.title(name(c), 8, s)
	r.section("NAME")
	r.text(plain(name(c)) + ` \- ` + plain(lower(c.Short)))
	r.section("SYNOPSIS")
	fmt.Fprintln(r, synopsis(c))
	r.section("DESCRIPTION")
	r.prose(c.Long)
	r.verbs(c)
	r.section("OPTIONS")
	r.options(c.LocalNonPersistentFlags())
	r.options(c.InheritedFlags())
	if !c.HasParent() {
		r.options(c.PersistentFlags())
	}
	r.item(bold("-h")+", "+bold("--help"), "Print a shorter form of this page.")
	r.pairs("EXIT STATUS", c.Annotations[Exit])
	r.section("EXAMPLES")
	r.literal(plain(unindented(c.Example)))
	r.pairs("FILES", c.Annotations[Files])
	r.section("SEE ALSO")
	r.text(seeAlso(c))
	return Page{Name: name(c), Section: 8, Text: r.Bytes()}
}

// lower is a short text as NAME has it, behind the dash.
func lower(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func synopsis(c *cobra.Command) string {
	_, args, _ := strings.Cut(c.Use, " ")
	if args != "" {
		args = " " + plain(args)
	}
	return bold(c.CommandPath()) + " [" + italic("option") + plain(" …") + "]" + args
}

// prose is the text of a help: paragraphs, and indented lines that stay as they are.
func (r *roff) prose(text string) {
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		lines := strings.Split(block, "\n")
		n := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  ") })
		if n < 0 {
			n = len(lines)
		}
		if n > 0 {
			r.paragraph(plain(strings.Join(lines[:n], " ")))
		}
		if n < len(lines) {
			r.literal(plain(unindented(strings.Join(lines[n:], "\n"))))
		}
	}
}

// verbs lists what is below a command.
func (r *roff) verbs(c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	r.section("VERBS")
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() && v.Name() != "help" {
			r.item(bold(v.Name()), plain(v.Short)+", see "+page(name(v), 8)+".")
		}
	}
}

func (r *roff) options(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := bold("--" + f.Name)
		if value != "" {
			term += " " + italic(value)
		}
		usage = upper(usage)
		if !slices.Contains([]string{"", "0", "false", "[]"}, f.DefValue) {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		r.item(term, plain(usage)+".")
	})
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// pairs is a section of terms and what they mean.
func (r *roff) pairs(section, lines string) {
	r.section(section)
	for line := range strings.Lines(lines) {
		term, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		r.item(bold(term), plain(upper(text))+".")
	}
}

// seeAlso is the neighbours first, and the files' pages.
func seeAlso(c *cobra.Command) string {
	var list []string
	for line := range strings.Lines(c.Annotations[Also]) {
		title, section, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ")"), "(")
		list = append(list, bold(title)+"("+section+")")
	}
	if c.HasParent() {
		list = append(list, page(name(c.Root()), 8))
	}
	for _, v := range c.Commands() {
		if v.IsAvailableCommand() && v.Name() != "help" {
			list = append(list, page(name(v), 8))
		}
	}
	return strings.Join(append(list, page(settings, 5), page(accounts, 5)), ", ")
}

func page(name string, section int) string { return fmt.Sprintf("%s(%d)", bold(name), section) }

// unindented takes off what all lines are indented by.
func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	least := len(text)
	for _, l := range lines {
		if t := strings.TrimLeft(l, " "); t != "" {
			least = min(least, len(l)-len(t))
		}
	}
	for i, l := range lines {
		lines[i] = l[min(least, len(l)):]
	}
	return strings.Join(lines, "\n")
}
