package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// slowAfter is how long one commit may take before it is an alarm: from then on
// nobody waits for it any more (gate.recordWithin).
const slowAfter = time.Second

// works runs one step of the writer's, of which Healthy knows how long it takes.
func (db *DB) works(step func()) {
	began := time.Now()
	db.busy.Store(&began)
	defer db.busy.Store(nil)
	step()
}

// slow returns nil, or since when the writer is at one commit or sync: the disk
// does not answer.
func (db *DB) slow() error {
	began := db.busy.Load()
	if began == nil || time.Since(*began) < slowAfter {
		return nil
	}
	return fmt.Errorf("the store has not been writable since %s: one write takes that long: see whether its disk is slow or hangs",
		began.UTC().Format(time.RFC3339))
}

// damagedSuffix stands between the file's name and the time at which it was
// moved aside.
const damagedSuffix = ".damaged-"

// SetAside lists the damaged files that lie beside the store, the oldest first:
// somebody should look at them, and then remove them. It outlives restarts.
func (db *DB) SetAside() ([]string, error) {
	dir, name := filepath.Split(db.path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for damaged stores: %w: correct the directory's rights", err)
	}
	var found []string
	for _, e := range entries {
		after, ok := strings.CutPrefix(e.Name(), name+damagedSuffix)
		if ok && !strings.HasSuffix(after, "-wal") && !strings.HasSuffix(after, "-shm") {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(found)
	return found, nil
}
