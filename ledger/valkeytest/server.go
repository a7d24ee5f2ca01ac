// Package valkeytest starts real Valkey or Redis servers for tests: one, a master with
// its replica and Sentinels, a Cluster. Nothing is mocked. A server that cannot be
// started fails the test.
package valkeytest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// patience is how long a server may take to do what it is told.
const patience = 30 * time.Second

// programs are the servers that are known, the preferred first.
var programs = []string{"valkey-server", "redis-server"}

// Program is the server that the tests run. PORTREEVE_VALKEY_SERVER may name another.
func Program(t testing.TB) string {
	t.Helper()
	list := programs
	if named := os.Getenv("PORTREEVE_VALKEY_SERVER"); named != "" {
		list = []string{named}
	}
	for _, name := range list {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("none of %s is installed: apt-get install redis-server, or run integration/run.sh, which has them", strings.Join(list, ", "))
	return ""
}

// Server is one server, listening on the loopback interface.
type Server struct {
	t        testing.TB
	program  string
	dir      string
	args     []string
	Addr     string // host:port
	Password string // of the user default, or empty
	TLS      *tls.Config
	attr     *syscall.SysProcAttr
	cmd      *exec.Cmd
	ended    chan struct{}
}

// Start starts a server with further options, such as "--appendonly", "yes". It ends
// with the test.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	port := FreePort(t)
	return StartAt(t, fmt.Sprintf("127.0.0.1:%d", port), nil, append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(port),
	}, options...)...)
}

// StartAt starts a server that will be reached at the address, as a process with the
// attributes.
func StartAt(t testing.TB, addr string, attr *syscall.SysProcAttr, options ...string) *Server {
	t.Helper()
	s := &Server{t: t, program: Program(t), dir: t.TempDir(), Addr: addr, attr: attr}
	s.args = append([]string{"--save", "", "--daemonize", "no", "--dir", s.dir, "--logfile", s.Log()}, options...)
	for i, o := range options {
		if o == "--requirepass" {
			s.Password = options[i+1]
		}
	}
	s.Launch()
	t.Cleanup(s.Kill)
	return s
}

// FreePort is a port that nobody listens on, and whose cluster bus port is free, too.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close() //nolint:errcheck // it accepted nobody
		if port > 10000 && port < 55000 {
			return port
		}
	}
	t.Fatal("found no free port")
	return 0
}

// Launch starts the process, without waiting for it to answer.
func (s *Server) Launch() {
	s.t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.Dir = s.dir
	s.cmd.SysProcAttr = s.attr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("starting %s: %v", s.program, err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // it is killed
		close(ended)
	}(s.cmd)
}

// Ready waits until the server answers.
func (s *Server) Ready() *Server {
	s.t.Helper()
	s.Until("it answers", func() bool {
		select {
		case <-s.ended:
			log, _ := os.ReadFile(s.Log())
			s.t.Fatalf("%s has ended; its log:\n%s", s.program, log)
		default:
		}
		_, err := s.Try("PING")
		return err == nil
	})
	return s
}

// Pid is the process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Log is the server's log file.
func (s *Server) Log() string { return filepath.Join(s.dir, "server.log") }

// Kill ends the server at once (SIGKILL).
func (s *Server) Kill() {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("killing %s: %v", s.program, err)
	}
	<-s.ended
}

// Freeze stops the server in the middle of what it does: it takes connections, and
// answers nobody.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatalf("sending %v to %s: %v", sig, s.program, err)
	}
}

// Restart kills the server and starts it again.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.Launch()
	s.Ready()
}

// Try runs a command.
func (s *Server) Try(args ...string) (rueidis.RedisMessage, error) {
	conn, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Addr}, Password: s.Password, ForceSingleClient: true, DisableCache: true, DisableRetry: true,
		ClientSetInfo: rueidis.DisableClientSetInfo, AlwaysRESP2: true,
		Dialer: net.Dialer{Timeout: time.Second}, TLSConfig: s.TLS,
	})
	if conn != nil {
		defer conn.Close()
	}
	if err != nil {
		return rueidis.RedisMessage{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return conn.Do(ctx, conn.B().Arbitrary(args[0]).Args(args[1:]...).Build()).ToMessage()
}

// Do runs a command that must succeed.
func (s *Server) Do(args ...string) rueidis.RedisMessage {
	s.t.Helper()
	m, err := s.Try(args...)
	if err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatalf("%.200s: %v", strings.Join(args, " "), err)
	}
	return m
}

// Text is Do for a command that answers with a text.
func (s *Server) Text(args ...string) string {
	s.t.Helper()
	m := s.Do(args...)
	text, err := m.ToString()
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return text
}

// Info is one field of INFO.
func (s *Server) Info(field string) string {
	s.t.Helper()
	for line := range strings.Lines(s.Text("INFO", "everything")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == field {
			return value
		}
	}
	return ""
}

// IsMaster tells whether the server answers as one. A replica that becomes one ends the
// connections that it has.
func (s *Server) IsMaster() bool {
	s.t.Helper()
	m, err := s.Try("INFO", "replication")
	if err != nil {
		return false
	}
	text, err := m.ToString()
	return err == nil && strings.Contains(text, "role:master")
}

// Until waits until something is so.
func (s *Server) Until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if is() {
			return
		}
	}
	s.t.Fatalf("waited %s in vain until %s (%s)", patience, what, s.Addr)
}

// With gives the server further options for its next start.
func (s *Server) With(options ...string) { s.args = append(s.args, options...) }

// Strings is Do for a command that answers with a list of texts.
func (s *Server) Strings(args ...string) []string {
	s.t.Helper()
	m := s.Do(args...)
	list, err := m.AsStrSlice()
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return list
}

// Number is Do for a command that answers with a number.
func (s *Server) Number(args ...string) int64 {
	s.t.Helper()
	m := s.Do(args...)
	n, err := m.AsInt64()
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return n
}
