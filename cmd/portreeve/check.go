package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"portreeve/directory"
	"portreeve/internal/daemon"
	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
)

func checkCmd(g *globals) *cobra.Command {
	var o hostcheck.Options
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, directory and host, and report every problem at once",
		Long: `Read the configuration and the directory that it names, look at this host's
Postfix and Dovecot and at the running daemon, and report every problem with its
remedy. Advice is printed as well; only problems give exit status 1. Nothing is
changed; no daemon is needed. Run as root, or some files cannot be looked at.

Each line begins with the file and the line, or with the name of the check. What
could not be looked at is said behind "not checked:".`,
		Example: `  portreeve check

  # a new configuration, before it is put in place
  portreeve check --config /root/portreeve.toml.new --postfix-config-dir none --dovecot-config none

  # for monitoring
  portreeve check --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, state, problems := daemon.Load(g.config)
			r := &hostcheck.Report{}
			for _, p := range problems {
				r.Findings = append(r.Findings, hostcheck.Finding{Check: "configuration", Severity: hostcheck.Problem, Problem: p})
			}
			if c != nil {
				o.Run, o.Now = postfix.Exec, time.Now()
				known := state.Directory
				if file, ok := known.(*directory.File); ok && file == nil {
					known = nil // its problems are reported
				}
				host := hostcheck.Look(cmd.Context(), c, known, o).Check()
				r.Findings = append(r.Findings, host.Findings...)
				r.NotChecked = host.NotChecked
			}
			if err := printReport(cmd, g, r); err != nil {
				return err
			}
			if len(r.Of(hostcheck.Problem)) > 0 {
				return errFinding
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&o.PostfixDir, "postfix-config-dir", "", "Postfix's configuration `directory`; none: do not look at Postfix")
	cmd.Flags().StringVar(&o.DovecotConfig, "dovecot-config", "", "Dovecot's configuration `file`; none: do not look at Dovecot")
	return cmd
}

func printReport(cmd *cobra.Command, g *globals, r *hostcheck.Report) error {
	out := cmd.OutOrStdout()
	problems, advice := r.Of(hostcheck.Problem), r.Of(hostcheck.Advice)
	if g.json {
		return printJSON(out, map[string]any{
			"problems": problems, "advice": advice, "not_checked": append([]string{}, r.NotChecked...),
		})
	}
	for _, f := range problems {
		fmt.Fprintln(out, f.Problem)
	}
	for _, f := range advice {
		fmt.Fprintln(out, "advice:", f.Problem)
	}
	for _, text := range r.NotChecked {
		fmt.Fprintln(out, "not checked:", shown(text))
	}
	if len(problems) == 0 {
		_, err := fmt.Fprintf(out, "%s: no problems\n", g.config)
		return err
	}
	return nil
}
