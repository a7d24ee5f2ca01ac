package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"portreeve/internal/daemon"
	"portreeve/internal/hostcheck"
	"portreeve/internal/tomlfile"
)

func checkCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check configuration, directory and ports, and report every problem at once",
		Long: `Read the configuration and the directory that it names, compare the ports with
this host's Postfix, and report every problem with file, line and remedy.
Nothing is changed; no daemon is needed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, problems := daemon.Load(g.config)
			if c != nil {
				problems = append(problems, hostcheck.Postfix(cmd.Context(), c)...)
			}
			if err := printProblems(cmd, g, problems); err != nil {
				return err
			}
			if len(problems) > 0 {
				return errFinding
			}
			return nil
		},
	}
}

func printProblems(cmd *cobra.Command, g *globals, problems []tomlfile.Problem) error {
	if g.json {
		return printJSON(cmd.OutOrStdout(), map[string]any{"problems": append([]tomlfile.Problem{}, problems...)})
	}
	for _, p := range problems {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), p); err != nil {
			return err
		}
	}
	if len(problems) == 0 {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: no problems\n", g.config)
		return err
	}
	return nil
}
