package main

import (
	"fmt"
	"io"
	"strings"

	"portreeve/internal/explain"
	"portreeve/rules"
)

// printExplanation writes one entry for a person. A line or a command to copy
// stands alone on its line.
func printExplanation(w io.Writer, x explain.Explanation) error {
	verb := "refused"
	switch {
	case x.Rule == string(rules.RuleLoginFailures) && x.Observed:
		verb = "would have been delayed (observed only)"
	case x.Rule == string(rules.RuleLoginFailures):
		verb = "delayed"
	case x.Observed:
		verb = "would have been refused (observed only)"
	}
	times := ""
	if x.Count > 1 {
		times = fmt.Sprintf(", %d times until %s", x.Count, stamp(x.Last))
	}
	if _, err := fmt.Fprintf(w, "%s  %s %s%s\n", x.ID, verb, stamp(x.Time), times); err != nil {
		return err
	}
	rows := [][]string{
		{"  rule", fmt.Sprintf("%s (%s)", x.Rule, shown(x.Reason))},
		{"  reply", shown(x.Reply)},
		{"  cause", shown(x.Cause)},
		{"  compared", shown(x.Compared.Text)},
	}
	rows = append(rows, whoRows(x)...)
	if x.Block != nil {
		rows = append(rows, listRows("  failures", x.Block.Text)...)
	}
	rows = append(rows, customerRows(x)...)
	rows = append(rows, remedyRows(x.Remedies)...)
	rows = append(rows, listRows("  around", x.Around.Text)...)
	return table(w, rows)
}

// whoRows are the session's facts.
func whoRows(x explain.Explanation) [][]string {
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
	rows := [][]string{{"  client", shown(x.Client) + port}, {"  login", login}}
	if x.Stage != rules.StageAuth.String() || x.Sender != "" { // AUTH comes before there is one
		rows = append(rows, []string{"  sender", "<" + shown(x.Sender) + ">"})
	}
	if len(x.Recipients) > 0 {
		rows = append(rows, []string{"  recipient", shown(strings.Join(x.Recipients, ", "))})
	}
	return rows
}

// customerRows are what can be read to the customer.
func customerRows(x explain.Explanation) [][]string {
	label := "  customer"
	if x.Lang != explain.English && x.Lang != "" {
		label += " (" + string(x.Lang) + ")"
	}
	rows := [][]string{}
	if x.CustomerCause != "" {
		rows = append(rows, []string{label, shown(x.CustomerCause)})
		label = ""
	}
	for i, step := range x.Customer {
		rows = append(rows, []string{label, fmt.Sprintf("%d. %s", i+1, shown(step))})
		label = ""
	}
	return rows
}

func remedyRows(remedies []explain.Remedy) [][]string {
	rows := [][]string{}
	label := "  administrator"
	for i, r := range remedies {
		rows = append(rows, []string{label, fmt.Sprintf("%d. %s", i+1, shown(r.Text))})
		label = ""
		if r.Line != "" {
			rows = append(rows, []string{"", fmt.Sprintf("   In %s, under %s, in place of the line with that key:", shown(r.File), r.Table)}, []string{"", "       " + shown(r.Line)})
		}
		if r.Command != "" {
			rows = append(rows, []string{"", "   Run:"}, []string{"", "       " + shown(r.Command)})
		}
	}
	return rows
}

func listRows(label string, lines []string) [][]string {
	rows := [][]string{}
	for _, line := range lines {
		rows = append(rows, []string{label, shown(line)})
		label = ""
	}
	return rows
}
