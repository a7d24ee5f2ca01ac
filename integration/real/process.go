package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// The longest that is waited for a program to answer, and to end. SPEC.md
// section 10 gives Portreeve 30 s to drain.
const (
	patience = 20 * time.Second
	drain    = 32 * time.Second
	pause    = 20 * time.Millisecond // between two questions
)

// errGone is the answer of a program that has ended: asking again is no use.
var errGone = errors.New("the program has ended")

// until asks again and again until the answer is no error, for at most
// patience. The last error is the reason that it gives up with.
func until(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil || errors.Is(err, errGone) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// process is a program that runs in the foreground, as our child.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid after done
}

// spawn starts a program whose output goes to a file. Dovecot keeps its
// standard error open in all its processes: with a pipe, Wait would not return
// before the last of them has gone.
func spawn(logfile string, name string, args ...string) (*process, error) {
	return run(logfile, exec.Command(name, args...))
}

// run is spawn for a command that needs more than a name and arguments.
func run(logfile string, cmd *exec.Cmd) (*process, error) {
	out, err := os.OpenFile(logfile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening its log: %w", err)
	}
	defer out.Close() //nolint:errcheck // the child has its own
	p := &process{cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Args[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// running is errGone once the program has ended.
func (p *process) running() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s: %w: %v", p.cmd.Path, errGone, p.cmd.ProcessState)
	default:
		return nil
	}
}

// stop asks the program to end, and makes it end if it does not. A nil process
// has never been started.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(drain):
	}
	err := fmt.Errorf("%s (pid %d) did not end within %s of SIGTERM; it was killed", p.cmd.Path, p.cmd.Process.Pid, drain)
	return errors.Join(err, p.kill())
}

// kill ends the program without asking it.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// signal sends one; that the program has gone already is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", s, p.cmd.Path, err)
	}
	return nil
}
