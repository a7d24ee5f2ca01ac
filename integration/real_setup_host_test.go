//go:build real

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// setupHost is a mail host as Debian's packages leave it, in directories of its
// own, for `portreeve setup` to connect.
type setupHost struct {
	*testing.T
	dir, addr string
	daemon    *exec.Cmd
	ended     chan error
}

var setupHosts atomic.Int32

// settings is what a private instance needs of main.cf, and what the
// stories' host has.
func (h *setupHost) settings() []string {
	return []string{
		"queue_directory = " + h.path("queue"), "data_directory = " + h.path("data"), "inet_interfaces = loopback-only",
		"multi_instance_name = postfix-setup-" + filepath.Base(h.dir), "maillog_file = " + h.path("mail.log"), "maillog_file_prefixes = " + h.dir,
		"myhostname = mx.test", "mydestination = mx.test", "mynetworks = 127.0.0.1/32", "smtpd_peername_lookup = no",
		"virtual_mailbox_domains = domena.cz, domena.eu, firma.cz, b.cz",
		"local_transport = discard:", "virtual_transport = discard:", "relay_transport = discard:", "default_transport = discard:",
		"alias_maps =", "local_recipient_maps =", "smtpd_error_sleep_time = 0", "service_throttle_time = 1s",
	}
}

// dovecotHost is likewise for Dovecot: who may log in, and where it listens.
var dovecotHost = map[string]string{
	"2.3": "base_dir = {dir}/run\nstate_dir = {dir}/run\nlog_path = {dir}/dovecot.log\nlisten = {addr}\nprotocols = imap pop3\n" +
		"passdb {\n  driver = passwd-file\n  args = {users}\n}\nuserdb {\n  driver = static\n  args = uid=nobody gid=nogroup home={dir}/mail/%u\n}\nfirst_valid_gid = 1\n",
	"2.4": "base_dir = {dir}/run\nstate_dir = {dir}/run\nlog_path = {dir}/dovecot.log\nlisten = {addr}\n" +
		"passdb passwd-file {\n  passwd_file_path = {users}\n}\nuserdb static {\n  fields {\n    uid = nobody\n    gid = nogroup\n    home = {dir}/mail/%{user}\n  }\n}\nfirst_valid_gid = 1\n",
}

// newSetupHost copies what is in /etc and starts both programs. edit may do
// what an administrator did before.
func newSetupHost(t *testing.T, toml string, edit func(h *setupHost)) *setupHost {
	t.Helper()
	n := setupHosts.Add(1)
	h := &setupHost{T: t, dir: filepath.Join(host.Dir, fmt.Sprintf("setup-%d", n)), addr: fmt.Sprintf("127.78.0.%d", n)}
	users, err := filepath.Abs("testdata/users")
	h.must(err)
	h.must(os.MkdirAll(h.dir, 0o755))
	h.run("cp", "-a", "/etc/postfix", h.path("postfix"))
	h.run("cp", "-a", "/etc/dovecot", h.path("dovecot"))
	h.run("install", "-d", "-o", "postfix", h.path("data"))
	h.edit("postfix/master.cf", "\nsmtp      inet", "\n"+h.addr+":smtp inet") // beside the machine's own
	h.run("postconf", append([]string{"-c", h.path("postfix"), "-e"}, h.settings()...)...)

	h.edit("dovecot/conf.d/10-auth.conf", "\n!include auth-system.conf.ext", "\n#!include auth-system.conf.ext")
	conf := strings.NewReplacer("{dir}", h.dir, "{addr}", h.addr, "{users}", users).Replace(dovecotHost[h.series()])
	h.write("dovecot/conf.d/20-host.conf", conf, 0o644)

	h.must(errors.Join(os.Mkdir(h.path("portreeve"), 0o755), os.Mkdir(h.path("queue"), 0o755)))
	h.write("portreeve/portreeve.toml", h.toml("observe", toml), 0o644)
	accounts, err := os.ReadFile("testdata/accounts.toml")
	h.must(err)
	h.write("portreeve/accounts.toml", string(accounts), 0o644)
	if edit != nil {
		edit(h)
	}
	h.run("postfix", "-c", h.path("postfix"), "check") // makes the queue
	h.run("install", "-d", "-g", "postfix", "-m", "0750", h.path("queue/portreeve"))
	h.run("dovecot", "-c", h.path("dovecot/dovecot.conf"))
	t.Cleanup(func() { h.run("doveadm", "-c", h.path("dovecot/dovecot.conf"), "stop") })
	h.run("postfix", "-c", h.path("postfix"), "start")
	t.Cleanup(func() {
		h.run("postfix", "-c", h.path("postfix"), "stop")
		if t.Failed() {
			for _, log := range []string{"mail.log", "dovecot.log", "portreeve.log"} {
				data, err := os.ReadFile(h.path(log))
				t.Logf("--- %s (%v)\n%s", log, err, data[max(0, len(data)-4000):])
			}
		}
	})
	return h
}

// toml is portreeve.toml in one of the modes.
func (h *setupHost) toml(mode, more string) string {
	return fmt.Sprintf("mode = %q\n[listen]\npolicy = \"unix:%s/queue/portreeve/policy.sock\"\nauth = \"inet:%s:9192\"\nadmin = \"unix:%s/admin.sock\"\n%s\n",
		mode, h.dir, h.addr, h.dir, strings.ReplaceAll(more, "{dir}", h.dir)) +
		"[networks]\ntrusted = [\"127.0.0.1/32\"]\n[directory]\nfile = \"accounts.toml\"\n[auth_policy]\ntoken_file = \"token\"\n" +
		"[relay]\nlocal_domains = [\"mx.test\"]\n[store]\npath = \"../portreeve.db\"\n"
}

