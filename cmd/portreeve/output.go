package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"portreeve/internal/admin"
	"portreeve/internal/config"
)

// client connects to the daemon that the configuration names. A file that has
// become wrong since the daemon started must not keep anybody from asking it.
func (g *globals) client() (*admin.Client, error) {
	c, problems := config.Load(g.config)
	if c == nil {
		return nil, errors.New(problems[0].String())
	}
	if c.Listen.Admin.Addr == "" {
		return nil, fmt.Errorf("%s has no listen.admin, so the daemon cannot be asked: set it and restart", g.config)
	}
	return admin.NewClient(c.Listen.Admin.Network, c.Listen.Admin.Addr), nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// shown makes text from clients safe for a terminal: one line, nothing that a
// terminal obeys.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// orDash keeps columns apart where there is nothing to show.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return shown(s)
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// table aligns rows of tab-separated columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}
