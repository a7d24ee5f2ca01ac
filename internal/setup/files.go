package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// owner is who a file belongs to, and what others may do with it.
type owner struct {
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
}

func ownerOf(info fs.FileInfo) owner {
	o := owner{Mode: info.Mode().Perm(), UID: -1, GID: -1}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		o.UID, o.GID = int(s.Uid), int(s.Gid)
	}
	return o
}

// read returns a file's content and owner; a file that is not there is no
// error. Configuration is small: a mistaken path must not fill the memory.
func read(path string) (data []byte, o owner, there bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, owner{}, false, nil
	case err != nil:
		return nil, owner{}, false, err
	case !info.Mode().IsRegular():
		return nil, owner{}, false, fmt.Errorf("%s is no regular file: correct the path", path)
	case info.Size() > 16<<20:
		return nil, owner{}, false, fmt.Errorf("%s is larger than 16 MiB: correct the path", path)
	}
	data, err = os.ReadFile(path)
	return data, ownerOf(info), err == nil, err
}

// replace writes a file as a whole: whoever reads it sees the old one or the
// new one. A symbolic link stays, and what it points to is replaced.
func replace(path string, data []byte, o owner) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".portreeve-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err == nil && (o.UID >= 0 || o.GID >= 0) {
		err = f.Chown(o.UID, o.GID)
	}
	if err == nil {
		err = f.Chmod(o.Mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes names durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove takes a file away for good.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
