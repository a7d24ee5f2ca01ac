package store

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// A commit or a sync that does not return, as on a disk that hangs, is an alarm
// while it lasts. It is injected as a write that takes that long: there is one
// writer, and whoever waits cannot tell the two apart.
func TestSlowDisk(t *testing.T) {
	db := open(t, path(t))
	release := hold(t, db)
	defer release()
	if err := db.Healthy(); err != nil {
		t.Errorf("at once: %v", err)
	}
	waitFor(t, "the alarm", func() bool { return db.Healthy() != nil })
	err := db.Healthy()
	if err == nil || !strings.Contains(err.Error(), "one write takes that long: see whether its disk is slow or hangs") {
		t.Errorf("got %v", err)
	}
	release()
	waitFor(t, "the end of the alarm", func() bool { return db.Healthy() == nil })
}

// Every damaged file is shown until somebody removes it, over restarts, without
// the files that belong to it.
func TestSetAsideAreListed(t *testing.T) {
	p := path(t)
	list := func() []string {
		t.Helper()
		db, err := Open(p, testSchema, noon)
		if err != nil {
			t.Fatal(err)
		}
		found, err := db.SetAside()
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := list(); got != nil {
		t.Errorf("beside a healthy store: %q", got)
	}
	first, second := p+".damaged-20261122T120000Z", p+".damaged-20261122T120000Z-2"
	for _, want := range [][]string{{first}, {first, second}} {
		overwrite(t, p, []byte("garbage"))
		overwrite(t, p+"-wal", []byte("garbage"))
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if got := list(); !slices.Equal(got, []string{second}) {
		t.Errorf("after one was removed: %q", got)
	}
}
