//go:build manuals

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"portreeve/internal/manual"
)

// With this tag the program is the one that writes the manual pages and the
// completions, for `make manuals`: it takes the directory where they go, and runs
// in the root of the source. It has the verbs' texts, since it has the verbs.
func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "portreeve manuals:", err)
		os.Exit(exitFailure)
	}
}

func write(args []string) error {
	if len(args) != 1 {
		return errors.New("name the directory to write to, and nothing else")
	}
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w: set it to the seconds since 1970 that the pages are dated by, or run `make manuals`", err)
	}
	root := newRoot()
	pages, err := manuals(root, "docs/configuration.md", manual.Stamp{Version: version, Date: time.Unix(seconds, 0)})
	if err != nil {
		return err
	}
	if err := manual.Write(filepath.Join(args[0], "man"), pages); err != nil {
		return err
	}
	return completions(root, filepath.Join(args[0], "completions"))
}

// completions writes what the shells load.
func completions(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of the completions: %w: name one that can be written to", err)
	}
	return errors.Join(
		root.GenBashCompletionFileV2(filepath.Join(dir, "portreeve.bash"), true),
		root.GenZshCompletionFile(filepath.Join(dir, "_portreeve")),
		root.GenFishCompletionFile(filepath.Join(dir, "portreeve.fish"), true),
	)
}
