package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/rules"
)

// completeWithin bounds what the daemon is given to answer a person who presses
// Tab: a shell waits for it.
const completeWithin = time.Second

// mostCompletions bounds what one Tab shows.
const mostCompletions = 100

// completeVerbs adds to the shells' completion what is cheap to know. Everything
// else completes to nothing, so that no file is offered where none is meant.
func completeVerbs(g *globals, root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.ValidArgsFunction == nil && c.Name() != "replay" {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		for name, words := range flagWords {
			if c.Flags().Lookup(name) != nil {
				must(c.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words(c), cobra.ShellCompDirectiveNoFileComp)))
			}
		}
	}
	must(root.MarkPersistentFlagFilename("config", "toml"))
	for _, name := range []string{"unblock", "failures"} {
		c, _, err := root.Find([]string{name})
		must(err)
		c.ValidArgsFunction = g.completeBlocked
	}
	setup, _, err := root.Find([]string{"setup"})
	must(err)
	for _, c := range setup.Commands() {
		c.ValidArgsFunction = cobra.NoFileCompletions
		if c.Name() == "postfix" {
			must(c.RegisterFlagCompletionFunc("recipe", cobra.FixedCompletions([]string{"milter", "policy-only"}, cobra.ShellCompDirectiveNoFileComp)))
		}
	}
}

// flagWords are the values of flags that are known without asking anybody.
var flagWords = map[string]func(*cobra.Command) []string{
	"lang":  func(*cobra.Command) []string { return []string{"cs", "de", "en", "no", "pl"} },
	"since": func(*cobra.Command) []string { return []string{"30m", "2h", "24h", "7d"} },
	"until": func(*cobra.Command) []string { return []string{"30m", "2h", "24h", "7d"} },
	"rule": func(*cobra.Command) []string {
		var list []string
		for _, r := range append(append([]rules.Rule{}, rules.Rules...), rules.RuleLoginFailures) {
			list = append(list, string(r))
		}
		return list
	},
	"port": func(c *cobra.Command) []string {
		if c.Name() == "replay" {
			return []string{"submission=587", "smtps=465"}
		}
		return []string{"25", "465", "587"}
	},
}

// completeBlocked offers the addresses that are blocked now, with the logins that
// were tried. Without a daemon there is nothing to offer, and nothing to complain of.
func (g *globals) completeBlocked(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const only = cobra.ShellCompDirectiveNoFileComp
	if cmd.Name() == "failures" && len(args) > 0 {
		return nil, only
	}
	client, err := g.client()
	if err != nil {
		return nil, only
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completeWithin)
	defer stop()
	blocks, err := client.Blocks(ctx, admin.BlocksRequest{})
	if err != nil {
		return nil, only
	}
	var list []string
	for _, b := range blocks {
		address := strings.TrimSuffix(strings.TrimSuffix(b.Prefix, "/32"), "/128")
		if strings.HasPrefix(address, begun) && len(list) < mostCompletions {
			list = append(list, cobra.CompletionWithDesc(address, loginsText(b.Logins)))
		}
	}
	return list, only
}

// must is for what only a mistake in this file can break.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
