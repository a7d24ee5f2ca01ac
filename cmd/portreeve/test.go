package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/internal/mailheader"
	"portreeve/rules"
)

func testCmd(g *globals) *cobra.Command {
	var (
		r       admin.TestRequest
		message string
	)
	cmd := &cobra.Command{
		Use:   "test --client-ip A --port P [--login L] [--tls] --sender S [--recipient R]… [--message FILE]",
		Short: "Show what the running rules would answer, and why",
		Long: `Play one session against the running daemon's rules and state. Nothing is
counted or recorded. Exit status 1 when the client would be refused.`,
		Example: "  portreeve test --client-ip 192.0.2.7 --port 587 --login jan@domena.cz --sender jan@seznam.cz",
		Args:    cobra.NoArgs,
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
			return runTest(cmd, g, r)
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

func runTest(cmd *cobra.Command, g *globals, r admin.TestRequest) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	t, err := client.Test(cmd.Context(), r)
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

func printTested(w io.Writer, t admin.Tested) error {
	rows := [][]string{}
	for _, s := range t.Steps {
		what := s.Stage
		if s.Recipient != "" {
			what += " <" + shown(s.Recipient) + ">"
		}
		result := s.Action
		if s.As != "" {
			result += " as " + shown(s.As)
		}
		if s.Reply != "" {
			result = fmt.Sprintf("refuse (%s, %s): %s", s.Rule, s.Reason, shown(s.Reply))
		}
		if len(s.Observed) > 0 {
			result += ", would refuse: " + strings.Join(s.Observed, ", ")
		}
		rows = append(rows, []string{what, result})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, fact := range t.Facts.Lines() {
		if _, err := fmt.Fprintln(w, "  because", shown(fact)); err != nil {
			return err
		}
	}
	verdict := "Portreeve would let the client go on"
	switch {
	case t.Action == rules.Refuse.String():
		verdict = "Portreeve would refuse the client: " + shown(t.Reply)
	case t.Observed:
		verdict = "Portreeve would let the client go on; enforced, it would say: " + shown(t.Reply)
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
