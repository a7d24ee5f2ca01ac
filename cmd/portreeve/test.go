package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/internal/daemon"
	"portreeve/internal/mailheader"
	"portreeve/rules"
)

func testCmd(g *globals) *cobra.Command {
	var (
		r       admin.TestRequest
		message string
		offline bool
	)
	cmd := &cobra.Command{
		Use:   "test --client-ip A --port P [--login L] [--tls] --sender S [--recipient R]… [--message FILE]",
		Short: "Show what the running rules would answer, and why",
		Long: `Play one session against the running daemon's rules and state, and show every
rule in order with the facts that it asked for. Nothing is counted or recorded.
With --offline no daemon is asked: the rules are those of the configuration's
files, and nobody has failed logins, POP logins or a quota. Exit status 1 when
the client would be refused.`,
		Example: `  portreeve test --client-ip 192.0.2.7 --port 587 --login jan@domena.cz --sender jan@seznam.cz

  # mail from outside to this server's own domain
  portreeve test --client-ip 198.51.100.4 --port 25 --sender x@example.net --recipient jan@domena.cz

  # the header rules, and rules that no daemon runs yet
  portreeve test --client-ip 192.0.2.7 --port 587 --login jan@domena.cz --sender jan@domena.cz --message letter.eml
  portreeve test --offline --config new.toml --client-ip 192.0.2.7 --port 587 --login jan@domena.cz --sender jan@domena.cz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"client-ip", "port", "sender"} {
				if !cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s is missing: run `portreeve test --help`", name)
				}
			}
			if message != "" {
				var err error
				if r.Message, err = readMessage(cmd.InOrStdin(), message); err != nil {
					return err
				}
			}
			r.Sender = bare(r.Sender)
			for i := range r.Recipients {
				r.Recipients[i] = bare(r.Recipients[i])
			}
			return runTest(cmd, g, r, offline)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.ClientIP, "client-ip", "", "the client's `address`, or unknown")
	f.Uint16Var(&r.Port, "port", 0, "the server's `port`: 25, 587, 465")
	f.StringVar(&r.Login, "login", "", "the SASL `login`; without it the client is not authenticated")
	f.BoolVar(&r.TLS, "tls", false, "the session is encrypted")
	f.StringVar(&r.Sender, "sender", "", "MAIL FROM `address`; <> is the null sender")
	f.StringArrayVar(&r.Recipients, "recipient", nil, "RCPT TO `address`; may be repeated")
	f.StringVar(&message, "message", "", "`file` with the message, for the header rules; - is standard input")
	f.BoolVar(&offline, "offline", false, "ask no daemon: use the configuration's files alone")
	return cmd
}

// bare takes one pair of angle brackets off, as a front would.
func bare(address string) string {
	if inner, ok := strings.CutPrefix(address, "<"); ok {
		return strings.TrimSuffix(inner, ">")
	}
	return address
}

// maxHeader bounds what is read of a message, in bytes.
const maxHeader = 1 << 20

func readMessage(in io.Reader, name string) (*rules.Message, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the message: %w: name a file that can be read", err)
		}
		defer f.Close()
		in = f
	}
	m, err := mailheader.Read(in, maxHeader)
	if err != nil {
		return nil, fmt.Errorf("reading the message %s: %w", name, err)
	}
	return m, nil
}

func runTest(cmd *cobra.Command, g *globals, r admin.TestRequest, offline bool) error {
	t, err := play(cmd.Context(), g, r, offline)
	if err != nil {
		return err
	}
	if g.json {
		err = printJSON(cmd.OutOrStdout(), t)
	} else {
		err = printTested(cmd.OutOrStdout(), t)
	}
	if err == nil && t.Action == rules.Refuse.String() {
		return errFinding
	}
	return err
}

// play asks the daemon, or does without.
func play(ctx context.Context, g *globals, r admin.TestRequest, offline bool) (admin.Tested, error) {
	if offline {
		t, problems, err := daemon.Offline(ctx, g.config, time.Now(), r)
		if len(problems) > 0 {
			return t, fmt.Errorf("%s (and %d more): `portreeve check` lists them", problems[0], len(problems)-1)
		}
		return t, err
	}
	client, err := g.client()
	if err != nil {
		return admin.Tested{}, err
	}
	return client.Test(ctx, r)
}

func printTested(w io.Writer, t admin.Tested) error {
	for _, s := range t.Steps {
		if err := printStep(w, s); err != nil {
			return err
		}
	}
	for _, fact := range t.Facts.Lines() {
		if _, err := fmt.Fprintln(w, "  because", shown(fact)); err != nil {
			return err
		}
	}
	verdict := "Portreeve would let the client go on"
	if t.Delay > 0 {
		verdict += fmt.Sprintf(", after AUTH has waited for %g s", t.Delay)
	}
	switch {
	case t.Action == rules.Refuse.String():
		verdict = "Portreeve would refuse the client: " + shown(t.Reply)
	case t.Observed && t.Reply != "":
		verdict += "; enforced, it would say: " + shown(t.Reply)
	}
	if t.Offline {
		verdict += " (offline: without anybody's failed logins, POP logins and quotas)"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

// printStep writes one stage, and below it every rule with the facts that it
// asked for first.
func printStep(w io.Writer, s admin.TestStep) error {
	what := s.Stage
	if s.Recipient != "" {
		what += " <" + shown(s.Recipient) + ">"
	}
	outcome := s.Action
	if s.As != "" {
		outcome += " as " + shown(s.As)
	}
	if s.Reply != "" {
		outcome = fmt.Sprintf("refuse (%s, %s): %s", s.Rule, s.Reason, shown(s.Reply))
	}
	if len(s.Observed) > 0 {
		outcome += ", would refuse: " + strings.Join(s.Observed, ", ")
	}
	if _, err := fmt.Fprintf(w, "%-8s %s\n", what, outcome); err != nil {
		return err
	}
	rows := [][]string{}
	for _, r := range s.Rules {
		result := r.Result
		if r.Reason != "" {
			result += " (" + r.Reason + ")"
		}
		first := ""
		if len(r.Facts) > 0 {
			first = shown(r.Facts[0])
		}
		rows = append(rows, []string{"    " + r.Rule, result, first})
		for i := 1; i < len(r.Facts); i++ {
			rows = append(rows, []string{"", "", shown(r.Facts[i])})
		}
	}
	return table(w, rows)
}
