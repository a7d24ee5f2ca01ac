package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to begin, and to end.
const patience = 40 * time.Second

// Server is one server and the process that it runs in, while it does.
type Server struct {
	Dir  string // its files; its log is "log"
	Port int    // on 127.0.0.1

	command func() *exec.Cmd
	ready   func(ctx context.Context) error
	cmd     *exec.Cmd
	done    chan struct{} // closed when cmd has ended
}

// Addr is where it listens.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Start starts it, for the first time or again, and returns when it answers.
func (s *Server) Start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the server's log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the server has its own
	cmd := s.command()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w: install the packages of servers.txt", cmd.Path, err)
	}
	s.cmd, s.done = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(s.done)
	}()
	if err := s.await(ctx); err != nil {
		return errors.Join(fmt.Errorf("%s does not answer: %w%s", cmd.Path, err, s.tail()), s.Kill())
	}
	return nil
}

// await asks until the server answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := s.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) tail() string {
	data, err := os.ReadFile(filepath.Join(s.Dir, "log"))
	if err != nil {
		return ""
	}
	return "\n" + string(data[max(0, len(data)-2000):])
}

// Kill ends all of it at once, as a power failure does.
func (s *Server) Kill() error {
	if s.cmd == nil {
		return nil
	}
	// Stopped first, so that the parent begins no new children meanwhile.
	err := errors.Join(s.signal(syscall.SIGSTOP), s.signal(syscall.SIGKILL))
	<-s.done
	s.cmd = nil
	return err
}

// Freeze stops all of it where it stands: connections stay open, and nobody
// answers. Thaw lets it go on. It returns when every thread has stopped.
func (s *Server) Freeze() error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		// Again and again: a child may have begun while the others were told.
		if err := s.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		stopped, err := s.stopped()
		if stopped || err != nil {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%s does not stop", s.cmd.Path)
		}
	}
}

// stopped tells whether every thread of the family is (proc_pid_stat(5): T), or has ended
// and waits for a parent that is stopped (Z).
func (s *Server) stopped() (bool, error) {
	family, err := family(s.cmd.Process.Pid)
	if err != nil {
		return false, err
	}
	for _, pid := range family {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			return false, err
		}
		for _, path := range tasks {
			if state, _, ok := parseStat(path); ok && state != "T" && state != "Z" {
				return false, nil
			}
		}
	}
	return true, nil
}

// parseStat reads the state and the parent from a stat file; ok is false for a
// process that has ended meanwhile.
func parseStat(path string) (state string, parent int, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", 0, false
	}
	// pid (name) state ppid …; the name may hold anything.
	f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(f[1])
	return f[0], parent, err == nil
}

// Thaw ends Freeze.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// signal reaches the server's process and everything below it: PostgreSQL's
// backends are in sessions of their own.
func (s *Server) signal(sig syscall.Signal) error {
	family, err := family(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, pid := range family {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("sending %v to process %d: %w", sig, pid, err)
		}
	}
	return nil
}

// family is a process and all below it, parents first.
func family(root int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, path := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		if _, parent, ok := parseStat(path); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	list := []int{root}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list, nil
}

// as makes a command run as another user of this machine.
func as(cmd *exec.Cmd, name string) (*exec.Cmd, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("%w: install the packages of servers.txt", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return cmd, nil
}

// give makes a directory that belongs to a user.
func give(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("%w: install the packages of servers.txt", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}

// run runs a program that ends by itself.
func run(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, bytes.TrimSpace(out))
	}
	return nil
}

// freePort is a port that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// find is the last path that fits a pattern: the newest version.
func find(pattern string) (string, error) {
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		return "", fmt.Errorf("%s is missing: install the packages of servers.txt", pattern)
	}
	return list[len(list)-1], nil
}
