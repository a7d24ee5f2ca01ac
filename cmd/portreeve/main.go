// Command portreeve guards the submission ports of a Postfix; see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"
)

// Set by the linker (see Makefile).
var (
	version = "development"
	commit  = "unknown"
)

// Exit statuses (SPEC.md section 5).
const (
	exitFinding = 1 // a finding or a refusal
	exitFailure = 2 // a usage or operational error
)

// errFinding ends a verb that has said what it found.
var errFinding = errors.New("finding")

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFinding):
		return exitFinding
	}
	fmt.Fprintln(errOut, "portreeve:", err)
	return exitFailure
}

// globals are the flags of every verb.
type globals struct {
	config string
	json   bool
}

const defaultConfig = "/etc/portreeve/portreeve.toml"

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "portreeve VERB",
		Short: "Guards the submission ports of an existing Postfix",
		Long: `portreeve decides who may send as whom on the submission ports of an existing
Postfix, counts failed logins per client address, refuses relaying, lets SMTP
after POP clients in, and says why in a reply that a help desk can look up.

The daemon is "portreeve serve"; all other verbs are for people. Most of them ask
the running daemon. Those that need none: check, setup, replay, version, and test
with --offline.`,
		Example: `  # from nothing to enforced
  portreeve setup dovecot --apply --reload
  portreeve setup postfix --apply --reload
  portreeve check

  # a customer's error message
  portreeve explain '550 5.1.0 0kHG086hcEUJCINrgXbGZl authentication failed'

  # who is blocked, and let in again
  portreeve blocks
  portreeve unblock 192.0.2.7`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no verb %q: run `portreeve --help` for the list", args[0])
			}
			return errors.New("a verb is missing: run `portreeve --help` for the list")
		},
	}
	root.PersistentFlags().StringVar(&g.config, "config", defaultConfig, "configuration `file`")
	root.PersistentFlags().BoolVar(&g.json, "json", false, "print data as JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%s: run `%s --help`", conversion.ReplaceAllString(err.Error(), ""), cmd.CommandPath())
	})
	root.AddCommand(serveCmd(g), checkCmd(g), setupCmd(g), testCmd(g), explainCmd(g), decisionsCmd(g), failuresCmd(g), blocksCmd(g), unblockCmd(g),
		usageCmd(g), resetCmd(g), replayCmd(g), statusCmd(g), reloadCmd(g), versionCmd(g))
	for _, c := range root.Commands() {
		c.Args = usage(c.Args)
	}
	describe(root)
	completeVerbs(g, root)
	cobra.AddTemplateFunc("indented", indented)
	root.SetUsageTemplate(root.UsageTemplate() + exitTemplate)
	root.CompletionOptions.HiddenDefaultCmd = true // packages bring the completions
	return root
}

// conversion is what Go says of a number that is none, besides that it is none.
var conversion = regexp.MustCompile(`strconv\.\w+: parsing ".*": `)

// usage gives every complaint about arguments plain words and a remedy.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check == nil {
			return nil
		}
		switch {
		case check(cmd, args) == nil:
			return nil
		case len(args) == 0:
			return fmt.Errorf("`%s` needs to be told of what: run `%[1]s --help`", cmd.CommandPath())
		}
		return fmt.Errorf("`%s` has no use for %q: run `%[1]s --help`", cmd.CommandPath(), args[len(args)-1])
	}
}
