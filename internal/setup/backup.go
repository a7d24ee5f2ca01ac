package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Backups is a directory of them, one numbered directory for each apply, beside
// the configuration: /etc/postfix/portreeve-setup. It is not Portreeve's own
// directory, whose owner could then have root restore what it likes.
type Backups struct{ Dir string }

// ErrNothing is an undo without a backup.
var ErrNothing = errors.New("there is nothing to undo")

// manifest says what one apply changed.
type manifest struct {
	Target string    `json:"target"`
	Time   time.Time `json:"time"`
	Files  []saved   `json:"files"`
}

// saved is one file before and after. Before is empty if there was none.
type saved struct {
	Path   string `json:"path"`
	Before string `json:"before_sha256,omitempty"`
	After  string `json:"after_sha256"`
	Copy   string `json:"copy,omitempty"` // its name in the backup
	owner
}

const manifestName = "manifest.json"

// lock keeps two runs apart, and refuses a directory that others can write to.
func (b Backups) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Lstat(b.Dir)
	if err != nil {
		return nil, err
	}
	if o := ownerOf(info); !info.IsDir() || o.UID != os.Geteuid() || o.Mode&0o022 != 0 {
		return nil, fmt.Errorf("%s (%s) does not belong to you alone, so what is in it cannot be trusted: move it away", b.Dir, info.Mode())
	}
	d, err := os.Open(b.Dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another setup is at work in %s (%w): wait for it", b.Dir, err), d.Close())
	}
	return d.Close, nil
}

// generations lists the numbers of the backups, oldest first.
func (b Backups) generations() ([]int, error) {
	entries, err := os.ReadDir(b.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, err
}

func (b Backups) path(n int) string { return filepath.Join(b.Dir, fmt.Sprintf("%04d", n)) }

// save copies what is about to change; the copies are durable before it does.
func (b Backups) save(m manifest, contents map[string][]byte) (dir string, err error) {
	list, err := b.generations()
	if err != nil {
		return "", err
	}
	n := 1
	if len(list) > 0 {
		n = list[len(list)-1] + 1
	}
	dir = b.path(n)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	private := owner{Mode: 0o600, UID: -1, GID: -1}
	for i := range m.Files {
		f := &m.Files[i]
		if f.Before == "" {
			continue
		}
		f.Copy = fmt.Sprintf("%d-%s", i, filepath.Base(f.Path))
		if err := replace(filepath.Join(dir, f.Copy), contents[f.Path], private); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = replace(filepath.Join(dir, manifestName), append(data, '\n'), private)
	}
	if err == nil {
		err = syncDir(b.Dir)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

func load(dir string) (m manifest, err error) {
	data, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		return m, fmt.Errorf("reading the backup %s: %w: put the files back by hand from the copies in it", dir, err)
	}
	return m, nil
}

// restore puts the files of a backup back and forgets it. Each must be as the
// apply left it, or, if that was interrupted, as it was before; else nothing is
// touched.
func restore(dir string) (restored []string, err error) {
	m, err := load(dir)
	if err != nil {
		return nil, err
	}
	todo := make([]bool, len(m.Files))
	for i, f := range m.Files {
		data, _, there, err := read(f.Path)
		if err != nil {
			return nil, err
		}
		now := ""
		if there {
			now = checksum(data)
		}
		switch now {
		case f.After:
			todo[i] = true
		case f.Before:
		default:
			return nil, &ChangedError{Path: f.Path, Backup: dir}
		}
	}
	for i, f := range m.Files {
		if !todo[i] {
			continue
		}
		if f.Before == "" {
			err = remove(f.Path)
		} else {
			err = putBack(dir, f)
		}
		if err != nil {
			return restored, fmt.Errorf("putting %s back: %w: run undo again when that is mended", f.Path, err)
		}
		restored = append(restored, f.Path)
	}
	if err := os.RemoveAll(dir); err != nil {
		return restored, err
	}
	return restored, nil
}

func putBack(dir string, f saved) error {
	data, err := os.ReadFile(filepath.Join(dir, f.Copy))
	if err != nil {
		return err
	}
	if checksum(data) != f.Before {
		return fmt.Errorf("its copy in %s is damaged", dir)
	}
	return replace(f.Path, data, f.owner)
}

// ChangedError is a file that somebody has edited since the apply.
type ChangedError struct{ Path, Backup string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s has been changed since setup wrote it, so nothing was put back: the file of before is in %s", e.Path, e.Backup)
}

// Undo puts the latest backup back. It is ErrNothing without one.
func (b Backups) Undo() (restored []string, err error) {
	list, err := b.generations()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNothing
	}
	unlock, err := b.lock()
	if err != nil {
		return nil, err
	}
	restored, err = restore(b.path(list[len(list)-1]))
	if err == nil && len(list) == 1 {
		err = os.Remove(b.Dir) // empty, and so no trace is left
	}
	return restored, errors.Join(err, unlock())
}
