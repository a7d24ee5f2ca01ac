package setup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/dovecot"
	"portreeve/internal/hostcheck/postfix"
	"portreeve/internal/listen"
)

// Host is this host, and what an administrator asked of setup.
type Host struct {
	ConfigPath    string
	PostfixDir    string // empty: Postfix's default
	DovecotConfig string // empty: Dovecot's default
	Recipe        Recipe
	OnlyExisting  bool
	Enforce       bool // connect Postfix although rules are enforced at once
	Run           postfix.Run
	Now           func() time.Time
}

// config reads portreeve.toml. The one problem that setup mends itself is a
// token file that is not there yet.
func (h *Host) config() (c *config.Config, newToken bool, err error) {
	c, problems := config.Load(h.ConfigPath)
	if c != nil && c.AuthPolicy.TokenFile != "" {
		if _, err := os.Stat(c.AuthPolicy.TokenFile); errors.Is(err, fs.ErrNotExist) {
			newToken = true
		}
	}
	for _, p := range problems {
		if !newToken || p.Key != "auth_policy.token_file" {
			return nil, false, fmt.Errorf("%s: run `portreeve check` for all of its problems", p)
		}
	}
	return c, newToken, nil
}

// PlanPostfix plans for this host's Postfix.
func (h *Host) PlanPostfix(ctx context.Context) (*Plan, *postfix.Config, error) {
	c, _, err := h.config()
	if err != nil {
		return nil, nil, err
	}
	return h.planPostfix(ctx, c)
}

func (h *Host) planPostfix(ctx context.Context, c *config.Config) (*Plan, *postfix.Config, error) {
	pc, err := postfix.Load(ctx, h.Run, h.PostfixDir)
	if err != nil {
		if postfix.NotFound(err) {
			return nil, nil, errors.New("there is no postconf on this host: run this where Postfix is")
		}
		return nil, nil, fmt.Errorf("reading Postfix's configuration: %w: mend it, or name its directory with --postfix-config-dir", err)
	}
	in := PostfixInput{Portreeve: c, Postfix: pc, Recipe: h.Recipe, OnlyExisting: h.OnlyExisting}
	for name, text := range map[string]*string{"main.cf": &in.Main, "master.cf": &in.Master} {
		data, _, there, err := read(filepath.Join(pc.Dir, name))
		if err == nil && !there {
			err = fmt.Errorf("%s does not exist: name Postfix's directory with --postfix-config-dir", filepath.Join(pc.Dir, name))
		}
		if err != nil {
			return nil, nil, err
		}
		*text = string(data)
	}
	in.Cyrus = cyrusMeant(pc, in.Main)
	p := PlanPostfix(in)
	if len(p.Changes) > 0 {
		h.ready(ctx, p, &in)
	}
	return p, pc, nil
}

// ready adds what must be so before Postfix may ask Portreeve: otherwise mail
// would be deferred, or refused to customers who were never looked at.
func (h *Host) ready(ctx context.Context, p *Plan, in *PostfixInput) {
	c, pc := in.Portreeve, in.Postfix
	probe := &hostcheck.Host{Config: c, Postfix: pc}
	places := map[string]listen.Address{"listen.policy": c.Listen.Policy, "listen.milter": c.Listen.Milter, "listen.sasl": c.Listen.SASL}
	for _, key := range []string{"listen.policy", "listen.milter", "listen.sasl"} {
		at := places[key]
		if at.Addr == "" {
			continue
		}
		if err := knock(at.Network, at.Addr); err != nil && !errors.Is(err, fs.ErrPermission) {
			p.block("nobody answers at %s = %q (%v), and Postfix would defer mail: start Portreeve first (systemctl start portreeve)", key, at, err)
		} else if barrier := barrierTo(at, pc); barrier != nil {
			p.block("%v, so Postfix could not ask at %s: chgrp postfix %s && chmod 0750 %s", barrier, key, barrier.Path, barrier.Path)
		}
	}
	if at, ok := authServer(c, pc, in.Cyrus); ok {
		if err := knock(at.Network, at.Addr); err != nil && !errors.Is(err, fs.ErrPermission) {
			p.block("nobody answers at %s (%v), and Postfix greets nobody on a port that offers AUTH without it: run `portreeve setup dovecot --apply --reload` first", at, err)
		} else if barrier := barrierTo(at, pc); barrier != nil {
			p.block("%v, and Postfix greets nobody on a port that offers AUTH if it cannot ask there: give Dovecot's unix_listener mode = 0660 and user = postfix, and reload Dovecot", barrier)
		}
	}
	mode := h.mode(ctx)
	if mode == "" {
		mode = string(c.Mode)
	}
	if mode == string(config.ModeEnforce) && !probe.Connected() && !h.Enforce {
		p.block(`Portreeve would refuse from the first message on: set mode = "observe" and run "portreeve reload" first, or give --enforce if that is meant`)
	}
}

