package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"portreeve/internal/replay"
)

// printReplay writes a replay's report for a person.
func printReplay(w io.Writer, r replay.Report) error {
	err := errors.Join(printRead(w, r), printRules(w, r))
	for _, rule := range r.Rules {
		err = errors.Join(err, printAffected(w, rule))
	}
	err = errors.Join(err, printSuggestions(w, r.Suggestions))
	_, last := fmt.Fprintf(w, "\nNot replayed: %s.\n", strings.Join(r.NotReplayed, "; "))
	return errors.Join(err, last)
}

// some joins those parts of a row that count something.
func some(parts ...string) string {
	var list []string
	for i := 0; i < len(parts); i += 2 {
		if parts[i] != "0" {
			list = append(list, parts[i]+" "+parts[i+1])
		}
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

func printRead(w io.Writer, r replay.Report) error {
	n := strconv.Itoa
	m, l := r.Messages, r.Logins
	var names, services []string
	for _, f := range r.Files {
		names = append(names, shown(f.Name))
	}
	for _, s := range r.Services {
		services = append(services, serviceText(s))
	}
	span := "-"
	if r.From != nil && r.To != nil {
		span = stamp(*r.From) + " to " + stamp(*r.To)
	}
	return table(w, [][]string{
		{"read", strings.Join(names, ", ")},
		{"time", span},
		{"lines", some(n(r.Lines), "read", n(r.Unreadable), "not readable", n(r.TooLong), "too long")},
		{"messages", fmt.Sprintf("%d judged, %d of them logged in: %d would pass, %d would be refused", m.Judged, m.LoggedIn, m.Passed, m.Refused)},
		{"not judged", some(
			n(m.Copies), "passed on by a content filter", n(m.OtherServices), "of services for nobody",
			n(m.RefusedBefore), "that Postfix refused in the end", n(m.Unjoined), "whose sender was not logged", n(m.NotBySMTP), "not by SMTP")},
		{"logins", some(n(l.Failed), "failed", n(l.Refused), "of them would be refused earlier", n(l.POP), "by POP3 and IMAP")},
		{"refused then", some(n(l.CommandsRefused), "commands, by Postfix itself")},
		{"blocks", n(r.Blocks)},
		{"services", strings.Join(services, ", ")},
	})
}

func serviceText(s replay.Service) string {
	text := shown(s.Name)
	switch {
	case s.Port == 0:
		return fmt.Sprintf("%s (port unknown, %s not judged: say it with --port %s=PORT)", text, messages(s.Other), text)
	case s.Guess != "":
		return fmt.Sprintf("%s (port %d, guessed: %s; %s)", text, s.Port, s.Guess, messages(s.Judged))
	}
	return fmt.Sprintf("%s (port %d, %s)", text, s.Port, messages(s.Judged))
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return strconv.Itoa(n) + " messages"
}

// ruleText names a rule in the report.
func ruleText(r replay.Rule) string {
	if r.Observed {
		return string(r.Rule) + " (only observes)"
	}
	return string(r.Rule)
}

func printRules(w io.Writer, r replay.Report) error {
	fmt.Fprintln(w)
	if len(r.Rules) == 0 {
		_, err := fmt.Fprintln(w, "Nothing would have been refused.")
		return err
	}
	rows := [][]string{{"WOULD BE REFUSED BY", "MESSAGES", "ACCOUNTS", "ADDRESSES", "FAILED LOGINS", "ADDRESSES"}}
	for _, one := range r.Rules {
		rows = append(rows, []string{
			ruleText(one), strconv.Itoa(one.Messages.Count), distinct(one.Messages.Accounts), distinct(one.Messages.Addresses),
			strconv.Itoa(one.Logins.Count), distinct(one.Logins.Addresses),
		})
	}
	return table(w, rows)
}

// distinct is how many there are; more than were told apart has a plus.
func distinct(t replay.Top) string {
	text := strconv.Itoa(t.Distinct)
	if t.Others > 0 {
		text += "+"
	}
	return text
}

// printAffected lists whom a rule concerns most: by the messages that went
// through, and only without any by the logins that had failed.
func printAffected(w io.Writer, r replay.Rule) error {
	a, what := r.Messages, "MESSAGES"
	if a.Count == 0 {
		a, what = r.Logins, "FAILED LOGINS"
	}
	rows := [][]string{}
	for _, side := range []struct {
		name string
		top  replay.Top
	}{{"account", a.Accounts}, {"address", a.Addresses}} {
		for _, one := range side.top.List {
			rows = append(rows, []string{"  " + side.name, shown(one.Name), strconv.Itoa(one.Count), exampleText(one.Example)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, append([][]string{{ruleText(r), "", what, "FOR EXAMPLE"}}, rows...))
}

func exampleText(e replay.Example) string {
	text := fmt.Sprintf("%s from %s", stamp(e.Time), shown(e.Client))
	if e.Port != 0 {
		text += fmt.Sprintf(" to port %d", e.Port)
	}
	if e.Login != "" {
		text += " with login " + shown(e.Login)
	}
	if e.QueueID != "" {
		text += fmt.Sprintf(", <%s> to <%s>, %s", shown(e.Sender), shown(e.Recipient), shown(e.QueueID))
	}
	return text + " (" + string(e.Reason) + ")"
}

func printSuggestions(w io.Writer, list []replay.Suggestion) error {
	var err error
	for i, s := range list {
		if i == 0 {
			fmt.Fprint(w, "\nSuggested, where one change would help many:\n")
		}
		effect := fmt.Sprintf("%d of %d messages would then pass", s.Removes, s.Of)
		if s.Removes == 0 {
			effect = fmt.Sprintf("it concerns %d of %d messages", s.Concerns, s.Of)
		}
		_, err = fmt.Fprintf(w, "  %s: %s: %s.\n    Only if %s.\n", s.Rule, shown(s.Change), effect, shown(s.OnlyIf))
		for line := range strings.SplitSeq(s.Setting, "\n") {
			if line != "" {
				_, err = fmt.Fprintf(w, "      %s\n", shown(line))
			}
		}
	}
	return err
}
