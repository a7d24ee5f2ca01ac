// Command thirdparty writes what has to be said of other people's code in the binary:
// THIRD_PARTY_NOTICES.md, and the bill of materials of a built program. A licence that it
// does not know, or that does not go with ours, is an error.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty:", err)
		os.Exit(1)
	}
}

const usage = "give `notices [-check] FILE` or `sbom -version VERSION BINARY`"

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	check := flags.Bool("check", false, "only compare")
	version := flags.String("version", "devel", "of the program")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New(usage)
	}
	switch args[0] {
	case "notices":
		return writeNotices(ctx, flags.Arg(0), *check)
	case "sbom":
		return writeSBOM(ctx, flags.Arg(0), *version, out)
	}
	return errors.New(usage)
}

func writeNotices(ctx context.Context, path string, check bool) error {
	modules, err := linked(ctx)
	if err != nil {
		return err
	}
	text := notices(modules)
	if !check {
		return os.WriteFile(path, text, 0o644)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the notices: %w: run `make notices`", err)
	}
	if !bytes.Equal(old, text) {
		return fmt.Errorf("%s is not what the modules in the binary ask for: run `make notices` and look at the change", path)
	}
	return nil
}
