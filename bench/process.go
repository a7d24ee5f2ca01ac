package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Patience for a program to answer, and to end (Portreeve drains within 30 s).
const (
	startWithin = 15 * time.Minute // with a ledger of millions of rows
	stopWithin  = 40 * time.Second
	askEvery    = 2 * time.Millisecond
)

// process is a program that we started.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// spawn starts a program; what it says goes to a file in dir.
func spawn(dir, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), log: filepath.Join(dir, filepath.Base(program)+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("making a program's log: %w", err)
	}
	defer out.Close() //nolint:errcheck // the program has its own
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", s, p.cmd.Path, err)
	}
	return nil
}

// stop asks the program to end, and ends it when it does not.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopWithin):
	}
	err := fmt.Errorf("%s did not end within %s of SIGTERM and was killed; see %s", p.cmd.Path, stopWithin, p.log)
	return errors.Join(err, p.signal(syscall.SIGKILL))
}

// reachable waits until somebody accepts connections there.
func (p *process) reachable(ctx context.Context, network, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		c, err := net.Dial(network, address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.cmd.Path, p.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s: %w; its log: %s", p.cmd.Path, address, err, p.lastWords())
		case <-tick.C:
		}
	}
}

// lastWords is the end of the log.
func (p *process) lastWords() string {
	body, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(body[max(0, len(body)-2000):])
}
