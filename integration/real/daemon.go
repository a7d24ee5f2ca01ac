package real

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"portreeve/integration/dialogue"
)

// Daemon is one Portreeve beside an instance: its files, and its process while
// it runs.
type Daemon struct {
	Program string // the portreeve binary
	Config  string // its portreeve.toml
	Log     string // where its standard output and error go
	Sockets []string
	process *process
}

// Files are what a daemon is made from.
type Files struct {
	Program  string         // the portreeve binary
	Base     string         // portreeve.toml to start from
	Accounts string         // accounts.toml
	Settings map[string]any // dotted key -> value, over the base and the host's own
}

// NewDaemon writes a daemon's files for the instance into dir. Its listeners
// are where the instance's Postfix and Dovecot look for them; settings may
// move or close them.
func (i *Instance) NewDaemon(dir string, f Files) (*Daemon, error) {
	base, err := os.ReadFile(f.Base)
	if err != nil {
		return nil, err
	}
	accounts, err := os.ReadFile(f.Accounts)
	if err != nil {
		return nil, err
	}
	listen := i.listeners(dir)
	config, err := dialogue.Config(base, listen, f.Settings)
	if err != nil {
		return nil, err
	}
	d := &Daemon{Program: f.Program, Config: filepath.Join(dir, "portreeve.toml"), Log: filepath.Join(dir, "portreeve.log")}
	for key, addr := range listen {
		if over, ok := f.Settings[key]; ok {
			addr = over
		}
		if a, _ := addr.(string); strings.HasPrefix(key, "listen.") && a != "" {
			d.Sockets = append(d.Sockets, a)
		}
	}
	return d, errors.Join(
		os.WriteFile(d.Config, config, 0o644),
		os.WriteFile(filepath.Join(dir, "accounts.toml"), accounts, 0o644),
		os.WriteFile(filepath.Join(dir, "token"), []byte(i.Token+"\n"), 0o600),
		// Under these names a story may follow them (maillog.files).
		link(i.MailLog(), filepath.Join(dir, "mail.log")),
		link(i.DovecotLog(), filepath.Join(dir, "dovecot.log")),
	)
}

func link(target, name string) error {
	if err := os.Symlink(target, name); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// listeners are Portreeve's ends of what the instance's files name.
func (i *Instance) listeners(dir string) map[string]any {
	in := func(name string) string { return "unix:" + filepath.Join(i.SocketDir(), name) }
	listen := map[string]any{
		"listen.policy": in("policy.sock"),
		"listen.milter": in("milter.sock"),
		"listen.auth":   "inet:" + i.PolicyAddr(),
		"listen.admin":  "unix:" + filepath.Join(dir, "admin.sock"),
		"listen.web":    "inet:" + i.WebAddr(),
	}
	switch i.Recipe {
	case RecipePolicy:
		listen["listen.milter"] = ""
	case RecipeSASL:
		listen["listen.sasl"] = in("sasl.sock")
		listen["sasl.upstream"] = "unix:" + i.SASLUpstream()
	}
	return listen
}

// Start starts the daemon and returns when all its listeners answer.
func (d *Daemon) Start(ctx context.Context) error {
	p, err := spawn(d.Log, d.Program, "serve", "--config", d.Config)
	if err != nil {
		return err
	}
	d.process = p
	for _, addr := range d.Sockets {
		err := until(ctx, func(ctx context.Context) error { return d.listens(ctx, addr) })
		if err != nil {
			return errors.Join(fmt.Errorf("portreeve does not listen on %s: %w; see %s", addr, err, d.Log), d.Kill())
		}
	}
	return nil
}

// listens is an error until the listener answers.
func (d *Daemon) listens(ctx context.Context, addr string) error {
	if err := d.process.running(); err != nil {
		return err
	}
	network, where, _ := strings.Cut(addr, ":")
	if network == "inet" {
		network = "tcp"
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, where)
	if err != nil {
		return err
	}
	return c.Close()
}

// Stop asks the daemon to end (SIGTERM) and waits until it has. Any exit
// status but 0 is an error.
func (d *Daemon) Stop() error {
	if d.process == nil {
		return nil
	}
	if err := d.process.stop(); err != nil {
		return err
	}
	if err := d.process.err; err != nil {
		return fmt.Errorf("portreeve ended with: %w; see %s", err, d.Log)
	}
	d.process = nil
	return nil
}

// Kill ends the daemon with SIGKILL.
func (d *Daemon) Kill() error {
	if d.process == nil {
		return nil
	}
	err := d.process.kill()
	d.process = nil
	return err
}

// Verb runs one of the daemon's verbs.
func (d *Daemon) Verb(ctx context.Context, args ...string) (dialogue.Output, error) {
	cmd := exec.CommandContext(ctx, d.Program, append(args, "--config", d.Config)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := dialogue.Output{Stdout: stdout.String(), Stderr: stderr.String()}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		out.Exit = exit.ExitCode()
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("running portreeve %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

// PID is the number of the running process; 0 while none runs.
func (d *Daemon) PID() int {
	if d.process == nil {
		return 0
	}
	return d.process.cmd.Process.Pid
}
