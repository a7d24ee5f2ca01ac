package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// target is a running server.
type target struct {
	*process
	name    string
	dir     string // all that it writes
	policy  string // its unix socket
	auth    string // host:port of its HTTP listener, or empty
	started time.Duration
	profile string // PREFIX of its profiles, or empty

	background int // the process, where the one that was started has left it; else 0
}

// start runs a program in a directory of its own until it answers. began is when
// the program was started.
func start(ctx context.Context, name, dir, program string, args ...string) (*target, error) {
	t := &target{name: name, dir: dir, policy: filepath.Join(dir, "policy.sock")}
	began := time.Now()
	p, err := spawn(dir, program, args...)
	if err != nil {
		return nil, err
	}
	t.process = p
	if err := p.reachable(ctx, "unix", t.policy); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	t.started = time.Since(began)
	return t, nil
}

// end stops the target and removes what it wrote.
func (t *target) end() error {
	var err error
	if t.background != 0 {
		err = syscall.Kill(t.background, syscall.SIGTERM)
	}
	return errors.Join(err, t.stop(), os.RemoveAll(t.dir))
}

// measure runs a load against the target, and counts what the target used.
func (t *target) measure(ctx context.Context, l load, d time.Duration) (sample, error) {
	l.begin = func() (usage, error) { return t.used(), t.profiling(syscall.SIGUSR1) }
	l.finish = func() (usage, error) { return t.used(), t.profiling(syscall.SIGUSR2) }
	s, err := l.run(ctx, d)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w; its log: %s", t.name, err, t.lastWords())
	}
	return s, nil
}

// used is nothing for a target that has gone, as the load will notice.
func (t *target) used() usage {
	pid := t.pid()
	if t.background != 0 {
		pid = t.background
	}
	u, err := used(pid)
	if err != nil {
		return usage{}
	}
	return u
}

func (t *target) profiling(s syscall.Signal) error {
	if t.profile == "" {
		return nil
	}
	return t.signal(s)
}

// profileText is what `go tool pprof` says of the target's profiles: by what the
// functions cost themselves, and with what they call; and of its start.
func (t *target) profileText(ctx context.Context) (string, error) {
	files, err := filepath.Glob(t.profile + "-[0-9]*.pprof")
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, fmt.Errorf("%s left no profile under %s", t.name, t.profile))
	}
	var text strings.Builder
	for _, args := range [][]string{
		append([]string{"-nodecount", "25", t.cmd.Path}, files...),
		append([]string{"-cum", "-nodecount", "70", t.cmd.Path}, files...),
		{"-cum", "-nodecount", "50", t.cmd.Path, t.profile + ".start.pprof"},
	} {
		out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-top"}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("go tool pprof: %w", err)
		}
		text.Write(out)
	}
	return text.String(), nil
}

// freePort is one of loopback's that nobody has now.
func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	return ln.Addr().String(), ln.Close()
}
