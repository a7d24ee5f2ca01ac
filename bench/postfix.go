package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The services of the private Postfix: without a milter, and with one each.
const (
	plainPort  = 2501
	acceptPort = 2502
	milterPort = 2503
)

// milterLogin is who sends. The milter is told so by Postfix's default for the
// macro, for smtp-source knows no AUTH.
const milterLogin = "u0000001@d000001.example"

const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/mail.log
maillog_file_prefixes = %[1]s
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.bench.example
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
local_transport = discard:
default_transport = discard:
relay_transport = discard:
milter_macro_defaults = auth_authen=%[2]s
milter_default_action = tempfail
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
`

const masterCF = `127.0.0.1:%[1]d inet n - n - - smtpd
127.0.0.1:%[2]d inet n - n - - smtpd
  -o smtpd_milters=unix:%[4]s
127.0.0.1:%[3]d inet n - n - - smtpd
  -o smtpd_milters=unix:%[5]s
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// postfix is a private instance beside whatever the machine has.
type postfix struct {
	dir    string
	config string
	master *process
}

// startPostfix starts the instance and waits until every service greets.
func startPostfix(ctx context.Context, dir, accept, portreeve string) (*postfix, error) {
	p := &postfix{dir: filepath.Join(dir, "postfix")}
	p.config = filepath.Join(p.dir, "config")
	for _, name := range []string{p.dir, p.config, filepath.Join(p.dir, "queue"), filepath.Join(p.dir, "data")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			return nil, err
		}
	}
	err := errors.Join(
		os.WriteFile(filepath.Join(p.config, "main.cf"), fmt.Appendf(nil, mainCF, p.dir, milterLogin), 0o644),
		os.WriteFile(filepath.Join(p.config, "master.cf"), fmt.Appendf(nil, masterCF, plainPort, acceptPort, milterPort, accept, portreeve), 0o644),
		command(ctx, "chown", "postfix", filepath.Join(p.dir, "data")),
	)
	if err == nil {
		err = command(ctx, "postfix", "-c", p.config, "check") // makes the queue's directories
	}
	if err != nil {
		return nil, fmt.Errorf("a private Postfix: %w: apt-get install postfix", err)
	}
	libexec, err := exec.CommandContext(ctx, "postconf", "-h", "daemon_directory").Output()
	if err != nil {
		return nil, fmt.Errorf("asking Postfix where its daemons are: %w", err)
	}
	if p.master, err = spawn(dir, filepath.Join(strings.TrimSpace(string(libexec)), "master"), "-s", "-c", p.config); err != nil {
		return nil, err
	}
	for _, port := range []int{plainPort, acceptPort, milterPort} {
		if err := p.master.reachable(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			return nil, errors.Join(err, p.stop())
		}
	}
	return p, nil
}

func (p *postfix) stop() error { return p.master.stop() }

// delivered waits until the queue is empty.
func (p *postfix) delivered(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		n, err := p.queued()
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d messages are still in the queue: %w; see the mail log", n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *postfix) queued() (n int, err error) {
	for _, name := range []string{"incoming", "active", "deferred", "maildrop"} {
		err := filepath.WalkDir(filepath.Join(p.dir, "queue", name), func(_ string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // delivered in between
				return nil
			case err != nil:
				return err
			case !d.IsDir():
				n++
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("looking into the queue: %w", err)
		}
	}
	return n, nil
}
