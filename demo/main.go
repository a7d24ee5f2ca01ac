// The demo: a mail host with Postfix, Dovecot and Portreeve, set up from
// contrib/ like those of the integration tests, and a transcript of what its
// customers are refused, each refusal with its explanation. `make demo` starts
// it; start.sh shows how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"portreeve/integration/real"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: host or play")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	addr := flags.String("addr", "127.77.1.1", "where the host's ports are")
	dir := flags.String("config-dir", "", "where Portreeve's files go; empty: a directory of the demo's own")
	play := flags.Bool("play", false, "play the transcript, too")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	a, err := netip.ParseAddr(*addr)
	if err != nil {
		return fmt.Errorf("reading --addr: %w; give an IP address", err)
	}
	switch args[0] {
	case "host":
		return host(ctx, a, *dir, *play)
	case "play":
		return transcript(ctx, os.Stdout, a, "portreeve")
	default:
		return fmt.Errorf("%q is unknown; use host or play", args[0])
	}
}

// host starts everything and waits for the end.
func host(ctx context.Context, addr netip.Addr, config string, play bool) (err error) {
	dir, err := os.MkdirTemp("", "portreeve-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if config == "" {
		config = filepath.Join(dir, "portreeve")
	}
	// Postfix's and Dovecot's users must be able to enter it.
	if err := errors.Join(os.Chmod(dir, 0o755), os.MkdirAll(config, 0o755)); err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	i, err := real.Start(ctx, real.Options{
		Dir: dir, Contrib: filepath.Join(root, "contrib"), Users: filepath.Join(root, "integration/testdata/users"),
		Addr: addr, Recipe: real.RecipeMilter, Token: "of-the-demo", Peers: "127.0.0.1/32",
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Stop()) }()
	d, err := i.NewDaemon(config, real.Files{
		Program:  filepath.Join(root, "bin/portreeve"),
		Base:     filepath.Join(root, "demo/portreeve.toml"),
		Accounts: filepath.Join(root, "integration/testdata/accounts.toml"),
	})
	if err != nil {
		return err
	}
	if err := d.Start(ctx); err != nil {
		return errors.Join(err, show(d.Log))
	}
	defer func() { err = errors.Join(err, d.Stop()) }()
	if err := i.Ready(ctx); err != nil {
		return errors.Join(err, show(i.MailLog()), show(i.DovecotLog()))
	}
	if play {
		if err := transcript(ctx, os.Stdout, addr, d.Program, "--config", d.Config); err != nil {
			return err
		}
		fmt.Printf("\nThe demo runs on %s until Ctrl-C; its verbs: %s VERB --config %s\n", addr, d.Program, d.Config)
	}
	<-ctx.Done()
	return nil
}

// show copies a log to standard error.
func show(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	_, err = io.Copy(os.Stderr, f)
	return err
}
