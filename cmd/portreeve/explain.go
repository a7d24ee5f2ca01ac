package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/internal/explain"
	"portreeve/internal/paste"
	"portreeve/journal"
	"portreeve/rules"
)

// senderSince is how far back a rejected sender is looked for when the pasted
// text has no id.
const senderSince = 7 * 24 * time.Hour

// maxPaste bounds what is read from standard input, in bytes.
const maxPaste = 4 << 20

func explainCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID… | TEXT | -",
		Short: "Say what was refused, why, and what can be done about it",
		Long: `Look up the ids in the arguments, in a pasted error text, or with - on standard
input. A text that says "<address> sender rejected" has no id; it is looked up
by that address among the refusals of the last seven days.`,
		Example: "  portreeve explain 0kHG086hcEUJCINrgXbGZl\n  portreeve explain '550 5.1.0 <jan@seznam.cz> sender rejected'\n  xclip -o | portreeve explain -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := strings.Join(args, " ")
			if text == "-" {
				body, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxPaste))
				if err != nil {
					return fmt.Errorf("reading standard input: %w: paste the text as an argument instead", err)
				}
				text = string(body)
			}
			return explainText(cmd, g, text)
		},
	}
}

func explainText(cmd *cobra.Command, g *globals, text string) error {
	found := paste.Find(text)
	if len(found.IDs)+len(found.Senders) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "portreeve: there is no id in this text: an id has 22 letters and digits and stands after the reply code")
		if g.json {
			return errors.Join(printJSON(cmd.OutOrStdout(), []explain.Explanation{}), errFinding)
		}
		return errFinding
	}
	client, err := g.client()
	if err != nil {
		return err
	}
	answer, err := client.Explain(cmd.Context(), admin.ExplainRequest{
		IDs: found.IDs, Senders: found.Senders, Since: time.Now().Add(-senderSince),
	})
	if err != nil {
		return err
	}
	if g.json {
		err = printJSON(cmd.OutOrStdout(), answer.Found)
	} else {
		for i, x := range answer.Found {
			if i > 0 {
				fmt.Fprintln(cmd.OutOrStdout())
			}
			err = errors.Join(err, printExplanation(cmd.OutOrStdout(), x))
		}
	}
	if !exact(text) && len(answer.Found) > 0 {
		answer.Unknown = nil // other words of a pasted text that only look like ids
	}
	for _, id := range answer.Unknown {
		fmt.Fprintf(cmd.ErrOrStderr(), "portreeve: %s is not in this host's journal: check that it was copied whole, ask the host that gave it, or look for it in the log (refusals go there while the store cannot be written)\n", shown(id))
	}
	if err == nil && (len(answer.Unknown) > 0 || len(answer.Found) == 0) {
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

// printExplanation writes one entry for a person.
func printExplanation(w io.Writer, x explain.Explanation) error {
	verb := "refused"
	if x.Observed {
		verb = "would have been refused (observed only)"
	}
	times := ""
	if x.Count > 1 {
		times = fmt.Sprintf(", %d times until %s", x.Count, stamp(x.Last))
	}
	if _, err := fmt.Fprintf(w, "%s  %s %s%s\n", x.ID, verb, stamp(x.Time), times); err != nil {
		return err
	}
	port := ""
	if x.Port != 0 {
		port = fmt.Sprintf(", port %d", x.Port)
	}
	if x.TLS {
		port += ", TLS"
	}
	login := orDash(x.Login)
	if x.Login == "" && x.LastFailedLogin != "" {
		login = "- (last failed login: " + shown(x.LastFailedLogin) + ")"
	}
	rows := [][]string{
		{"  rule", fmt.Sprintf("%s (%s)", x.Rule, x.Reason)},
		{"  reply", shown(x.Reply)},
		{"  cause", shown(x.Cause)},
		{"  client", shown(x.Client) + port},
		{"  login", login},
	}
	if x.Stage != rules.StageAuth.String() || x.Sender != "" { // AUTH comes before there is one
		rows = append(rows, []string{"  sender", "<" + shown(x.Sender) + ">"})
	}
	if len(x.Recipients) > 0 {
		rows = append(rows, []string{"  recipient", shown(strings.Join(x.Recipients, ", "))})
	}
	for _, r := range x.Customer {
		rows = append(rows, []string{"  customer", shown(r)})
	}
	for _, r := range x.Administrator {
		rows = append(rows, []string{"  administrator", shown(r)})
	}
	return table(w, rows)
}
