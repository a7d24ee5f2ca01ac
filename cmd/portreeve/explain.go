package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/explain"
	"portreeve/internal/paste"
	"portreeve/journal"
	"portreeve/rules"
)

// senderSince is how far back a rejected sender is looked for when the pasted
// text has no id.
const senderSince = "7d"

// maxPaste bounds what is read from standard input, in bytes.
const maxPaste = 4 << 20

func explainCmd(g *globals) *cobra.Command {
	var lang, since string
	cmd := &cobra.Command{
		Use:   "explain ID… | TEXT | -",
		Short: "Say what was refused, why, and what can be done about it",
		Long: `Look up the ids in the arguments, in a pasted error text, or with - on standard
input: a mail program's dialog in any language, a bounce, the source of one.
A text that says "<address> sender rejected" has no id; it is looked up by that
address, and what is nearest to a time in the text comes first.

--lang is the language of what can be read to the customer. What the
administrator can do is in English, with lines and commands to copy.`,
		Example: "  portreeve explain 0kHG086hcEUJCINrgXbGZl\n  portreeve explain --lang cs '550 5.1.0 <jan@seznam.cz> sender rejected'\n  xclip -o | portreeve explain -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			language, err := explain.ParseLang(lang)
			if err != nil {
				return fmt.Errorf("--lang: %w", err)
			}
			r := admin.ExplainRequest{Lang: language}
			if r.Since, err = moment("since", since, time.Now()); err != nil {
				return err
			}
			text := strings.Join(args, " ")
			if text == "-" {
				if text, err = pasted(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return explainText(cmd, g, text, r)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: put -- before a text that begins with a dash, or run `%s --help`", err, cmd.CommandPath())
	})
	cmd.Flags().StringVar(&lang, "lang", "", "`language` of what is read to the customer: cs, de, en, no, pl (default en)")
	cmd.Flags().StringVar(&since, "since", senderSince, "how far back a sender without an id is looked for: a `time`, or how long ago")
	return cmd
}

// pasted reads a text from standard input; it is not taken in part, for what
// matters may stand in the rest.
func pasted(in io.Reader) (string, error) {
	body, err := io.ReadAll(io.LimitReader(in, maxPaste+1))
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w: paste the text as an argument instead", err)
	}
	if len(body) > maxPaste {
		return "", fmt.Errorf("the text is longer than %d MiB: paste the part with the error message, without attachments", maxPaste>>20)
	}
	return string(body), nil
}

// senderText is the sender rule's text in the configuration; empty for the
// documented one, or where no configuration can be read.
func (g *globals) senderText() string {
	c, _ := config.Load(g.config) // its problems are said when the daemon is asked
	if c == nil {
		return ""
	}
	return c.Replies[rules.RuleSender].Text
}

func explainText(cmd *cobra.Command, g *globals, text string, r admin.ExplainRequest) error {
	found := paste.Find(text, g.senderText())
	if len(found.IDs)+len(found.Senders) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), `portreeve: there is no id in this text: an id has 22 letters and digits and stands after the reply code; copy the whole message, or at least "<address> sender rejected"`)
		if g.json {
			return errors.Join(printJSON(cmd.OutOrStdout(), []explain.Explanation{}), errFinding)
		}
		return errFinding
	}
	client, err := g.client()
	if err != nil {
		return err
	}
	r.IDs, r.Senders, r.Times = found.IDs, found.Senders, found.Times
	answer, err := client.Explain(cmd.Context(), r)
	if err != nil {
		return err
	}
	if g.json {
		err = printJSON(cmd.OutOrStdout(), answer.Found)
	} else {
		err = printExplanations(cmd.OutOrStdout(), answer.Found)
	}
	missing := 0
	for _, m := range answer.Missing {
		if m.Doubtful && len(answer.Found) > 0 && !exact(text) {
			continue // another word of a pasted text that only looks like an id
		}
		missing++
		command := ""
		if m.Command != "" {
			command = " Run: " + shown(m.Command)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "portreeve: %s: %s%s\n", shown(m.What), shown(m.Text), command)
	}
	if err == nil && (missing > 0 || len(answer.Found) == 0) {
		return errFinding
	}
	return err
}

// exact tells whether the text is ids and nothing else, so that each is meant.
func exact(text string) bool {
	for _, word := range strings.Fields(text) {
		if len(word) != journal.IDLength {
			return false
		}
	}
	return true
}

func printExplanations(w io.Writer, list []explain.Explanation) error {
	candidates, observed := 0, 0
	for _, x := range list {
		if x.Candidate {
			candidates++
		}
		if x.Candidate && x.Observed {
			observed++
		}
	}
	switch {
	case candidates > 0 && observed == candidates:
		if _, err := fmt.Fprint(w, "No refusal showed this address. What follows was only observed and let through: the text is of another server.\n\n"); err != nil {
			return err
		}
	case candidates > 1:
		if _, err := fmt.Fprintf(w, "%d refusals showed this address; compare time and client with what the customer says.\n\n", candidates); err != nil {
			return err
		}
	}
	for i, x := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printExplanation(w, x); err != nil {
			return err
		}
	}
	return nil
}
