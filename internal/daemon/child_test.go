package daemon

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRole makes a copy of the test program a daemon: what ends or limits a whole
// process is tried on one of its own.
const childRole = "PORTREEVE_DAEMON_CHILD"

var roles = map[string]func() error{
	"serve":  func() error { return nil },
	"nobody": func() error { return syscall.Setuid(65534) },
	"poor":   poor,
}

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	prepare, ok := roles[role]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown role in "+childRole)
		os.Exit(2)
	}
	err := prepare()
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = Run(ctx, Options{ConfigPath: os.Args[1], Version: "test"}, func() { fmt.Println("ready") })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process is a daemon of its own, with the files of a host.
type process struct {
	cmd  *exec.Cmd
	said strings.Builder // its log
}

// spawn starts the host's daemon in a role and waits until it is ready. The
// error is that it was not; then it has ended.
func (h *host) spawn(role string) (*process, error) {
	h.t.Helper()
	self := must[string](h.t)(os.Executable())
	p := &process{cmd: exec.CommandContext(h.t.Context(), self, h.path("portreeve.toml"))}
	p.cmd.Env = append(os.Environ(), childRole+"="+role)
	p.cmd.Stderr = &p.said
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		return p, fmt.Errorf("%w: %s", p.cmd.Wait(), &p.said)
	}
	return p, nil
}

// end sends a signal and waits. It returns how long that took, and how it ended.
func (p *process) end(t *testing.T, s os.Signal) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	err := p.cmd.Wait()
	return time.Since(began), err
}
