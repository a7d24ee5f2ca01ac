package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
)

func statusCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the daemon is",
		Long: `Show since when the daemon is up, its mode, what it listens at, what it has decided,
and how the store and the directory are. What needs somebody stands at the end,
behind "warning".`,
		Example: "  portreeve status\n  portreeve status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			store := fmt.Sprintf("%s, %s, up", s.Store.Kind, s.Store.Path)
			if !s.Store.Up {
				store = fmt.Sprintf("%s, %s, DOWN: %s", s.Store.Kind, s.Store.Path, s.Store.Error)
			}
			mode := s.Mode
			if len(s.Observe) > 0 {
				mode += ", observing " + strings.Join(s.Observe, ", ")
			}
			rows := [][]string{
				{"version", s.Version},
				{"host", s.Host},
				{"up since", fmt.Sprintf("%s (%s)", stamp(s.Since), s.Now.Sub(s.Since).Round(time.Second))},
				{"mode", mode},
				{"configuration", fmt.Sprintf("%s, read %s", s.Config, stamp(s.Loaded))},
				{"store", store},
				{"directory", directoryText(s)},
				{"blocked clients", fmt.Sprint(s.Blocked)},
				{"guessed logins", guessed(s)},
				{"decisions", fmt.Sprintf("%d passed, %d refused, %d observed, %d delayed", s.Counts.Passed, s.Counts.Refused, s.Counts.Observed, s.Counts.Delayed)},
				{"login reports", fmt.Sprint(s.Counts.AuthReports)},
				{"errors", fmt.Sprintf("%d protocol errors, %d failed look-ups, %d not stored", s.Counts.ProtocolErrors, s.Counts.FailedLookups, s.Counts.Unrecorded)},
			}
			for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
				at := s.Listeners[name]
				if slices.Contains(s.Passed, name) {
					at += ", opened by the service manager, open while the daemon restarts"
				}
				rows = append(rows, []string{"listen." + name, at})
			}
			for _, file := range s.Store.SetAside {
				rows = append(rows, []string{"damaged store", shown(file) + ": see what is to be saved, and remove it"})
			}
			for _, w := range s.Warnings {
				rows = append(rows, []string{"warning", w})
			}
			return table(cmd.OutOrStdout(), rows)
		},
	}
}

// directoryText is each source of the directory, with what is wrong with it.
func directoryText(s admin.Status) string {
	var list []string
	for _, d := range s.Directory {
		text := shown(d.Name) + ", up"
		if !d.Up {
			text = fmt.Sprintf("%s, DOWN: %s", shown(d.Name), shown(d.Error))
			if d.Since != nil {
				text = fmt.Sprintf("%s, DOWN since %s: %s", shown(d.Name), stamp(*d.Since), shown(d.Error))
			}
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

// guessed names the first of the logins that rule 11 slows down.
func guessed(s admin.Status) string {
	const named = 5
	text := fmt.Sprint(s.Guessed)
	for i, g := range s.Guesses[:min(len(s.Guesses), named)] {
		text += fmt.Sprintf("%s %s (%d failures, until %s)", map[bool]string{true: ":", false: ","}[i == 0], shown(g.Login), g.Failures, stamp(g.Until))
	}
	return text
}

func reloadCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make the daemon read configuration and directory again",
		Long: `Make the daemon read configuration and directory again. A file with a problem
changes nothing; all its problems are reported. Keys that take effect at the next
start only (listeners, the store) are named. What was cached of a directory is
forgotten.`,
		Example: "  portreeve check && portreeve reload",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			r, err := client.Reload(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if g.json {
				if err := printJSON(out, r); err != nil {
					return err
				}
			} else {
				for _, p := range r.Problems {
					fmt.Fprintln(out, p)
				}
				if len(r.NeedsRestart) > 0 {
					fmt.Fprintf(out, "these keys take effect at the next start only: %s\n", strings.Join(r.NeedsRestart, ", "))
				}
				if len(r.Problems) == 0 {
					fmt.Fprintln(out, "reloaded")
				}
			}
			if len(r.Problems) > 0 {
				return errFinding
			}
			return nil
		},
	}
}
