package listen_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/listen"
)

func unixAddress(t *testing.T) listen.Address {
	t.Helper()
	return listen.Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "portreeve", "a.sock")}
}

func mustOpen(t *testing.T, a listen.Address) net.Listener {
	t.Helper()
	ln, err := listen.Open(a, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func TestOpenMakesDirectoryAndMode(t *testing.T) {
	a := unixAddress(t)
	ln := mustOpen(t, a)
	info, err := os.Stat(a.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o666 || info.Mode()&fs.ModeSocket == 0 {
		t.Errorf("mode %v, want a socket with 0666", info.Mode())
	}
	dir, err := os.Stat(filepath.Dir(a.Addr))
	if err != nil || dir.Mode().Perm() != 0o755 {
		t.Errorf("directory: %v, %v", dir, err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.Addr); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after Close: %v", err)
	}
	if err := ln.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestOpenReplacesStaleSocket(t *testing.T) {
	a := unixAddress(t)
	ln := mustOpen(t, a)
	// The socket of a process that was killed: closed, but not unlinked.
	kept := a.Addr + ".kept"
	if err := os.Rename(a.Addr, kept); err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(kept, a.Addr); err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, a)
	c, err := net.Dial("unix", a.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := again.Accept(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenLeavesOthersAlone(t *testing.T) {
	t.Run("live socket", func(t *testing.T) {
		a := unixAddress(t)
		mustOpen(t, a)
		_, err := listen.Open(a, 0o666)
		want := "another process listens on " + a.String() + ": stop it first or change listen.X"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if c, err := net.Dial("unix", a.Addr); err != nil {
			t.Errorf("the live socket is gone: %v", err)
		} else {
			c.Close()
		}
	})
	t.Run("file", func(t *testing.T) {
		a := listen.Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "a.sock")}
		if err := os.WriteFile(a.Addr, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := listen.Open(a, 0o666); err == nil || !strings.Contains(err.Error(), "move it") {
			t.Errorf("got %v", err)
		}
		if b, err := os.ReadFile(a.Addr); err != nil || string(b) != "precious" {
			t.Errorf("the file was touched: %q, %v", b, err)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		ln := mustOpen(t, listen.Address{Network: "tcp", Addr: "127.0.0.1:0"})
		_, err := listen.Open(listen.Address{Network: "tcp", Addr: ln.Addr().String()}, 0)
		if err == nil || !strings.Contains(err.Error(), "stop it first") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCloseLeavesSuccessorsSocket(t *testing.T) {
	a := unixAddress(t)
	first := mustOpen(t, a)
	if err := os.Remove(a.Addr); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, a)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", a.Addr)
	if err != nil {
		t.Fatalf("the successor's socket is gone: %v", err)
	}
	c.Close()
}
