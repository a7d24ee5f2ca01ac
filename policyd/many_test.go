package policyd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childRole tells a copy of the test program what to do instead of testing: the
// clients need file descriptors of their own.
const childRole = "PORTREEVE_POLICY_CHILD"

func TestMain(m *testing.M) {
	role, ok := map[string]func(string) error{"": nil, "idle": idleClients, "scarce": scarce}[os.Getenv(childRole)]
	switch {
	case !ok:
		fmt.Fprintln(os.Stderr, "unknown role in "+childRole)
		os.Exit(2)
	case role == nil:
		os.Exit(m.Run())
	}
	if err := role(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// companion is a child and its ends: it says a line when it has got somewhere,
// and goes on when it is told one.
type companion struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	wrong strings.Builder
}

func child(t *testing.T, role string, args ...string) *companion {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &companion{t: t, cmd: exec.CommandContext(t.Context(), self, args...)}
	c.cmd.Env = append(os.Environ(), childRole+"="+role)
	c.cmd.Stderr = &c.wrong
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.out = bufio.NewReader(out)
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *companion) says(want string) {
	c.t.Helper()
	if line, err := c.out.ReadString('\n'); err != nil || line != want+"\n" {
		c.t.Fatalf("the child says %q, %v, not %q: %s", line, err, want, errors.Join(c.cmd.Wait(), errors.New(c.wrong.String())))
	}
}

func (c *companion) tell() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "go on\n"); err != nil {
		c.t.Fatal(err)
	}
}

// idle is how many connections may wait at once; SPEC.md asks for half of it.
const idle = 10_000

// idleClients opens them, waits, and asks once on each.
func idleClients(path string) error {
	heard := bufio.NewReader(os.Stdin)
	conns := make([]net.Conn, idle)
	for i := range conns {
		c, err := net.Dial("unix", path)
		for ; errors.Is(err, syscall.EAGAIN); c, err = net.Dial("unix", path) {
			runtime.Gosched() // the kernel's queue is full; a blocking connect would wait
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		conns[i] = c
	}
	fmt.Println("open")
	if _, err := heard.ReadString('\n'); err != nil {
		return err
	}
	for i, c := range conns {
		sender := fmt.Sprintf("%d@a.cz", i)
		if _, err := io.WriteString(c, full(sender)); err != nil {
			return err
		}
		want := "action=550 5.1.0 " + sender + "\n\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			return fmt.Errorf("connection %d is answered %q: %w", i, got, err)
		}
	}
	fmt.Println("answered")
	_, err := heard.ReadString('\n')
	return err // and all are closed
}

// TestTenThousandIdle: they cost little, each is answered when it asks, and
// nothing of them stays.
func TestTenThousandIdle(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		if limit.Cur < idle+500 {
			t.Fatalf("%d file descriptors are allowed, the test needs %d: raise ulimit -n", limit.Cur, idle+500)
		}
		path := w.serve(t, mirror{})
		goroutines, before := runtime.NumGoroutine(), heap()
		clients := child(t, "idle", path)
		clients.says("open")
		if grown := heap() - before; grown > idle*8<<10 {
			t.Errorf("%d idle connections hold %d bytes", idle, grown)
		}
		clients.tell()
		clients.says("answered")
		clients.tell()
		if err := clients.cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, &clients.wrong)
		}
		// The kernel tells of the ends one after the other.
		for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > goroutines+2; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines are left of %d connections", runtime.NumGoroutine()-goroutines, idle)
			}
		}
		// The runtime keeps what describes a goroutine, to use it again.
		if grown := heap() - before; grown > idle<<10 {
			t.Errorf("%d bytes stay", grown)
		}
	})
}

// scarce is a server that may open few files.
func scarce(path string) error {
	heard := bufio.NewReader(os.Stdin)
	i, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	end, err := ways[i].listenAndServe(path, mirror{})
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 40, Max: 40}); err != nil {
		return err
	}
	fmt.Println("few")
	if _, err := heard.ReadString('\n'); err != nil {
		return err
	}
	return end()
}

// TestNoDescriptors: while there are none, clients wait in the kernel's queue and
// those that are in are served; when some are given back, the others are.
func TestNoDescriptors(t *testing.T) {
	inEachWay(t, func(t *testing.T, w way) {
		path := t.TempDir() + "/policy.sock"
		server := child(t, "scarce", path, strconv.Itoa(slices.Index(ways, w)))
		server.says("few")
		ask := func(c net.Conn, i int) error {
			sender := fmt.Sprintf("%d@a.cz", i)
			request := full(sender)
			cut := i % 2 * 100 // half of them in pieces
			if _, err := io.WriteString(c, request[:cut]); err != nil {
				return err
			}
			if _, err := io.WriteString(c, request[cut:]); err != nil {
				return err
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil && line != "action=550 5.1.0 "+sender+"\n" {
				err = fmt.Errorf("answered %q", line)
			}
			return err
		}
		var conns []net.Conn
		for i := range 100 {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			if i < 10 {
				if err := ask(c, i); err != nil {
					t.Fatalf("connection %d: %v", i, err)
				}
			}
		}
		for i, c := range conns[:10] {
			if err := ask(c, i); err != nil {
				t.Errorf("with no descriptor left, connection %d: %v", i, err)
			}
		}
		last := conns[99] // behind sixty that the server cannot take
		if err := last.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := ask(last, 98); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the last was answered with 40 descriptors: %v", err)
		}
		for _, c := range conns[:99] {
			c.Close()
		}
		if err := last.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(last)
		if line, err := in.ReadString('\n'); err != nil || line != "action=550 5.1.0 98@a.cz\n" {
			t.Errorf("with descriptors given back the last is answered %q, %v", line, err)
		}
		server.tell()
		if err := server.cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, &server.wrong)
		}
	})
}