// knock tells whether anybody answers.
func knock(network, addr string) error {
	c, err := net.DialTimeout(network, addr, 2*time.Second)
	if err != nil {
		return err
	}
	return c.Close()
}

// barrierTo is what keeps Postfix's user from a socket, if anything does.
func barrierTo(at listen.Address, pc *postfix.Config) *hostcheck.Barrier {
	who, err := hostcheck.LookupUser(pc.Main["mail_owner"])
	if err != nil || at.Network != "unix" {
		return nil
	}
	var barrier *hostcheck.Barrier
	if errors.As(hostcheck.ReachFrom(pc.Main["queue_directory"], at.Addr, who), &barrier) {
		return barrier
	}
	return nil
}

// PlanDovecot plans for this host's Dovecot.
func (h *Host) PlanDovecot(ctx context.Context) (*Plan, *dovecot.Config, error) {
	c, newToken, err := h.config()
	if err != nil {
		return nil, nil, err
	}
	dc, err := dovecot.Load(ctx, h.Run, h.DovecotConfig)
	if err != nil {
		if postfix.NotFound(err) {
			return nil, nil, errors.New("there is no Dovecot on this host: run this where it is")
		}
		remedy := "mend it first"
		if os.Geteuid() != 0 { // what only root may read, Dovecot misses
			remedy = "run this as root"
		}
		return nil, nil, fmt.Errorf("reading Dovecot's configuration: %w: %s", err, remedy)
	}
	data, _, there, err := read(dc.Path)
	if err == nil && !there {
		err = fmt.Errorf("%s does not exist: name Dovecot's file with --dovecot-config", dc.Path)
	}
	if err != nil {
		return nil, nil, err
	}
	in := DovecotInput{Portreeve: c, Dovecot: dc, Main: string(data), NewToken: newToken, Token: string(c.AuthPolicy.Token)}
	var failed error
	in.Read = func(path string) (string, bool) {
		data, _, there, err := read(path)
		failed = errors.Join(failed, err)
		return string(data), there
	}
	in.Nonce = random(16)
	in.User, in.UID, in.GID = daemonUser(c)
	if newToken {
		in.Token = random(24)
	}
	h.postfixSide(ctx, c, &in)
	p := PlanDovecot(in)
	if failed != nil {
		return nil, nil, failed
	}
	h.directories(p, c, &in)
	return p, dc, nil
}

// postfixSide finds the socket that Postfix asks Dovecot at.
func (h *Host) postfixSide(ctx context.Context, c *config.Config, in *DovecotInput) {
	pc, err := postfix.Load(ctx, h.Run, h.PostfixDir)
	if err != nil {
		return // no Postfix here, and so no socket for it
	}
	in.Queue = pc.Main["queue_directory"]
	data, _, _, err := read(filepath.Join(pc.Dir, "main.cf"))
	if err != nil {
		return // as if there were none: nobody but root may plan then
	}
	if at, ok := authServer(c, pc, cyrusMeant(pc, string(data))); ok && at.Network == "unix" {
		in.SASLPath = at.Addr
	}
}

// directories must be there before Dovecot is told to make a socket in them, or
// it does not start.
func (h *Host) directories(p *Plan, c *config.Config, in *DovecotInput) {
	if len(p.Changes) == 0 {
		return
	}
	if in.SASLPath != "" {
		dir := filepath.Dir(in.SASLPath)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			p.block("%s does not exist, and Dovecot could not make its socket in it: run `postfix check`, which makes it", dir)
		}
	}
	if token := c.AuthPolicy.TokenFile; in.NewToken && filepath.Dir(token) != filepath.Dir(c.Path) {
		p.block("auth_policy.token_file = %q does not exist and is not beside portreeve.toml: make it by hand, (umask 077; openssl rand -hex 24 > %s), for Portreeve's user", token, token)
	}
}

// daemonUser is who runs Portreeve: who owns its store's directory.
func daemonUser(c *config.Config) (name string, uid, gid int) {
	if info, err := os.Stat(filepath.Dir(c.Store.Path)); err == nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid != 0 {
			if u, err := user.LookupId(fmt.Sprint(s.Uid)); err == nil {
				return u.Username, int(s.Uid), int(s.Gid)
			}
			return fmt.Sprint(s.Uid), int(s.Uid), int(s.Gid)
		}
	}
	if u, err := user.Lookup("portreeve"); err == nil {
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return u.Username, uid, gid
		}
	}
	return "root", -1, -1
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// mode is the running daemon's, or empty if none answers.
func (h *Host) mode(ctx context.Context) string {
	c, _, err := h.config()
	if err != nil || c.Listen.Admin.Addr == "" {
		return ""
	}
	s, err := admin.NewClient(c.Listen.Admin.Network, c.Listen.Admin.Addr).Status(ctx)
	if err != nil {
		return ""
	}
	return s.Mode
}
