package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
)

func usageCmd(g *globals) *cobra.Command {
	return accountCmd(g, &cobra.Command{
		Use:   "usage LOGIN",
		Short: "Show what an account has used of its sending limits",
		Long: `Show the messages and recipients of the hour before, what is under way, and what is
left of the limits: the account's own, or those of [quota].`,
		Example: "  portreeve usage jan@domena.cz\n  portreeve usage jan@domena.cz --json",
	}, (*admin.Client).Usage)
}

func resetCmd(g *globals) *cobra.Command {
	return accountCmd(g, &cobra.Command{
		Use:   "reset LOGIN",
		Short: "Start the sending limits of an account afresh",
		Long: `Forget what the account has sent within the hour before, so that it may send again
at once. Messages that are under way stay counted.`,
		Example: "  portreeve reset jan@domena.cz",
	}, (*admin.Client).Reset)
}

// accountCmd is a verb that asks about one account and shows its usage.
func accountCmd(g *globals, cmd *cobra.Command, ask func(*admin.Client, context.Context, admin.UsageRequest) (admin.UsageAnswer, error)) *cobra.Command {
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := g.client()
		if err != nil {
			return err
		}
		u, err := ask(client, cmd.Context(), admin.UsageRequest{Login: args[0]})
		if err != nil {
			return err
		}
		if g.json {
			return printJSON(cmd.OutOrStdout(), u)
		}
		return table(cmd.OutOrStdout(), [][]string{
			{shown(u.Login), "USED", "UNDER WAY", "LIMIT", "LEFT"},
			usageRow("messages", u.Messages, u.ReservedMessages, u.Limits.Messages),
			usageRow("recipients", u.Recipients, u.ReservedRecipients, u.Limits.Recipients),
		})
	}
	return cmd
}

func usageRow(what string, used, reserved, limit int) []string {
	most, left := "none", "-"
	if limit > 0 {
		most, left = strconv.Itoa(limit), strconv.Itoa(max(0, limit-used-reserved))
	}
	return []string{what, fmt.Sprint(used), fmt.Sprint(reserved), most, left}
}
