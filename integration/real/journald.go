package real

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Where syslog(3) and systemd's own programs expect journald.
const (
	devLog        = "/dev/log"
	journalSocket = "/run/systemd/journal/dev-log"
)

// ourJournald is the one that was started here: there is one for all instances,
// whichever found none.
var ourJournald struct {
	sync.Mutex
	running bool
}

// findJournald sees that Postfix's syslog reaches a systemd-journald. A machine
// that systemd runs has one; in a container one is started, which needs nothing
// of systemd but its directories.
func (i *Instance) findJournald(ctx context.Context) error {
	if i.Recipe != RecipeSyslog {
		return nil
	}
	ourJournald.Lock()
	defer ourJournald.Unlock()
	if answers(ctx) == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(journalSocket), 0o755); err != nil {
		return err
	}
	var err error
	if i.journald, err = spawn(filepath.Join(i.Dir, "journald.log"), "/usr/lib/systemd/systemd-journald"); err != nil {
		return fmt.Errorf("%w; install systemd", err)
	}
	// Where systemd runs, it makes this link (systemd-journald-dev-log.socket).
	if err := link(journalSocket, devLog); err != nil {
		return err
	}
	ourJournald.running = true
	return until(ctx, func(ctx context.Context) error {
		return errors.Join(answers(ctx), i.journald.running())
	})
}

// stopJournald ends the journald of this instance, if it has one.
func (i *Instance) stopJournald() error {
	if i.journald == nil {
		return nil
	}
	return errors.Join(i.journald.stop(), os.Remove(devLog))
}

// answers is nil when what is logged by syslog(3) reaches journald.
func answers(ctx context.Context) error {
	target, err := filepath.EvalSymlinks(devLog)
	if err != nil {
		return err
	}
	if target != journalSocket {
		return fmt.Errorf("%s is %s, not journald's; stop the other log daemon", devLog, target)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixgram", target)
	if err != nil {
		return err
	}
	return c.Close()
}

// OwnsJournal tells whether journald was started for the tests, so that they may
// throw away what it has.
func OwnsJournal() bool {
	ourJournald.Lock()
	defer ourJournald.Unlock()
	return ourJournald.running
}

// Journalctl runs journalctl.
func (i *Instance) Journalctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "journalctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("journalctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
