package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/setup"
)

func setupCmd(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "setup {postfix | dovecot}",
		Short: "Show or make the changes that connect this host",
		Long: `Show, as a diff, the changes that make this host's Postfix or Dovecot ask
Portreeve; --apply makes them and keeps a backup, --undo puts it back.

The order in which mail is neither refused nor deferred unseen:
  1. portreeve setup dovecot --apply --reload
  2. start Portreeve with mode = "observe"
  3. portreeve setup postfix --apply --reload
  4. portreeve check, and look at portreeve decisions for some days
  5. mode = "enforce", and portreeve reload`,
		Example: `  # look first, then do it
  portreeve setup dovecot
  portreeve setup dovecot --apply --reload

  # and back: Postfix first, since it asks at what Dovecot's setup made
  portreeve setup postfix --undo --reload
  portreeve setup dovecot --undo --reload`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to set up, postfix or dovecot: run `%s --help`", cmd.CommandPath())
		},
	}
	cmd.AddCommand(setupPostfixCmd(g), setupDovecotCmd(g))
	for _, c := range cmd.Commands() {
		c.Args = usage(c.Args)
	}
	return cmd
}

// setupFlags are those of both targets.
type setupFlags struct {
	apply, undo, reload bool
	host                setup.Host
}

func (f *setupFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.apply, "apply", false, "make the changes, and keep a backup beside the files")
	cmd.Flags().BoolVar(&f.undo, "undo", false, "put the latest backup back")
	cmd.Flags().BoolVar(&f.reload, "reload", false, "with --apply or --undo: also make the programs read their files")
	cmd.Flags().StringVar(&f.host.PostfixDir, "postfix-config-dir", "", "Postfix's configuration `directory`")
	cmd.Flags().StringVar(&f.host.DovecotConfig, "dovecot-config", "", "Dovecot's configuration `file`")
}

func setupPostfixCmd(g *globals) *cobra.Command {
	f, recipe := &setupFlags{}, ""
	cmd := &cobra.Command{
		Use:   "postfix",
		Short: "Show or make the changes to main.cf and master.cf",
		Long: `Show what would change in main.cf and master.cf so that Postfix asks Portreeve on
the ports of [ports]. Milters, restrictions and comments that are there stay.
Services on 587 and 465 are added where nobody serves these ports.

--apply refuses where mail would be deferred or customers refused by surprise, and
says why; whatever it complains of, nothing has been changed then. --undo puts
back what the last --apply found, unless somebody has edited a file since.`,
		Example: `  portreeve setup postfix
  portreeve setup postfix --apply --reload
  portreeve setup postfix --undo --reload

  # another instance of Postfix
  portreeve setup postfix --postfix-config-dir /etc/postfix-out`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch f.host.Recipe = setup.Recipe(recipe); f.host.Recipe {
			case "", setup.RecipeMilter, setup.RecipePolicy:
				return f.run(cmd, g, "postfix")
			}
			return fmt.Errorf("there is no recipe %q: write milter or policy-only", recipe)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&recipe, "recipe", "", "milter, or policy-only; default: as listen.milter says")
	cmd.Flags().BoolVar(&f.host.OnlyExisting, "only-existing", false, "add no services")
	cmd.Flags().BoolVar(&f.host.Enforce, "enforce", false, "connect Postfix although Portreeve refuses at once (mode is enforce)")
	return cmd
}

func setupDovecotCmd(g *globals) *cobra.Command {
	f := &setupFlags{}
	cmd := &cobra.Command{
		Use:   "dovecot",
		Short: "Show or make the file that makes Dovecot ask Portreeve",
		Long: `Show the file that would make Dovecot 2.3 or 2.4 ask Portreeve about logins, and
what of it Dovecot does already. The token and a nonce go into a file that only
root may read; a token file that portreeve.toml names and that does not exist is
made with a random one.

With --undo, --reload restarts Dovecot: a reload that turns its own penalty on
again would end its master process (seen with 2.3.19 and 2.4.1).`,
		Example: `  portreeve setup dovecot
  portreeve setup dovecot --apply --reload
  portreeve setup dovecot --undo --reload`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, g, "dovecot") },
	}
	f.register(cmd)
	return cmd
}

// setupResult is what --json prints.
type setupResult struct {
	*setup.Plan
	Applied  bool         `json:"applied"`
	Restored []string     `json:"restored"` // by --undo
	Backup   string       `json:"backup,omitempty"`
	Reload   []string     `json:"reload"`   // commands that are still to be run
	Reloaded []string     `json:"reloaded"` // that --reload has run
	Steps    []setup.Step `json:"steps,omitempty"`
}

