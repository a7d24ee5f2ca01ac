package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/admin"
	"portreeve/journal"
)

// defaultDecisions is how many refusals are listed unless --limit says otherwise.
const defaultDecisions = 50

func decisionsCmd(g *globals) *cobra.Command {
	var (
		r              admin.DecisionsRequest
		since, until   string
		observed, real bool
		follow         bool
	)
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "List refusals, and what would have been refused, newest first",
		Long: `List what was refused, newest first, and what would have been while a rule only
observes. Equal refusals of one minute stand under one id; COUNT says how many.
With --follow, list what comes from now on, oldest first, until interrupted; a
daemon that is restarted meanwhile is waited for.`,
		Example: "  portreeve decisions --login jan@domena.cz --since 2h\n  portreeve decisions --rule sender --observed --json\n  portreeve decisions --follow",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			now := time.Now()
			var err error
			if r.Since, err = moment("since", since, now); err != nil {
				return err
			}
			if r.Until, err = moment("until", until, now); err != nil {
				return err
			}
			if r.Limit < 1 {
				return errors.New("--limit is below 1: write a number from 1")
			}
			if observed != real {
				r.Observed = &observed
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if follow {
				f := follower{out: cmd.OutOrStdout(), errOut: cmd.ErrOrStderr(), json: g.json, request: r}
				return f.run(cmd.Context(), client.Decisions, now, time.NewTicker(time.Second).C)
			}
			entries, err := client.Decisions(cmd.Context(), r)
			if err != nil {
				return err
			}
			if g.json {
				return printJSON(cmd.OutOrStdout(), entries)
			}
			rows := [][]string{decisionColumns}
			for _, e := range entries {
				rows = append(rows, decisionRow(e))
			}
			return table(cmd.OutOrStdout(), rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Login, "login", "", "only of this SASL `login`")
	f.StringVar(&r.Client, "ip", "", "only of this `address` or network")
	f.StringVar(&r.Sender, "sender", "", "only of this MAIL FROM `address`")
	f.StringVar(&r.Rule, "rule", "", "only by this `rule`: sender, throttled, …")
	f.StringVar(&since, "since", "", "only from this `time` on: 2h, 7d, \"2026-11-22 12:00\"")
	f.StringVar(&until, "until", "", "only before this `time`")
	f.IntVar(&r.Limit, "limit", defaultDecisions, "at most so `many`")
	f.BoolVar(&observed, "observed", false, "only what was observed and let through")
	f.BoolVar(&real, "refused", false, "only what was refused")
	f.BoolVar(&follow, "follow", false, "go on with what comes")
	return cmd
}

// decisionColumns are stable: scripts cut them. JSON has more.
var decisionColumns = []string{"TIME", "ID", "RULE", "ACTION", "CLIENT", "PORT", "LOGIN", "SENDER", "COUNT"}

func decisionRow(e journal.Entry) []string {
	port := "-"
	if e.Port != 0 {
		port = strconv.Itoa(int(e.Port))
	}
	sender := "-"
	if e.Stage != "auth" || e.Sender != "" {
		sender = "<" + shown(e.Sender) + ">"
	}
	return []string{stamp(e.Time), e.ID, e.Rule, action(e), orDash(e.Client), port, orDash(e.Login), sender, strconv.Itoa(e.Count)}
}

func action(e journal.Entry) string {
	switch {
	case e.Observed:
		return "observed"
	case e.Reply == "": // rule 11
		return "delayed"
	}
	return "refused"
}

// line is a row for --follow, where no column can know how wide it will be.
func line(w io.Writer, row []string) error {
	widths := []int{23, 22, 15, 8, 15, 4, 25, 27, 0}
	var b strings.Builder
	for i, text := range row {
		fmt.Fprintf(&b, "%-*s  ", widths[i], text)
	}
	_, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	return err
}

func jsonLine(w io.Writer, e journal.Entry) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}
