package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childRole tells a copy of the test program what to do instead of testing:
// what kills or limits a whole process is tried in one of its own.
const childRole = "PORTREEVE_STORE_CHILD"

func TestMain(m *testing.M) {
	role, ok := map[string]func(string) error{
		"": nil, "write": writeForEver, "readonly": readOnly, "full": fullDisk,
	}[os.Getenv(childRole)]
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

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, path)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	return cmd
}

// writeForEver writes rows from several goroutines and prints each key once
// its write was answered.
func writeForEver(path string) error {
	db, err := Open(path, testSchema, time.Now())
	if err != nil {
		return err
	}
	failed := make(chan error)
	for c := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%d", os.Getpid(), c, i)
				if err := db.Write(context.Background(), note(key, "v")); err != nil {
					failed <- err
					return
				}
				if _, err := fmt.Println(key); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// SPEC.md section 8: after kill -9 nothing that was answered is lost.
func TestKilledProcessLosesNothing(t *testing.T) {
	p := path(t)
	told := map[string]bool{}
	for _, after := range []int{1, 60, 700, 2500, 5300} {
		cmd := child(t, "write", p)
		var trouble strings.Builder
		cmd.Stderr = &trouble
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, seen := bufio.NewReader(out), 0
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // a half line was not told
			}
			told[strings.TrimSuffix(line, "\n")] = true
			if seen++; seen == after {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child was not killed after %d lines: %v %s", seen, err, &trouble)
		}
		verify(t, p, told)
	}
}

func verify(t *testing.T, path string, told map[string]bool) {
	t.Helper()
	db := open(t, path)
	if db.Damaged != "" {
		t.Fatalf("taken for damaged after a kill, moved to %s", db.Damaged)
	}
	rows, err := db.Reader().Query("select k from notes")
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			t.Fatal(err)
		}
		kept[key] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for key := range told {
		if !kept[key] {
			lost++
		}
	}
	if lost > 0 || len(told) == 0 {
		t.Errorf("%d of %d answered writes are lost", lost, len(told))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// readOnly opens a store in a directory that it may not write. root may write
// anywhere, so it becomes nobody first.
func readOnly(string) error {
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("/tmp", "portreeve-readonly-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := Open(dir+"/portreeve.db", testSchema, time.Now())
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := os.Chmod(dir+"/portreeve.db", 0o440); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o550); err != nil {
		return err
	}
	defer func() { _ = os.Chmod(dir, 0o750) }()
	_, err = Open(dir+"/portreeve.db", testSchema, time.Now())
	fmt.Println("read-only file:", err)
	_, err = Open(dir+"/other.db", testSchema, time.Now())
	fmt.Println("new file:", err)
	return nil
}

func TestReadOnlyDirectory(t *testing.T) {
	cmd := child(t, "readonly", "")
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &trouble)
	}
	for _, want := range []string{"read-only file: opening the store ", "new file: opening the store's lock file: ", "change store.path\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("got %s\nwant %q in it", out, want)
		}
	}
	if strings.Contains(string(out), "<nil>") || strings.Contains(string(out), "damaged") {
		t.Errorf("a read-only directory: %s", out)
	}
}

// fullDisk limits the size of the process's files, which needs no privilege and
// fails every write like a disk that is full.
func fullDisk(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	db, err := Open(path, testSchema, time.Now())
	if err != nil {
		return err
	}
	ctx, kept := context.Background(), 0
	write := func(size int) error {
		err := db.Write(ctx, note(fmt.Sprintf("%d-%d", size, kept), strings.Repeat("x", size)))
		if err == nil {
			kept++
		}
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 6 << 20, Max: before.Max}); err != nil {
		return err
	}
	for _, size := range []int{64 << 10, 4 << 10, 1} { // until not even one page fits
		n := 0
		for err = nil; err == nil && n < 5000; n++ {
			err = write(size)
		}
		if err == nil {
			return errors.New("the disk never became full")
		}
		fmt.Println("full:", err)
	}
	fmt.Println("health:", db.Healthy())
	var all sync.WaitGroup
	for range 50 { // a group that fails as a whole
		all.Go(func() {
			if err := db.Write(ctx, note("group", "v")); err == nil {
				fmt.Println("a write on a full disk was answered as done")
			}
		})
	}
	all.Wait()
	fmt.Println("still:", db.Healthy() != nil)
	var rows int
	if err := db.Reader().QueryRow("select count(*) from notes").Scan(&rows); err != nil {
		return fmt.Errorf("reading on a full disk: %w", err)
	}
	fmt.Println("kept all:", rows == kept)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	for db.Healthy() != nil { // nobody writes: the probe must find it
		<-tick.C
	}
	fmt.Println("after:", write(1))
	return db.Close()
}

func TestFullDisk(t *testing.T) {
	p := path(t)
	cmd := child(t, "full", p)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, &trouble, out)
	}
	got := string(out)
	for _, want := range []string{
		"health: the store has not been writable since ", "still: true\n", "kept all: true\n", "after: <nil>\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q", want)
		}
	}
	if strings.Count(got, "full: ") != 3 || strings.Contains(got, "no transaction is active") || strings.Contains(got, "answered as done") {
		t.Error("wrong errors")
	}
	if t.Failed() {
		t.Log(got)
	}
	if db := open(t, p); db.Damaged != "" {
		t.Error("taken for damaged after the disk was full")
	}
}

// The other kind of fullness: SQLite itself finds no page.
func TestNoPageLeft(t *testing.T) {
	db := open(t, path(t))
	pages := func(n int) {
		t.Helper()
		if err := db.Write(context.Background(), func(tx Tx) error {
			_, err := tx.Exec(fmt.Sprintf("pragma max_page_count = %d", n))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	pages(30)
	var err error
	kept := 0
	for ; err == nil && kept < 1000; kept++ {
		err = db.Write(context.Background(), note(fmt.Sprint(kept), strings.Repeat("x", 4000)))
	}
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("after %d writes: %v", kept, err)
	}
	if n := count(t, db); n != kept-1 {
		t.Errorf("%d rows, %d were answered", n, kept-1)
	}
	pages(1 << 20)
	if err := db.Write(context.Background(), note("again", "v")); err != nil {
		t.Error(err)
	}
}