func (f *setupFlags) run(cmd *cobra.Command, g *globals, target string) error {
	f.host.ConfigPath, f.host.Run, f.host.Now = g.config, postfix.Exec, time.Now
	switch {
	case f.apply && f.undo:
		return fmt.Errorf("--apply and --undo contradict each other: give one of them, or run `%s --help`", cmd.CommandPath())
	case f.reload && !f.apply && !f.undo:
		return fmt.Errorf("--reload goes with --apply or --undo: run `%s --help`", cmd.CommandPath())
	case f.undo:
		return asRoot(f.putBack(cmd, g, target))
	}
	return asRoot(f.show(cmd, g, target))
}

// asRoot ends a refusal of the system in what to do.
func asRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%w: run this as root", err)
	}
	return err
}

// show prints the plan, and carries it out with --apply.
func (f *setupFlags) show(cmd *cobra.Command, g *globals, target string) error {
	t, err := f.host.Target(cmd.Context(), target)
	if err != nil {
		return err
	}
	r := setupResult{Plan: t.Plan, Restored: []string{}, Reload: []string{}, Reloaded: []string{}}
	refused := f.apply && len(t.Plan.Blockers) > 0
	if f.apply && !refused {
		if r.Backup, err = f.host.Apply(t); err != nil {
			return err
		}
		if r.Applied = len(t.Plan.Changes) > 0; r.Applied {
			if err := f.reloads(cmd, &r, target); err != nil {
				return err
			}
		}
	}
	r.Steps = f.host.Steps(cmd.Context())
	if err := r.print(cmd, g, f.apply); err != nil {
		return err
	}
	if refused {
		return errFinding
	}
	return nil
}

func (f *setupFlags) putBack(cmd *cobra.Command, g *globals, target string) error {
	b, err := f.host.BackupsOf(cmd.Context(), target)
	if err != nil {
		return err
	}
	if blocker := f.host.UndoBlocker(cmd.Context(), target, b); blocker != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "portreeve:", blocker)
		return errFinding
	}
	r := setupResult{Plan: &setup.Plan{Target: target, Changes: []setup.Change{}, Notes: []string{}, Blockers: []string{}}, Reload: []string{}, Reloaded: []string{}}
	r.Restored, err = b.Undo()
	var changed *setup.ChangedError
	switch {
	case errors.Is(err, setup.ErrNothing):
		r.Restored = []string{}
	case errors.As(err, &changed):
		fmt.Fprintln(cmd.ErrOrStderr(), "portreeve:", err)
		return errFinding
	case err != nil:
		return err
	default:
		if err := f.reloads(cmd, &r, target); err != nil {
			return err
		}
	}
	if g.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	out := cmd.OutOrStdout()
	if len(r.Restored) == 0 {
		_, err := fmt.Fprintln(out, "there is nothing to undo")
		return err
	}
	for _, path := range r.Restored {
		fmt.Fprintln(out, "put back:", path)
	}
	r.printReloads(out)
	return nil
}

// reloads runs the commands, or lists them.
func (f *setupFlags) reloads(cmd *cobra.Command, r *setupResult, target string) error {
	for _, command := range f.host.Commands(target, f.undo) {
		if !f.reload {
			r.Reload = append(r.Reload, command.Text)
			continue
		}
		ran, err := command.Reload(cmd.Context())
		if err != nil {
			return err
		}
		if ran {
			r.Reloaded = append(r.Reloaded, command.Text)
		}
	}
	return nil
}

func (r *setupResult) print(cmd *cobra.Command, g *globals, apply bool) error {
	out := cmd.OutOrStdout()
	if g.json {
		return printJSON(out, r)
	}
	for _, c := range r.Changes {
		fmt.Fprintln(out, c.Diff)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, "note:", shown(n))
	}
	for _, b := range r.Blockers {
		if apply {
			fmt.Fprintln(out, "refused:", shown(b))
		} else {
			fmt.Fprintln(out, "--apply would refuse:", shown(b))
		}
	}
	if len(r.Changes)+len(r.Blockers) == 0 {
		fmt.Fprintln(out, "nothing to change")
	}
	if r.Applied {
		fmt.Fprintln(out, "changed; the old files are in", r.Backup)
	}
	r.printReloads(out)
	fmt.Fprintln(out, "\nthe whole way:")
	for i, s := range r.Steps {
		mark := " "
		if s.Done {
			mark = "x"
		}
		if _, err := fmt.Fprintf(out, "  [%s] %d. %s\n", mark, i+1, s.Do); err != nil {
			return err
		}
	}
	return nil
}

func (r *setupResult) printReloads(out io.Writer) {
	for _, text := range r.Reload {
		fmt.Fprintln(out, "now run:", text)
	}
	for _, text := range r.Reloaded {
		fmt.Fprintln(out, "done:", text)
	}
}
