package hostcheck

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/internal/listen"
)

// socketIn makes a socket below a directory of the mode, which belongs to who
// runs the test, and returns that owner as another user would see it.
func socketIn(t *testing.T, dirMode, mode fs.FileMode) (queue, path string, owner Identity) {
	t.Helper()
	queue, err := os.MkdirTemp("", "pr") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(queue); err != nil {
			t.Error(err)
		}
	})
	path = filepath.Join(queue, "portreeve", "milter.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() }) //nolint:errcheck // nothing was written
	if err := errors.Join(os.Chmod(path, mode), os.Chmod(filepath.Dir(path), dirMode), os.Chmod(queue, 0o755)); err != nil {
		t.Fatal(err)
	}
	return queue, path, Identity{Name: "owner", UID: uint32(os.Getuid()), Groups: []uint32{uint32(os.Getgid())}}
}

func TestReach(t *testing.T) {
	for _, tt := range []struct {
		dir, socket fs.FileMode
		who         string
		want        string // what keeps the user out
	}{
		{0o750, 0o666, "group", ""},
		{0o750, 0o666, "other", "enter DIR"},
		{0o755, 0o666, "other", ""},
		{0o700, 0o666, "group", "enter DIR"},
		{0o750, 0o600, "group", "write to SOCKET"},
		{0o755, 0o644, "other", "write to SOCKET"},
		{0o750, 0o660, "group", ""},
		{0o000, 0o000, "root", ""},
		{0o705, 0o666, "group", "enter DIR"}, // the group's bits decide alone
	} {
		queue, path, owner := socketIn(t, tt.dir, tt.socket)
		who := map[string]Identity{
			"group": {Name: "postfix", UID: 4242, Groups: []uint32{4242, owner.Groups[0]}},
			"other": {Name: "postfix", UID: 4242, Groups: []uint32{4242}},
			"root":  {Name: "root"},
		}[tt.who]
		err := ReachFrom(queue, path, who)
		var barrier *Barrier
		switch want := strings.NewReplacer("DIR", filepath.Dir(path), "SOCKET", path).Replace(tt.want); {
		case tt.want == "":
			if err != nil {
				t.Errorf("%v %v %s: %v", tt.dir, tt.socket, tt.who, err)
			}
		case !errors.As(err, &barrier) || !strings.Contains(err.Error(), "the user postfix may not "+want+" ("):
			t.Errorf("%v %v %s: %v, want %s", tt.dir, tt.socket, tt.who, err, want)
		}
	}
	queue, path, owner := socketIn(t, 0o755, 0o666)
	if err := ReachFrom(queue, path+"x", owner); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	// From another directory the way leads through all of its parents.
	if err := ReachFrom("/var/spool/postfix", path, Identity{Name: "postfix", UID: 4242}); err != nil {
		t.Errorf("outside the queue: %v", err)
	}
}

func TestReachIsChecked(t *testing.T) {
	for _, tt := range []struct {
		dir, socket fs.FileMode
		want        string
	}{
		{0o700, 0o666, "chgrp postfix "},
		{0o755, 0o600, "restart Portreeve, which makes its sockets 0666"},
	} {
		queue, path, _ := socketIn(t, tt.dir, tt.socket)
		w := hostOf(t, "trixie-milter")
		w.set("queue_directory", queue)
		w.Config.Listen.Milter.Addr = path
		w.Who = func(string) (Identity, error) { return Identity{Name: "postfix", UID: 4242}, nil }
		if list := w.found("sockets"); len(list) != 1 || !strings.Contains(list[0], tt.want) {
			t.Errorf("found %q, want %q", list, tt.want)
		}
	}
}

// Postfix asks Dovecot, too.
func TestAuthSocketIsReached(t *testing.T) {
	queue, path, _ := socketIn(t, 0o755, 0o600)
	if err := os.Rename(path, filepath.Join(queue, "auth")); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(queue, "auth")
	w := hostOf(t, "trixie-milter")
	w.set("queue_directory", queue)
	w.Config.Listen.Milter, w.Config.Listen.Policy = listen.Address{}, listen.Address{}
	w.set("smtpd_sasl_path", path)
	w.Dovecot = nil
	for _, s := range w.Postfix.Services {
		s.Chroot = "n"
	}
	w.Who = func(string) (Identity, error) { return Identity{Name: "postfix", UID: 4242}, nil }
	const want = "so Postfix cannot ask at Dovecot's auth socket, and greets nobody: give that unix_listener mode = 0660 and user = postfix"
	if list := w.found("sockets"); len(list) != 1 || !strings.Contains(list[0], want) {
		t.Errorf("found %q, want %q", list, want)
	}
}

func TestLookupUser(t *testing.T) {
	if id, err := LookupUser("root"); err != nil || id.UID != 0 || len(id.Groups) == 0 {
		t.Errorf("root is %+v, %v", id, err)
	}
	if _, err := LookupUser("no-such-user-here"); err == nil {
		t.Error("a user that nobody knows is found")
	}
}

func TestSameAddress(t *testing.T) {
	for _, tt := range []struct {
		network, addr, listener string
		want                    bool
	}{
		{"tcp", "127.0.0.1:9192", "inet:127.0.0.1:9192", true},
		{"tcp", "localhost:9192", "inet:127.0.0.1:9192", true},
		{"tcp", "127.0.0.1:9192", "inet:0.0.0.0:9192", true},
		{"tcp", "127.0.0.1:9192", "inet::9192", true},
		{"tcp", "[::1]:9192", "inet:[::1]:9192", true},
		{"tcp", "[::ffff:127.0.0.1]:9192", "inet:127.0.0.1:9192", true},
		{"tcp", "127.0.0.1:9193", "inet:127.0.0.1:9192", false},
		{"tcp", "192.0.2.1:9192", "inet:127.0.0.1:9192", false},
		{"tcp", "nonsense", "inet:127.0.0.1:9192", false},
		{"unix", "/a/../b", "unix:/b", true},
		{"unix", "/b", "inet:127.0.0.1:9192", false},
	} {
		l, err := listen.Parse(tt.listener)
		if err != nil {
			t.Fatal(err)
		}
		if got := SameAddress(tt.network, tt.addr, l); got != tt.want {
			t.Errorf("%s %s at %s: %v", tt.network, tt.addr, l, got)
		}
	}
	if SameAddress("tcp", "", listen.Address{}) || SameAddress("unix", "", listen.Address{}) {
		t.Error("a listener that is off is reached")
	}
}

func TestNetworks(t *testing.T) {
	got, others := Networks([]string{"127.0.0.0/8", "[::1]/128", "[::ffff:10.0.0.0]/104", "192.0.2.7", "[2001:db8::1]", "!192.0.2.9", "hash:/x", "/etc/networks"})
	want := networks("127.0.0.0/8", "::1/128", "10.0.0.0/8", "192.0.2.7/32", "2001:db8::1/128")
	if len(got) != len(want) || len(others) != 3 {
		t.Fatalf("got %v and %q", got, others)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
	if list := missing(want, networks("0.0.0.0/0")); strings.Join(list, " ") != "::1/128 2001:db8::1/128" {
		t.Errorf("missing %q", list)
	}
	if list := missing(want, []netip.Prefix{}); len(list) != len(want) {
		t.Errorf("missing %q", list)
	}
}
