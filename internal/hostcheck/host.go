package hostcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portreeve/directory"
	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/hostcheck/postfix"
)

// None as a configuration's place says that the program is not on this host.
const None = "none"

// Host is what the checks look at. What is nil is not there.
type Host struct {
	Config    *config.Config
	Directory directory.Directory
	Postfix   *postfix.Config
	Dovecot   *dovecot.Config
	Status    *admin.Status
	Now       time.Time
	Root      bool // whether this runs as root, and sees every file

	Run    postfix.Run
	Dial   func(network, addr string) error                  // whether anybody answers
	Who    func(user string) (Identity, error)               // a user of this host
	Synced func() (known, synchronised bool)                 // the kernel's clock
	Stat   func(path string) (modified time.Time, err error) // of files that settings name

	notLooked []string // what could not be asked, with the reason
	failed    []string // what failed though it should not have
}

// Options say where to look.
type Options struct {
	PostfixDir    string // config_directory; empty: Postfix's default; None: not here
	DovecotConfig string // dovecot.conf; likewise
	Run           postfix.Run
	Now           time.Time
}

// Look asks the programs of this host. What cannot be asked is noted, and not
// held against anybody.
func Look(ctx context.Context, c *config.Config, d directory.Directory, o Options) *Host {
	h := &Host{
		Config: c, Directory: d, Now: o.Now, Root: os.Geteuid() == 0, Run: o.Run, Dial: dial, Who: LookupUser, Synced: kernelClock, Stat: modified,
	}
	if o.PostfixDir != None {
		p, err := postfix.Load(ctx, o.Run, o.PostfixDir)
		h.looked("Postfix", err, true, "run `postconf -n` by hand and mend what it says")
		if err == nil {
			h.Postfix = p
		}
	}
	if o.DovecotConfig != None {
		v, err := dovecot.Load(ctx, o.Run, o.DovecotConfig)
		h.looked("Dovecot", err, h.Root, "run `doveconf -n` by hand, as root, and mend what it says")
		if err == nil {
			h.Dovecot = v
		}
	}
	if c.Listen.Admin.Addr != "" {
		s, err := admin.NewClient(c.Listen.Admin.Network, c.Listen.Admin.Addr).Status(ctx)
		if err == nil {
			h.Status = &s
		} else {
			h.notLooked = append(h.notLooked, "the running daemon ("+err.Error()+")")
		}
	}
	return h
}

// looked notes a program that could not be asked: a problem if it should have
// answered whoever asks.
func (h *Host) looked(program string, err error, should bool, remedy string) {
	switch {
	case err == nil:
	case postfix.NotFound(err):
		h.notLooked = append(h.notLooked, program+" (there is none on this host)")
	case should:
		h.failed = append(h.failed, fmt.Sprintf("this host's %s could not be asked for its configuration (%v): %s", program, err, remedy))
	default:
		h.notLooked = append(h.notLooked, fmt.Sprintf("%s (%v): %s", program, err, remedy))
	}
}

// Check runs every check.
func (h *Host) Check() *Report {
	r := &Report{NotChecked: slices.Clone(h.notLooked)}
	for _, c := range Checks() {
		r.check = c.Name
		c.run(h, r)
	}
	return r
}

// mainCF, masterCF and dovecotConf are the files that findings are about.
func (h *Host) mainCF() string   { return filepath.Join(h.Postfix.Dir, "main.cf") }
func (h *Host) masterCF() string { return filepath.Join(h.Postfix.Dir, "master.cf") }

// guarded lists the services whose port is in one of the lists.
func (h *Host) guarded() []*postfix.Service {
	if h.Postfix == nil {
		return nil
	}
	var list []*postfix.Service
	for _, s := range h.Postfix.Services {
		if mixed, listed := Kind(h.Config, s); mixed || listed {
			list = append(list, s)
		}
	}
	return list
}

// Kind tells what is asked of clients on a service's port.
func Kind(c *config.Config, s *postfix.Service) (mixed, listed bool) {
	mixed = slices.Contains(c.Ports.Mixed, s.Port)
	return mixed, mixed || slices.Contains(c.Ports.Submission, s.Port)
}

// dial tells whether somebody accepts connections.
func dial(network, addr string) error {
	c, err := net.DialTimeout(network, addr, 2*time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

func modified(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// denied tells whether only our own rights are in the way.
func denied(err error) bool { return errors.Is(err, fs.ErrPermission) }
