//go:build packaged

package packaged

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/admin"
)

// The packages that run.sh has laid beside the host: the one under test, and the same
// under a higher version.
const (
	thisVersion = "/packages/now/portreeve.deb"
	nextVersion = "/packages/next/portreeve.deb"
)

const (
	program   = "/usr/sbin/portreeve"
	etc       = "/etc/portreeve"
	state     = "/var/lib/portreeve"
	socketDir = "/var/spool/postfix/portreeve"
)

// units in the order in which they are stopped together.
var units = []string{"portreeve.socket", "portreeve-auth.socket", "portreeve.service"}

// host is this machine, which is a container's.
type host struct{ testing.TB }

func (h host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("%v", err)
	}
}

// ended is what ended the last test that could not go on: it is said again after the
// journal, which is long.
var ended string

// Fatalf implements testing.TB.
func (h host) Fatalf(format string, args ...any) {
	h.Helper()
	ended = fmt.Sprintf(format, args...)
	h.TB.Fatalf("%s", ended)
}

// try runs a command and returns what it said, on both streams.
func try(name string, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute) // in Cleanup, too
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// run runs a command, which must do well.
func (h host) run(name string, args ...string) string {
	h.Helper()
	out, err := try(name, args...)
	if err != nil {
		h.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (h host) read(path string) string {
	h.Helper()
	data, err := os.ReadFile(path)
	h.must(err)
	return string(data)
}

// write keeps the owner and the mode of a file that is there.
func (h host) write(path, text string) {
	h.Helper()
	h.must(os.WriteFile(path, []byte(text), 0o644))
}

func (h host) edit(path, old, now string) {
	h.Helper()
	text := h.read(path)
	if !strings.Contains(text, old) {
		h.Fatalf("%s has no %q", path, old)
	}
	h.write(path, strings.Replace(text, old, now, 1))
}

func (h host) absent(paths ...string) {
	h.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			h.Errorf("%s is there (%v)", path, err)
		}
	}
}

// rights is a file's as ls shows them: mode, owner and group.
func (h host) rights(path string) string {
	h.Helper()
	info, err := os.Lstat(path)
	h.must(err)
	s := info.Sys().(*syscall.Stat_t)
	u, err := user.LookupId(fmt.Sprint(s.Uid))
	h.must(err)
	g, err := user.LookupGroupId(fmt.Sprint(s.Gid))
	h.must(err)
	return fmt.Sprintf("%s %s:%s", info.Mode(), u.Username, g.Name)
}

// tree is every file below a directory, with its rights and its content.
func (h host) tree(dir string) string {
	h.Helper()
	var b strings.Builder
	h.must(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s\n", path, h.rights(path))
		if entry.Type().IsRegular() {
			b.WriteString(h.read(path))
		}
		return nil
	}))
	return b.String()
}

// status asks the running daemon.
func status() (admin.Status, error) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	return admin.NewClient("unix", "/run/portreeve/admin.sock").Status(ctx)
}

func (h host) status() admin.Status {
	h.Helper()
	s, err := status()
	h.must(err)
	return s
}

// verb runs one of the daemon's verbs and reads its JSON.
func (h host) verb(into any, args ...string) {
	h.Helper()
	out := h.run(program, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		h.Fatalf("portreeve %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// systemctl obeys no limit on how often a unit may start: tests start it more often.
func systemctl(args ...string) error {
	if out, err := try("systemctl", append([]string{"reset-failed"}, units...)...); err != nil && !strings.Contains(out, "not loaded") {
		return fmt.Errorf("systemctl reset-failed: %w: %s", err, out)
	}
	if out, err := try("systemctl", args...); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (h host) systemctl(args ...string) {
	h.Helper()
	h.must(systemctl(args...))
}

func (h host) property(unit, name string) string {
	h.Helper()
	return strings.TrimSpace(h.run("systemctl", "show", "--value", "--property", name, unit))
}

// journal is what the daemon has logged since then.
func journal(since time.Time) string {
	out, err := try("journalctl", "--no-pager", "--output=cat", "--unit=portreeve.service", fmt.Sprintf("--since=@%d", since.Unix()))
	if err != nil {
		return fmt.Sprint(err, ": ", out) // it is read to be shown
	}
	return out
}

// until asks again and again.
func (h host) until(what string, within time.Duration, ask func() error) {
	h.Helper()
	var err error
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	h.Fatalf("%s: %v", what, err)
}
