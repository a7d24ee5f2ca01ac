package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
)

// filled makes a store of some hundred pages, with rows that name their page
// contents, and closes it.
func filled(t *testing.T) string {
	t.Helper()
	p := path(t)
	db := open(t, p)
	for i := range 100 {
		if err := db.Write(context.Background(), note(fmt.Sprintf("%03d", i), strings.Repeat("x", 9000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, string){
		"garbage":            func(t *testing.T, p string) { overwrite(t, p, []byte("once upon a time there was a mail server")) },
		"zero bytes":         func(t *testing.T, p string) { overwrite(t, p, nil) },
		"a few bytes":        func(t *testing.T, p string) { overwrite(t, p, magic[:7]) },
		"only the magic":     func(t *testing.T, p string) { overwrite(t, p, magic) },
		"zeroes":             func(t *testing.T, p string) { overwrite(t, p, make([]byte, 8192)) },
		"truncated page":     func(t *testing.T, p string) { truncate(t, p, 4096*10+1000) },
		"truncated":          func(t *testing.T, p string) { truncate(t, p, 4096*10) },
		"one page left":      func(t *testing.T, p string) { truncate(t, p, 4096) },
		"page overwritten":   func(t *testing.T, p string) { scribble(t, p, 4096*12, 4096) },
		"tail overwritten":   func(t *testing.T, p string) { scribble(t, p, 4096*20, 4096*40) },
		"header overwritten": func(t *testing.T, p string) { scribble(t, p, 16, 84) },
	} {
		t.Run(name, func(t *testing.T) {
			p := filled(t)
			damage(t, p)
			before, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			db := open(t, p)
			if want := p + ".damaged-20261122T120000Z"; db.Damaged != want {
				t.Fatalf("Damaged is %q, want %q", db.Damaged, want)
			}
			after, err := os.ReadFile(db.Damaged)
			if err != nil || !bytes.Equal(before, after) {
				t.Errorf("the damaged file was not kept as it was: %v", err)
			}
			if err := db.Write(context.Background(), note("a", "v")); err != nil {
				t.Errorf("the new store: %v", err)
			}
			if n := count(t, db); n != 1 {
				t.Errorf("%d rows in the new store", n)
			}
		})
	}
}

// A second damage within the same second must not overwrite the first one's file.
func TestNothingIsEverDeleted(t *testing.T) {
	p := path(t)
	for i, want := range []string{".damaged-20261122T120000Z", ".damaged-20261122T120000Z-2", ".damaged-20261122T120000Z-3"} {
		overwrite(t, p, fmt.Appendf(nil, "garbage %d", i))
		db := open(t, p)
		if db.Damaged != p+want {
			t.Fatalf("Damaged is %q, want %q", db.Damaged, p+want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if body, err := os.ReadFile(db.Damaged); err != nil || string(body) != fmt.Sprintf("garbage %d", i) {
			t.Errorf("%s holds %q: %v", db.Damaged, body, err)
		}
	}
}

func TestHealthyFileIsNotMoved(t *testing.T) {
	db := open(t, filled(t))
	if db.Damaged != "" || count(t, db) != 100 {
		t.Errorf("moved to %q, %d rows", db.Damaged, count(t, db))
	}
}

// The journal says who wrote to whom: others on the host may not read it.
func TestFilesAreNotForEverybody(t *testing.T) {
	db := open(t, path(t))
	if err := db.Write(context.Background(), note("a", "v")); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(db.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s has mode %v", suffix, info.Mode())
		}
	}
}

func TestDirectoryThatCannotBe(t *testing.T) {
	file := path(t)
	overwrite(t, file, []byte("a file, not a directory"))
	_, err := Open(file+"/portreeve.db", testSchema, noon)
	if err == nil || !strings.HasSuffix(err.Error(), "make it, or change store.path") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	_, err = Open(dir, testSchema, noon)
	if err == nil || !strings.Contains(err.Error(), "change store.path") {
		t.Errorf("a directory as the file: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory was moved: %v", err)
	}
}

func overwrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() <= size {
		t.Fatalf("the file has %d bytes only", info.Size())
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func scribble(t *testing.T, path string, offset int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, fs.ModePerm)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, n), offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// coded is an error of SQLite's with its result code.
type coded int

func (c coded) Error() string { return "database disk image is malformed" }
func (c coded) Code() int     { return int(c) }

// A page that only a query meets raises the alarm, until the next start.
func TestReaderFindsDamage(t *testing.T) {
	db := open(t, path(t))
	defer db.Close()
	other := errors.New("interrupted")
	if got := db.Read(other); got != other || db.Healthy() != nil {
		t.Errorf("another error: %v, %v", got, db.Healthy())
	}
	got := db.Read(fmt.Errorf("query: %w", coded(11|1<<8)))
	if got == nil || !strings.Contains(got.Error(), "restart the daemon") {
		t.Errorf("no remedy: %v", got)
	}
	if err := db.Write(t.Context(), func(Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := db.Healthy(); err == nil || !strings.Contains(err.Error(), "found damaged") {
		t.Errorf("a write after it makes it healthy: %v", err)
	}
}

// What is read at first is read beside the check, and again from the empty file where
// that finds damage.
func TestOpenAndRead(t *testing.T) {
	count := func(seen *[]int) func(*DB) error {
		return func(db *DB) error {
			var n int
			err := db.Reader().QueryRow("select count(*) from notes").Scan(&n)
			*seen = append(*seen, n)
			return err
		}
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		want   int // rows at last
	}{
		"whole":       {func(*testing.T, string) {}, 100},
		"damaged":     {func(t *testing.T, p string) { scribble(t, p, 4096*20, 4096*40) }, 0},
		"too short":   {func(t *testing.T, p string) { truncate(t, p, 4096*10) }, 0},
		"no database": {func(t *testing.T, p string) { overwrite(t, p, []byte("once upon a time")) }, 0},
	} {
		p := filled(t)
		c.damage(t, p)
		var seen []int
		db, err := OpenAndRead(p, testSchema, noon, count(&seen))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(seen) == 0 || seen[len(seen)-1] != c.want {
			t.Errorf("%s: rows seen: %v, want %d at last", name, seen, c.want)
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A failure of the reader's own is its own: the file is left alone, and unlocked.
	p := filled(t)
	own := errors.New("a row that says nothing")
	if _, err := OpenAndRead(p, testSchema, noon, func(*DB) error { return own }); !errors.Is(err, own) || strings.Contains(err.Error(), "store") {
		t.Errorf("got %v", err)
	}
	if db := open(t, p); db.Damaged != "" {
		t.Errorf("moved aside to %s", db.Damaged)
	}
}

// The whole file is read ahead of the check, and closed with the store.
func TestFileIsReadAhead(t *testing.T) {
	p := filled(t)
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	db, err := OpenAndRead(p, testSchema, noon, func(db *DB) error {
		for at := int64(0); at < info.Size(); runtime.Gosched() {
			if at, err = db.file.Seek(0, io.SeekCurrent); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	file := db.file
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
}
