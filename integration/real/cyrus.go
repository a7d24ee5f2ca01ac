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
	"syscall"
)

// smtpdConf is Cyrus SASL's smtpd.conf, by recipe, with the mechanisms that each
// can serve. The services of contrib/postfix run in a chroot, so what Cyrus SASL
// opens by its default path (/etc/sasldb2, /var/run/saslauthd/mux) stands in the
// queue directory.
var smtpdConf = map[string]string{
	RecipeSASLDB:    "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5\n",
	RecipeSASLAuthd: "pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n",
}

// cyrusConfig is where Postfix looks for smtpd.conf; Debian's is /etc/postfix/sasl.
func (i *Instance) cyrusConfig() string { return filepath.Join(i.PostfixConfig(), "sasl") }

// SASLDB is the passwords of the recipe sasldb.
func (i *Instance) SASLDB() string { return filepath.Join(i.queue(), "etc", "sasldb2") }

// startCyrus makes Cyrus SASL ready, where the recipe uses it.
func (i *Instance) startCyrus(ctx context.Context) error {
	conf, ok := smtpdConf[i.Recipe]
	if !ok {
		return nil
	}
	err := errors.Join(
		os.MkdirAll(i.cyrusConfig(), 0o755),
		os.WriteFile(filepath.Join(i.cyrusConfig(), "smtpd.conf"), []byte(conf), 0o644),
	)
	if err != nil {
		return err
	}
	if i.Recipe == RecipeSASLDB {
		return i.fillSASLDB(ctx)
	}
	return i.StartSASLAuthd(ctx)
}

// fillSASLDB enters Dovecot's users. Postfix may read the file.
func (i *Instance) fillSASLDB(ctx context.Context) error {
	users, err := os.ReadFile(i.Users)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(i.SASLDB()), 0o755); err != nil {
		return err
	}
	for line := range strings.Lines(string(users)) {
		login, rest, ok := strings.Cut(line, ":{PLAIN}")
		if !ok {
			continue // a comment
		}
		password, _, _ := strings.Cut(rest, ":")
		local, realm, whole := strings.Cut(login, "@")
		if !whole {
			realm = hostname // as Postfix has it, with smtpd_sasl_local_domain empty
		}
		cmd := exec.CommandContext(ctx, "saslpasswd2", "-p", "-c", "-f", i.SASLDB(), "-u", realm, local)
		cmd.Stdin = strings.NewReader(password)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("saslpasswd2 for %s: %w: %s; install sasl2-bin and libsasl2-modules", login, err, out)
		}
	}
	_, gid, err := ids("postfix", "postfix")
	return errors.Join(err, os.Chown(i.SASLDB(), 0, gid), os.Chmod(i.SASLDB(), 0o640))
}

// StartSASLAuthd starts saslauthd with Debian's options, and returns when it
// answers. It asks Dovecot by IMAP (rimap), which has the passwords already; -r
// gives it the whole address.
func (i *Instance) StartSASLAuthd(ctx context.Context) error {
	dir := filepath.Join(i.queue(), "var", "run", "saslauthd")
	if err := directory(dir, 0o710, "root", "postfix"); err != nil {
		return err
	}
	cmd := exec.Command("saslauthd", "-d", "-c", "-r", "-a", "rimap", "-O", i.dialable().String(), "-n", "5", "-m", dir)
	// It and its children, which are ended together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if i.saslauthd, err = run(filepath.Join(i.Dir, "saslauthd.log"), cmd); err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", filepath.Join(dir, "mux"))
		if err != nil {
			return errors.Join(err, i.saslauthd.running())
		}
		return c.Close()
	})
}

// StopSASLAuthd ends saslauthd, if there is one, beneath a running Postfix. It is
// not asked: now and then it hangs when it is (2.1.28 with -d).
func (i *Instance) StopSASLAuthd() error {
	if i.saslauthd == nil {
		return nil
	}
	if err := syscall.Kill(-i.saslauthd.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending saslauthd: %w", err)
	}
	<-i.saslauthd.done
	return nil
}