func (h *setupHost) path(name string) string { return filepath.Join(h.dir, name) }

func (h *setupHost) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// run runs a program, which must do well.
func (h *setupHost) run(name string, args ...string) string {
	h.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute) // in Cleanup, too
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if name == "dovecot" { // its processes keep standard error open: no pipe
		said, err := os.Create(h.path("dovecot.err"))
		h.must(err)
		defer said.Close() //nolint:errcheck // the child has its own
		cmd.Stdout, cmd.Stderr = nil, said
	}
	if err := cmd.Run(); err != nil {
		if name == "dovecot" {
			out.WriteString(h.read("dovecot.err"))
		}
		h.Fatalf("%s %q: %v: %s", name, args, err, out.String())
	}
	return out.String()
}

func (h *setupHost) series() string {
	if strings.HasPrefix(h.run("sh", "-c", "dovecot --version"), "2.4.") {
		return "2.4"
	}
	return "2.3"
}

func (h *setupHost) write(name, text string, mode fs.FileMode) {
	h.Helper()
	h.must(os.WriteFile(h.path(name), []byte(text), mode))
}

func (h *setupHost) read(name string) string {
	h.Helper()
	data, err := os.ReadFile(h.path(name))
	h.must(err)
	return string(data)
}

func (h *setupHost) edit(name, old, now string) {
	h.Helper()
	text := h.read(name)
	if !strings.Contains(text, old) {
		h.Fatalf("%s has no %q", name, old)
	}
	h.write(name, strings.Replace(text, old, now, 1), 0o644)
}

// serve starts Portreeve, and stops it with the test.
func (h *setupHost) serve() {
	h.Helper()
	log, err := os.Create(h.path("portreeve.log"))
	h.must(err)
	h.daemon = exec.Command(*program, "serve", "--config", h.path("portreeve/portreeve.toml"))
	h.daemon.Stdout, h.daemon.Stderr = log, log
	h.must(h.daemon.Start())
	h.must(log.Close())
	h.ended = make(chan error, 1)
	go func() { h.ended <- h.daemon.Wait() }()
	h.Cleanup(h.stop)
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("unix", h.path("admin.sock"))
		if err == nil {
			h.must(c.Close())
			return
		}
		if time.Now().After(deadline) {
			h.Fatalf("portreeve does not start: %v\n%s", err, h.read("portreeve.log"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *setupHost) stop() {
	if h.daemon == nil {
		return
	}
	if err := h.daemon.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		h.Error(err)
	}
	if err := <-h.ended; err != nil {
		h.Errorf("portreeve ended with %v", err)
	}
	h.daemon = nil
}

// portreeve runs a verb on this host's files, and wants its exit status.
func (h *setupHost) portreeve(exit int, args ...string) string {
	h.Helper()
	if args[0] == "setup" || args[0] == "check" {
		args = append(args, "--postfix-config-dir", h.path("postfix"), "--dovecot-config", h.path("dovecot/dovecot.conf"))
	}
	cmd := exec.CommandContext(h.Context(), *program, append(args, "--config", h.path("portreeve/portreeve.toml"))...)
	out, err := cmd.CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		h.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != exit {
		h.Fatalf("portreeve %q ended with status %d, not %d:\n%s", args, got, exit, out)
	}
	return string(out)
}

// want runs a verb and wants each text in what it says.
func (h *setupHost) want(exit int, args string, texts ...string) {
	h.Helper()
	out := h.portreeve(exit, strings.Fields(args)...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			h.Errorf("portreeve %s says\n%s\nand not %q", args, out, text)
		}
	}
}

// dial opens a session and sends EHLO, when the port answers.
func (h *setupHost) dial(port int) *client {
	h.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 250, 1)}}
	for deadline := time.Now().Add(20 * time.Second); ; {
		n, err := d.Dial("tcp", net.JoinHostPort(h.addr, strconv.Itoa(port)))
		if err == nil {
			h.Cleanup(func() { n.Close() }) //nolint:errcheck // the server may have gone first
			h.must(n.SetDeadline(time.Now().Add(time.Minute)))
			c := &client{h.T, textproto.NewConn(n)}
			c.expect(`^220 `, "")
			c.expect(`^250 `, "EHLO pc.test")
			return c
		}
		if time.Now().After(deadline) {
			h.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// snapshot is every file of both programs' directories, with owner and mode.
func (h *setupHost) snapshot() map[string]string {
	h.Helper()
	all := map[string]string{}
	for _, dir := range []string{"postfix", "dovecot"} {
		h.must(filepath.WalkDir(h.path(dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Lstat(path)
			if err != nil {
				return err
			}
			stat := info.Sys().(*syscall.Stat_t)
			all[path] = fmt.Sprintf("%v %d:%d\n", info.Mode(), stat.Uid, stat.Gid)
			if info.Mode().IsRegular() {
				data, err := os.ReadFile(path)
				all[path] += string(data)
				return err
			}
			return nil
		}))
	}
	return all
}

// same wants the directories to be as they were.
func (h *setupHost) same(before map[string]string, when string) {
	h.Helper()
	after := h.snapshot()
	for path, text := range before {
		if after[path] != text {
			h.Errorf("%s, %s was\n%s\nand is\n%s", when, path, text, after[path])
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			h.Errorf("%s, %s is new", when, path)
		}
	}
}
