package real

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
)

// directory makes a directory that belongs to a user and a group. The mode is
// set apart from making it, since MkdirAll obeys the umask.
func directory(path string, mode fs.FileMode, owner, group string) error {
	uid, gid, err := ids(owner, group)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode), os.Chown(path, uid, gid))
}

func ids(owner, group string) (uid, gid int, err error) {
	u, err := user.Lookup(owner)
	if err != nil {
		return 0, 0, fmt.Errorf("%w; install Debian's Postfix and Dovecot", err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, fmt.Errorf("%w; install Debian's Postfix and Dovecot", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(g.Gid)
	return uid, gid, errors.Join(err1, err2)
}

// log reads a log from an offset on, or the whole of one that is shorter, since it
// was rotated; a log that is not there yet is empty.
func log(path string, from int64) string {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	} else if err != nil {
		return err.Error() // it is read to be shown, in a test that has failed already
	}
	if from > int64(len(data)) {
		from = 0
	}
	return string(data[from:])
}

// size is where a log ends now.
func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // not there yet
	}
	return info.Size()
}
