package listen_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portreeve/internal/listen"
)

// manager is a service manager's end of a socket: what it keeps when the daemon ends.
func manager(t *testing.T, network, address string) (ln net.Listener, passed *os.File) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	passed, err = ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	return ln, passed
}

// mustInherit takes the files over; what a test leaves is closed with it.
func mustInherit(t *testing.T, files ...*os.File) *listen.Inherited {
	t.Helper()
	list, err := listen.Inherit(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = list.Close() })
	return list
}

// Who connects after one daemon has closed the socket is served by the next.
func TestInheritedQueueOutlivesADaemon(t *testing.T) {
	a := listen.Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "policy.sock")}
	kept, passed := manager(t, "unix", a.Addr)
	again, err := kept.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	first := mustInherit(t, passed)
	ln := first.Take(listen.Address{Network: "unix", Addr: filepath.Dir(a.Addr) + "/./policy.sock"})
	if ln == nil || first.Take(a) != nil || len(first.Unused()) > 0 {
		t.Fatalf("taken %v, left %q", ln, first.Unused())
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.Addr); err != nil {
		t.Fatalf("the socket's path has gone with the daemon: %v", err)
	}
	client, err := net.Dial("unix", a.Addr)
	if err != nil {
		t.Fatalf("nobody may connect between two daemons: %v", err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}

	second := mustInherit(t, again)
	ln = second.Take(a)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, 1)
	if _, err := c.Read(got); err != nil || got[0] != 'x' {
		t.Errorf("the successor reads %q, %v", got, err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

func TestInheritedByAddress(t *testing.T) {
	loopback, passed := manager(t, "tcp", "127.0.0.1:0")
	every, passedToo := manager(t, "tcp", ":0")
	port := func(ln net.Listener) string { _, p, _ := net.SplitHostPort(ln.Addr().String()); return p }
	list := mustInherit(t, passed, passedToo)
	for _, other := range []string{
		"127.0.0.2:" + port(loopback), "127.0.0.1:1", ":" + port(loopback), "127.0.0.1:" + port(every), "mail.example:" + port(loopback), "nonsense",
	} {
		if list.Take(listen.Address{Network: "tcp", Addr: other}) != nil {
			t.Errorf("%s is taken for another", other)
		}
	}
	if list.Take(listen.Address{Network: "unix", Addr: loopback.Addr().String()}) != nil {
		t.Error("a path is taken for a port")
	}
	if left := list.Unused(); len(left) != 2 || !strings.HasPrefix(left[0], "inet:127.0.0.1:"+port(loopback)+" (") {
		t.Errorf("left: %q", left)
	}
	for _, right := range []string{"localhost:" + port(loopback), "0.0.0.0:" + port(every)} {
		ln := list.Take(listen.Address{Network: "tcp", Addr: right})
		if ln == nil {
			t.Fatalf("%s is not found", right)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What is no listening socket is named, and nothing stays open.
func TestInheritRefuses(t *testing.T) {
	_, good := manager(t, "tcp", "127.0.0.1:0")
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := listen.Inherit([]*os.File{good, file})
	if err == nil || !strings.Contains(err.Error(), file.Name()) || !strings.Contains(err.Error(), "ListenStream=") || list != nil {
		t.Errorf("got %v, %v", list, err)
	}
	if !slices.ContainsFunc([]error{file.Close(), good.Close()}, func(err error) bool { return errors.Is(err, os.ErrClosed) }) {
		t.Error("the files are still open")
	}
	if list, err := listen.Inherit(nil); err != nil || len(list.Unused()) != 0 {
		t.Errorf("nothing: %v, %v", list, err)
	}
}
