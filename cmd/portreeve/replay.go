package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/config"
	"portreeve/internal/daemon"
	"portreeve/internal/replay"
)

func replayCmd(g *globals) *cobra.Command {
	var (
		o            replay.Options
		ports        map[string]int
		since, until string
	)
	cmd := &cobra.Command{
		Use:   "replay FILE…",
		Short: "Say what the rules would have made of old mail logs",
		Long: `Read old logs of Postfix, and of Dovecot, Courier or Cyrus for SMTP after POP, and
report what the configured rules would have refused: by rule, with the accounts
and addresses most affected, and with the change that would help most of them.

Files may be compressed by gzip and stand in any order; - is standard input. No
daemon is needed, and nothing is written. Everything is decided as if it were
enforced; rules that only observe by name are counted apart.

The server's port is told by the syslog_name of master.cf: postfix is 25,
postfix/submission 587, postfix/submissions and postfix/smtps 465. Say others
with --port.`,
		Example: "  portreeve replay /var/log/mail.log*\n  portreeve replay --since 7d --port customers=587 /var/log/mail.log /var/log/mail.log.1\n  journalctl -o short-iso -t postfix/smtpd … | portreeve replay -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Files, o.Stdin, o.Now = args, cmd.InOrStdin(), time.Now()
			var err error
			if o.Since, err = moment("since", since, o.Now); err != nil {
				return err
			}
			if o.Until, err = moment("until", until, o.Now); err != nil {
				return err
			}
			if o.Ports, err = portNames(ports); err != nil {
				return err
			}
			if o.Top < 0 {
				return errors.New("--top is below 0: write a number from 0")
			}
			return runReplay(cmd, g, o)
		},
	}
	f := cmd.Flags()
	f.StringToIntVar(&ports, "port", nil, "`NAME=PORT`: the port of the service with that syslog_name; may be repeated")
	f.Lookup("port").DefValue = ""
	f.StringVar(&since, "since", "", "count only from this `time` on: 7d, \"2026-11-22 12:00\"")
	f.StringVar(&until, "until", "", "count only before this `time`")
	f.IntVar(&o.Top, "top", 10, "list so `many` accounts and addresses for each rule")
	return cmd
}

// portNames checks --port.
func portNames(flags map[string]int) (map[string]uint16, error) {
	ports := map[string]uint16{}
	for name, port := range flags {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("--port %s=%d is no port: write one from 1 to 65535", name, port)
		}
		ports[strings.TrimSuffix(name, "/smtpd")] = uint16(port)
	}
	return ports, nil
}

func runReplay(cmd *cobra.Command, g *globals, o replay.Options) error {
	c, state, problems := daemon.Load(g.config)
	if len(problems) > 0 {
		return daemon.ProblemsError(problems)
	}
	o.State, o.AtAuth = state, c.Listen.Auth.Addr != "" || c.Listen.SASL.Addr != ""
	o.InFiles = c.Directory.Source == config.SourceFile
	errOut := cmd.ErrOrStderr()
	clearLine := func() {}
	if terminal(errOut) {
		p := &progress{out: errOut, now: time.Now}
		o.Progress, clearLine = p.show, p.clear
	}
	report, err := replay.Run(cmd.Context(), o)
	clearLine()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted: nothing is reported; run it again, or with fewer files")
	}
	if err != nil {
		return err
	}
	for _, f := range report.Files {
		if f.Problem != "" {
			fmt.Fprintf(errOut, "portreeve: %s: %s: what was read of it is in the report\n", shown(f.Name), shown(f.Problem))
		}
	}
	return writeReport(cmd.OutOrStdout(), report, g.json)
}

// writeReport writes it whole: a full disk is one error, not one a table.
func writeReport(w io.Writer, r replay.Report, asJSON bool) error {
	put := printReplay
	if asJSON {
		put = func(w io.Writer, r replay.Report) error { return printJSON(w, r) }
	}
	var text bytes.Buffer
	if err := put(&text, r); err != nil {
		return err
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the report: %w: write it where there is room", err)
	}
	return nil
}

// terminal tells whether a person looks at it.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progressEach is how often the progress is shown.
const progressEach = 200 * time.Millisecond

// progress is one line that is written over and over.
type progress struct {
	out   io.Writer
	now   func() time.Time
	last  time.Time
	width int
}

func (p *progress) show(now replay.Progress) {
	t := p.now()
	if t.Sub(p.last) < progressEach {
		return
	}
	p.last = t
	text := fmt.Sprintf("%d lines", now.Lines)
	if now.Total > 0 {
		text += fmt.Sprintf(", %d %%", 100*now.Read/now.Total)
	}
	fmt.Fprintf(p.out, "\r%-*s", p.width, text)
	p.width = len(text)
}

func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
	}
}
