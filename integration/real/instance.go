package real

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// Recipes are the ways in which Portreeve is connected to Postfix.
const (
	RecipeMilter = "milter" // contrib/postfix: milter and policy service
	RecipePolicy = "policy" // contrib/postfix/policy-only
	RecipeSASL   = "sasl"   // as milter, with smtpd_sasl_path at Portreeve's SASL relay

	// As milter, on hosts whose SMTP passwords are Cyrus SASL's.
	RecipeSASLDB    = "sasldb"    // in a sasldb
	RecipeSASLAuthd = "saslauthd" // behind a saslauthd

	RecipeSyslog = "syslog" // as milter, where Postfix logs to syslog, and that is journald
)

var recipes = []string{RecipeMilter, RecipePolicy, RecipeSASL, RecipeSASLDB, RecipeSASLAuthd, RecipeSyslog}

// Options describe one mail host.
type Options struct {
	Dir     string     // where all of it lives; other users must be able to enter it
	Contrib string     // the project's contrib directory
	Users   string     // Dovecot's passwd-file
	Addr    netip.Addr // where its ports are opened; 0.0.0.0 is every address
	Recipe  string     // one of the recipes above
	Token   string     // what Dovecot's auth policy sends as X-Api-Key
	Peers   string     // Postfix's mynetworks
}

// Instance is one running mail host: Postfix and Dovecot, without Portreeve.
type Instance struct {
	Options
	master, dovecot *process
	saslauthd       *process // nil, but with its recipe
	journald        *process // nil, but with the recipe syslog where the machine runs none
	ready           bool     // every port has answered
}

// Start starts Postfix and Dovecot; Ready tells when they answer. What it could
// not finish is stopped again.
func Start(ctx context.Context, o Options) (*Instance, error) {
	i := &Instance{Options: o}
	if os.Geteuid() != 0 {
		return nil, errors.New("starting a mail host needs root; run integration/run.sh, which gives it a container")
	}
	for _, step := range []struct {
		doing string
		do    func(context.Context) error
	}{
		{"making a certificate", i.certificate},
		{"writing Postfix's files", i.postfixFiles},
		{"starting Dovecot", i.startDovecot},
		{"starting Cyrus SASL", i.startCyrus},
		{"finding journald", i.findJournald},
		{"starting Postfix", i.startPostfix},
	} {
		if err := step.do(ctx); err != nil {
			err = fmt.Errorf("%s on %s: %w", step.doing, o.Addr, err)
			return nil, errors.Join(err, i.Stop())
		}
	}
	return i, nil
}

// Stop ends the programs, and waits until they have gone.
func (i *Instance) Stop() error {
	return errors.Join(i.master.stop(), i.StopSASLAuthd(), i.dovecot.stop(), i.stopJournald())
}

// Port is the address of one of the host's ports.
func (i *Instance) Port(port int) string {
	return net.JoinHostPort(i.dialable().String(), strconv.Itoa(port))
}

// dialable is where the host's ports are reached from this machine.
func (i *Instance) dialable() netip.Addr {
	if i.Addr.IsUnspecified() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return i.Addr
}

// PolicyAddr is Portreeve's listen.auth for this host: where its Dovecot asks.
func (i *Instance) PolicyAddr() string { return net.JoinHostPort(i.dialable().String(), "9192") }

// WebAddr is Portreeve's listen.web for this host.
func (i *Instance) WebAddr() string { return net.JoinHostPort(i.dialable().String(), "9193") }

// SocketDir is where Postfix looks for Portreeve's sockets.
func (i *Instance) SocketDir() string { return filepath.Join(i.queue(), "portreeve") }

// SASLUpstream is Dovecot's auth-client socket.
func (i *Instance) SASLUpstream() string { return filepath.Join(i.queue(), "private", "auth") }

// MailLog is Postfix's log.
func (i *Instance) MailLog() string { return filepath.Join(i.Dir, "mail.log") }

// DovecotLog is Dovecot's log.
func (i *Instance) DovecotLog() string { return filepath.Join(i.Dir, "dovecot.log") }

func (i *Instance) queue() string { return filepath.Join(i.Dir, "queue") }

// ports are the host's ports; speaks tells whether the server speaks first.
var ports = []struct {
	port   int
	speaks bool
}{{25, true}, {587, true}, {465, false}, {110, true}, {143, true}, {995, false}, {993, false}}

// Ready asks every port until it answers. Portreeve must run by then: with the
// SASL relay, Postfix greets nobody without it ("no SASL authentication
// mechanisms", Postfix 3.7 and 3.10).
func (i *Instance) Ready(ctx context.Context) error {
	if i.ready {
		return nil
	}
	for _, p := range ports {
		err := until(ctx, func(ctx context.Context) error {
			if err := errors.Join(i.master.running(), i.dovecot.running()); err != nil {
				return err
			}
			return greeting(ctx, i.Port(p.port), p.speaks)
		})
		if err != nil {
			return fmt.Errorf("port %d does not answer: %w; see the logs in %s", p.port, err, i.Dir)
		}
	}
	i.ready = true
	return nil
}

func greeting(ctx context.Context, addr string, speaks bool) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing was written
	if !speaks {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}
