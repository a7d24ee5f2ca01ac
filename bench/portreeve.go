package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// setup is what Portreeve is measured with: the embedded store on disk, a file
// of accounts, every front, metrics, and defaults otherwise.
type setup struct {
	accounts int    // over a tenth as many domains
	extra    string // further lines of portreeve.toml
	// fill, if set, puts something into the store before the start.
	fill func(ctx context.Context, path string) error
	// profile names the profiles, where they are asked for.
	profile string
	// program is run instead of ours, if set.
	program string
}

// usual is the directory of issue-sized hosts.
var usual = setup{accounts: 10_000}

// token is what the harness sends as Dovecot would.
const token = "bench"

// configuration is portreeve.toml; paths are relative to it. The journal of the
// scenario with millions of rows must not be pruned while it is measured.
const configuration = `
[listen]
policy = "unix:policy.sock"
milter = "unix:milter.sock"
auth = "inet:%s"
admin = "unix:admin.sock"
web = "inet:%s"
[directory]
file = "accounts.toml"
[auth_policy]
token_file = "token"
[store]
path = "portreeve.db"
[journal]
max_size = "16GiB"
`

// portreeve starts the daemon in a new directory.
func (b *bench) portreeve(ctx context.Context, s setup) (*target, error) {
	dir, err := b.fresh("portreeve")
	if err != nil {
		return nil, err
	}
	auth, err := writeSetup(dir, s)
	if err != nil {
		return nil, err
	}
	if s.fill != nil {
		b.say("filling the store")
		if err := s.fill(ctx, filepath.Join(dir, "portreeve.db")); err != nil {
			return nil, fmt.Errorf("filling the store: %w", err)
		}
	}
	var t *target
	if s.program != "" {
		t, err = start(ctx, s.program, dir, s.program, "serve", "--config", filepath.Join(dir, "portreeve.toml"))
	} else {
		t, err = b.serve(ctx, dir, s.profile)
	}
	if err != nil {
		return nil, err
	}
	t.auth = auth
	if err := t.reachable(ctx, "tcp", auth); err != nil { // the last listener is opened after the first
		return nil, errors.Join(err, t.end())
	}
	return t, nil
}

// again ends the daemon by a signal and starts it anew on the same files.
func (b *bench) again(ctx context.Context, t *target, s syscall.Signal) (ended, started time.Duration, err error) {
	began := time.Now()
	if err := t.signal(s); err != nil {
		return 0, 0, err
	}
	select {
	case <-t.done:
	case <-time.After(stopWithin):
		return 0, 0, fmt.Errorf("%s did not end within %s of %v; its log: %s", t.name, stopWithin, s, t.lastWords())
	}
	ended = time.Since(began)
	next, err := b.serve(ctx, t.dir, filepath.Base(t.profile))
	if err != nil {
		return 0, 0, err
	}
	t.process = next.process
	return ended, next.started, nil
}

// rival starts the other build of Portreeve that -against names, if any.
func (b *bench) rival(ctx context.Context, s setup) ([]*target, error) {
	if b.against == "" {
		return nil, nil
	}
	s.program = b.against
	t, err := b.portreeve(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("starting what to compare with: %w", err)
	}
	return []*target{t}, nil
}

// serve starts the daemon on the files of its directory.
func (b *bench) serve(ctx context.Context, dir, profile string) (*target, error) {
	file := filepath.Join(dir, "portreeve.toml")
	if b.profiles == "" {
		return start(ctx, "Portreeve", dir, b.programs.Portreeve, "serve", "--config", file)
	}
	if profile == "" || profile == "." {
		profile = filepath.Base(dir) // of no interest, but measured with the same program
	}
	prefix := filepath.Join(b.profiles, profile)
	t, err := start(ctx, "Portreeve", dir, b.programs.Portreeve, "-config", file, "-profile", prefix)
	if err != nil {
		return nil, err
	}
	t.profile = prefix
	return t, nil
}

// writeSetup writes the daemon's files and returns where it will listen for
// auth policy requests.
func writeSetup(dir string, s setup) (auth string, err error) {
	auth, err = freePort()
	if err != nil {
		return "", err
	}
	web, err := freePort()
	if err != nil {
		return "", err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "portreeve.toml"), fmt.Appendf(nil, configuration+s.extra, auth, web), 0o600),
		os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600),
		writeAccounts(filepath.Join(dir, "accounts.toml"), s.accounts),
	)
	if err != nil {
		return "", fmt.Errorf("writing Portreeve's files: %w", err)
	}
	return auth, nil
}

// account is the i-th login, and the domain that it belongs to.
func account(i, accounts int) string {
	return fmt.Sprintf("u%07d@d%06d.example", i, i%domains(accounts))
}

func domains(accounts int) int { return max(1, accounts/10) }

func writeAccounts(path string, accounts int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "[domains]")
	for i := range domains(accounts) {
		fmt.Fprintf(w, "\"d%06d.example\" = {}\n", i)
	}
	fmt.Fprintln(w, "[accounts]")
	for i := range accounts {
		fmt.Fprintf(w, "%q = {}\n", account(i, accounts))
	}
	return errors.Join(w.Flush(), f.Close())
}

func (b *bench) floorGo(ctx context.Context, auth bool) (*target, error) {
	dir, err := b.fresh("floor")
	if err != nil {
		return nil, err
	}
	args, address := []string{"-policy", filepath.Join(dir, "policy.sock")}, ""
	if auth {
		if address, err = freePort(); err != nil {
			return nil, err
		}
		args = append(args, "-auth", address)
	}
	t, err := start(ctx, "floor in Go", dir, b.programs.FloorGo, args...)
	if err != nil {
		return nil, err
	}
	t.auth = address
	return t, nil
}

func (b *bench) floorC(ctx context.Context) (*target, error) {
	dir, err := b.fresh("floor")
	if err != nil {
		return nil, err
	}
	return start(ctx, "floor in C", dir, b.programs.FloorC, filepath.Join(dir, "policy.sock"))
}
