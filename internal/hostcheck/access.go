package hostcheck

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Identity is a user with its groups.
type Identity struct {
	Name   string
	UID    uint32
	Groups []uint32
}

// LookupUser finds a user of this host.
func LookupUser(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Name: name}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return Identity{}, err
	}
	id.UID = uint32(uid)
	groups, err := u.GroupIds()
	if err != nil {
		return Identity{}, err
	}
	for _, g := range append(groups, u.Gid) {
		gid, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return Identity{}, err
		}
		id.Groups = append(id.Groups, uint32(gid))
	}
	return id, nil
}

// Barrier is what keeps a user from a socket.
type Barrier struct {
	Path string
	Mode fs.FileMode
	Stat *syscall.Stat_t
	User string
}

func (b *Barrier) Error() string {
	verb := "write to"
	if b.Mode.IsDir() {
		verb = "enter"
	}
	return fmt.Sprintf("the user %s may not %s %s (%s %s)", b.User, verb, b.Path, b.Mode, owners(b.Stat))
}

// errUnseen is a path whose rights cannot be told from its mode.
var errUnseen = errors.New("it has an access control list")

// Reach walks a socket's path below base as a user: each directory must let it
// in, and the socket be writable. The error is a *Barrier, or why nobody can
// tell; fs.ErrNotExist if there is no socket.
func Reach(base, path string, who Identity) error {
	rel, err := filepath.Rel(base, path)
	if err != nil {
		return err
	}
	at := base
	steps := append([]string{"."}, strings.Split(rel, string(filepath.Separator))...)
	for i, step := range steps {
		at = filepath.Join(at, step)
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		want := fs.FileMode(1)
		if i == len(steps)-1 {
			want = 2
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || who.may(info.Mode(), stat, want) {
			continue
		}
		if size, err := syscall.Getxattr(at, "system.posix_acl_access", nil); err == nil && size > 0 {
			return fmt.Errorf("%s: %w", at, errUnseen)
		}
		return &Barrier{Path: at, Mode: info.Mode(), Stat: stat, User: who.Name}
	}
	return nil
}

// ReachFrom is Reach as Postfix goes: its daemons enter the queue directory as
// root, and a path below it from there.
func ReachFrom(queue, path string, who Identity) error {
	base := "/"
	if below(queue, path) {
		base = queue
	}
	return Reach(base, path, who)
}

// may follows the kernel: the first class that fits decides alone.
func (id Identity) may(mode fs.FileMode, stat *syscall.Stat_t, want fs.FileMode) bool {
	perm := mode.Perm()
	switch {
	case id.UID == 0:
		return true
	case stat.Uid == id.UID:
		return perm>>6&want == want
	case slices.Contains(id.Groups, stat.Gid):
		return perm>>3&want == want
	}
	return perm&want == want
}

// owners is user:group by name where the host knows them.
func owners(stat *syscall.Stat_t) string {
	uid, gid := fmt.Sprint(stat.Uid), fmt.Sprint(stat.Gid)
	if u, err := user.LookupId(uid); err == nil {
		uid = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		gid = g.Name
	}
	return uid + ":" + gid
}
