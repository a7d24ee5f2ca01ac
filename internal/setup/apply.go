package setup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrBlocked is a plan that must not be applied; its Blockers say why.
var ErrBlocked = errors.New("the plan has blockers")

// Apply writes a plan's files after it has saved the old ones, and asks verify
// whether the host is well with them; if not, it puts everything back. It
// returns the backup's directory, empty if there was nothing to change.
func Apply(p *Plan, b Backups, now time.Time, verify func() error) (backup string, err error) {
	if len(p.Blockers) > 0 {
		return "", ErrBlocked
	}
	if len(p.Changes) == 0 {
		return "", nil
	}
	unlock, err := b.lock()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	m, contents, err := inventory(p, now)
	if err != nil {
		return "", err
	}
	if backup, err = b.save(m, contents); err != nil {
		return "", fmt.Errorf("saving the old files in %s: %w: nothing was changed", b.Dir, err)
	}
	err = write(p, m)
	if err == nil {
		err = verify()
	}
	if err == nil {
		return backup, nil
	}
	if _, back := restore(backup); back != nil {
		return backup, fmt.Errorf("%w; and it could not be put back: %w", err, back)
	}
	if left, listing := b.generations(); listing == nil && len(left) == 0 {
		err = errors.Join(err, os.Remove(b.Dir))
	}
	return "", fmt.Errorf("%w; everything was put back", err)
}

// inventory looks once more at the files: what has changed since the plan was
// made must not be lost.
func inventory(p *Plan, now time.Time) (m manifest, contents map[string][]byte, err error) {
	m = manifest{Target: p.Target, Time: now.UTC()}
	contents = map[string][]byte{}
	for _, c := range p.Changes {
		data, o, there, err := read(c.Path)
		if err != nil {
			return m, nil, err
		}
		if there == c.New || there && string(data) != c.old {
			return m, nil, fmt.Errorf("%s has been changed in this moment: run setup again", c.Path)
		}
		if c.keep {
			continue
		}
		f := saved{Path: c.Path, After: checksum([]byte(c.text)), owner: o}
		if there {
			f.Before = checksum(data)
			contents[c.Path] = data
		}
		m.Files = append(m.Files, f)
	}
	return m, contents, nil
}

func write(p *Plan, m manifest) error {
	owners := map[string]owner{}
	for _, f := range m.Files {
		owners[f.Path] = f.owner
	}
	for _, c := range p.Changes {
		o := owners[c.Path]
		if c.New {
			o = owner{Mode: c.Mode, UID: c.uid, GID: c.gid}
		}
		if _, err := os.Stat(filepath.Dir(c.Path)); err != nil {
			return fmt.Errorf("writing %s: %w: make its directory first", c.Path, err)
		}
		if err := replace(c.Path, []byte(c.text), o); err != nil {
			return fmt.Errorf("writing %s: %w", c.Path, err)
		}
	}
	return nil
}
