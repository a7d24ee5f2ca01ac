package real

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// base is a small dovecot.conf around the fragment of contrib/dovecot. What
// stands behind the !include are the test's overrides: stories log in over POP3
// in clear text, as customers once did, and do not pay 2 s for each wrong
// password. 2.3 makes half a second of 0; 2.4 does not wait at all then, and once
// in a hundred times answers before its report is there. By version, since 2.4
// renamed most settings.
var base = map[string]string{
	"2.3": `
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/dovecot.log
listen = {listen}
protocols = imap pop3
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/cert.pem
passdb {
  driver = passwd-file
  args = {users}
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home={dir}/mail/%u
}
first_valid_gid = 1
mail_location = maildir:~
!include {dir}/dovecot/portreeve.conf
disable_plaintext_auth = no
auth_failure_delay = 0
`,
	"2.4": `
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/dovecot.log
listen = {listen}
protocols {
  imap = yes
  pop3 = yes
}
ssl_server_cert_file = {dir}/cert.pem
ssl_server_key_file = {dir}/cert.pem
passdb passwd-file {
  passwd_file_path = {users}
}
userdb static {
  fields {
    uid = nobody
    gid = nogroup
    home = {dir}/mail/%{user}
  }
}
first_valid_gid = 1
mail_driver = maildir
mail_path = ~
!include {dir}/dovecot/portreeve.conf
auth_allow_cleartext = yes
auth_failure_delay = 1s
`,
}

// overrides is common to both versions.
const overrides = `
auth_policy_server_url = {policy}
service auth {
  # The fragment's socket is the machine's own Postfix's.
  unix_listener /var/spool/postfix/private/auth {
    mode = 0
  }
  unix_listener {queue}/private/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
`

// startDovecot writes the configuration and starts Dovecot as our child.
func (i *Instance) startDovecot(ctx context.Context) error {
	version, err := dovecotVersion(ctx)
	if err != nil {
		return err
	}
	fragment, err := os.ReadFile(filepath.Join(i.Contrib, "dovecot", "portreeve-"+version+".conf"))
	if err != nil {
		return err
	}
	listen := i.Addr.String()
	conf := strings.NewReplacer("{dir}", i.Dir, "{listen}", listen, "{users}", i.Users,
		"{policy}", i.policyURL(), "{queue}", i.queue()).Replace(base[version] + overrides)
	dir := filepath.Join(i.Dir, "dovecot")
	token := "auth_policy_server_api_header = X-Api-Key: " + i.Token + "\nauth_policy_hash_nonce = of-the-tests\n"
	err = errors.Join(
		os.MkdirAll(dir, 0o755),
		directory(filepath.Join(i.Dir, "mail"), 0o700, "nobody", "nogroup"), // as userdb says
		os.WriteFile(filepath.Join(dir, "portreeve.conf"), fragment, 0o644),
		os.WriteFile(filepath.Join(dir, "portreeve-token.conf.ext"), []byte(token), 0o600),
		os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(conf), 0o644),
	)
	if err != nil {
		return err
	}
	i.dovecot, err = spawn(i.DovecotLog(), "dovecot", "-F", "-c", filepath.Join(dir, "dovecot.conf"))
	return err
}

// policyURL is where Dovecot asks. Recipes whose only witness is the log have no
// listen.auth, and a Dovecot that meets nobody there delays its logins.
func (i *Instance) policyURL() string {
	switch i.Recipe {
	case RecipeSASLDB, RecipeSASLAuthd, RecipeSyslog:
		return ""
	}
	return "http://" + i.PolicyAddr() + "/"
}

// StopDovecot ends Dovecot beneath a running Postfix. Its auth process would go
// on for those who are connected (FACTS.md 2.8), so that is ended as well, by the
// process id that it tells.
func (i *Instance) StopDovecot() error {
	c, err := net.Dial("unix", i.SASLUpstream())
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // nothing was written
	if _, err := io.WriteString(c, "VERSION\t1\t1\nCPID\t1\n"); err != nil {
		return err
	}
	auth := 0
	for lines := bufio.NewScanner(c); auth == 0; {
		if !lines.Scan() {
			return fmt.Errorf("dovecot's auth process does not tell its id: %w", lines.Err())
		}
		if id, ok := strings.CutPrefix(lines.Text(), "SPID\t"); ok {
			if auth, err = strconv.Atoi(id); err != nil {
				return err
			}
		}
	}
	err = i.dovecot.stop()
	if kill := syscall.Kill(auth, syscall.SIGKILL); !errors.Is(kill, syscall.ESRCH) {
		err = errors.Join(err, kill)
	}
	return err
}

// StartDovecot starts it again and returns when its auth socket answers.
func (i *Instance) StartDovecot(ctx context.Context) error {
	if err := i.startDovecot(ctx); err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", i.SASLUpstream())
		if err != nil {
			return errors.Join(err, i.dovecot.running())
		}
		return c.Close()
	})
}

// dovecotVersion is "2.3" or "2.4".
func dovecotVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "dovecot", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking Dovecot for its version: %w; install Dovecot", err)
	}
	for version := range base {
		if strings.HasPrefix(string(out), version+".") {
			return version, nil
		}
	}
	return "", fmt.Errorf("version %s of Dovecot is unknown here; install 2.3 or 2.4", strings.TrimSpace(string(out)))
}
