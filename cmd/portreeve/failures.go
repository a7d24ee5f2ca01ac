package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
)

func failuresCmd(g *globals) *cobra.Command {
	var (
		r     admin.FailuresRequest
		since string
	)
	cmd := &cobra.Command{
		Use:   "failures IP-or-LOGIN",
		Short: "List the failed logins that are remembered, newest first",
		Long: `List the failed logins of a client address, or for a login from all addresses,
newest first. They are remembered for as long as they count. A login without @
is kept as its first letter and its length.`,
		Example: "  portreeve failures 192.0.2.7\n  portreeve failures jan@domena.cz --since 30m",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Since, err = moment("since", since, time.Now()); err != nil {
				return err
			}
			if r.Limit < 1 {
				return errors.New("--limit is below 1: write a number from 1")
			}
			r.Of = args[0]
			client, err := g.client()
			if err != nil {
				return err
			}
			a, err := client.Failures(cmd.Context(), r)
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), a)
			}
			rows := [][]string{{"TIME", "CLIENT", "SERVICE", "LOGIN", "COUNTED"}}
			for _, f := range a.Failures {
				counted := map[bool]string{true: "yes", false: "no"}[f.Counted]
				rows = append(rows, []string{stamp(f.Time), f.Client, orDash(f.Service), orDash(f.Login), counted})
			}
			if err := table(cmd.OutOrStdout(), rows); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), standing(a))
			return err
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "only from this `time` on: 30m, \"2026-11-22 12:00\"")
	cmd.Flags().IntVar(&r.Limit, "limit", defaultDecisions, "at most so `many`")
	return cmd
}

// standing says what the failures amount to.
func standing(a admin.FailuresAnswer) string {
	what := map[bool]string{true: "blocked", false: "slowed down"}[a.Client]
	switch {
	case a.Shared:
		return shown(a.Of) + " stands for many people: its failures count for their logins only"
	case a.Until != nil:
		return fmt.Sprintf("%s: %d count, the limit is %d, %s until %s (%s)", shown(a.Of), a.Count, a.Limit, what, stamp(*a.Until), orDash(a.ID))
	case a.Limit == 0:
		return fmt.Sprintf("%s: %d; login_failures is off, so they matter only to the addresses", shown(a.Of), a.Count)
	}
	return fmt.Sprintf("%s: %d count, above %d it is %s", shown(a.Of), a.Count, a.Limit, what)
}
