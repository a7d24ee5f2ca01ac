package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
)

func blocksCmd(g *globals) *cobra.Command {
	var (
		r     admin.BlocksRequest
		since string
	)
	cmd := &cobra.Command{
		Use:   "blocks",
		Short: "List the clients that are blocked now",
		Long: `List who is blocked, since when, until when, and by failed logins for which names.
A block ends by itself when enough of its failures are older than the window.`,
		Example: "  portreeve blocks\n  portreeve blocks --ip 192.0.2.0/24\n  portreeve blocks --login jan@domena.cz --since 2h --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if r.Since, err = moment("since", since, time.Now()); err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			blocks, err := client.Blocks(cmd.Context(), r)
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), blocks)
			}
			rows := [][]string{{"CLIENT", "SINCE", "UNTIL", "FAILURES", "ID", "LOGINS"}}
			for _, b := range blocks {
				since := "-"
				if !b.Since.IsZero() {
					since = stamp(b.Since)
				}
				rows = append(rows, []string{b.Prefix, since, stamp(b.Until), strconv.Itoa(b.Failures), orDash(b.ID), loginsText(b.Logins)})
			}
			return table(cmd.OutOrStdout(), rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Client, "ip", "", "only the block of this `address`, or those in a network")
	f.StringVar(&r.Login, "login", "", "only blocks with a failed login for this `name`")
	f.StringVar(&since, "since", "", "only blocks that began at this `time` or later: 2h, \"2026-11-22 12:00\"")
	return cmd
}

// loginsText lists the logins of a block with their counts.
func loginsText(logins []admin.LoginCount) string {
	var parts []string
	for _, l := range logins {
		parts = append(parts, fmt.Sprintf("%s (%d)", orDash(l.Login), l.Count))
	}
	return strings.Join(parts, ", ")
}

func unblockCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "unblock IP…",
		Short: "Lift the block of an address at once",
		Long: `Forget the failed logins of each address, and so lift its block, here and on every
host that shares the store. An address that is not blocked is no error. If its
program goes on with a wrong password, it will be blocked again.`,
		Example: "  portreeve unblock 192.0.2.7 2001:db8::1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			results, err := client.Unblock(cmd.Context(), admin.UnblockRequest{Addresses: args})
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), results)
			}
			for _, u := range results {
				text := "was not blocked; its failed logins are forgotten"
				if len(u.Lifted) > 0 {
					text = "unblocked"
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", shown(u.Address), text); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
