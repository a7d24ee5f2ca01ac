//go:build packaged

package packaged

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"portreeve/internal/admin"
)

// TestPackage is the life of a package on one host, in order.
func TestPackage(t *testing.T) {
	began := time.Now()
	for _, day := range []struct {
		name string
		test func(h host)
	}{
		{"a mail host", mailHost},
		{"not started where that is forbidden", notStarted},
		{"installed", installed},
		{"hardened", hardened},
		{"follows the journal", follows},
		{"connected", connected},
		{"stories", stories},
		{"killed by the watchdog", watched},
		{"with a mistake", mistaken},
		{"restarted under load", restartedUnderLoad},
		{"upgraded under load", upgradedUnderLoad},
		{"removed", removed},
		{"installed again", installedAgain},
		{"removed again", removed},
		{"purged", purged},
	} {
		start := time.Now()
		ok := t.Run(day.name, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					logs, _ := try("journalctl", "--no-pager", "--lines=150")
					t.Logf("--- the journal\n%s", logs)
				}
			}()
			day.test(host{t})
		})
		t.Logf("%s: %.1f s", day.name, time.Since(start).Seconds())
		if !ok {
			if ended != "" {
				t.Logf("what ended it: %s", ended)
			}
			t.Fatalf("after %q nothing further can be tried", day.name)
		}
	}
	t.Logf("all of it: %.1f s", time.Since(began).Seconds())
}

// notStarted: where policy-rc.d forbids it, as while an image is built, the package
// starts nothing. The next boot does.
func notStarted(h host) {
	const policy = "/usr/sbin/policy-rc.d"
	h.must(os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755)) //nolint:gosec // it is run
	h.run("dpkg", "--install", thisVersion)
	for _, unit := range units {
		if got := h.property(unit, "ActiveState") + " " + h.property(unit, "UnitFileState"); got != "inactive enabled" {
			h.Errorf("%s is %s", unit, got)
		}
	}
	h.must(os.Remove(policy))
	h.run("dpkg", "--purge", "portreeve")
}

// installed: the package is there, its daemon runs and observes, and nobody else's
// files have changed.
func installed(h host) {
	before := h.tree("/etc/postfix") + h.tree("/etc/dovecot")
	h.run("apt-get", "install", "--yes", thisVersion)
	if h.tree("/etc/postfix")+h.tree("/etc/dovecot") != before {
		h.Error("the package has changed Postfix's or Dovecot's files")
	}
	for path, want := range map[string]string{
		program:                     "-rwxr-xr-x root:root",
		etc:                         "drwxr-x--- root:portreeve",
		etc + "/portreeve.toml":     "-rw-r--r-- root:root",
		etc + "/accounts.toml":      "-rw-r----- root:portreeve",
		etc + "/token":              "-rw-r----- root:portreeve",
		state:                       "drwxr-x--- portreeve:portreeve",
		state + "/portreeve.db":     "-rw------- portreeve:portreeve",
		"/run/portreeve":            "drwxr-x--- portreeve:portreeve",
		"/run/portreeve/admin.sock": "Srw-rw---- portreeve:portreeve",
		socketDir:                   "drwxr-x--- portreeve:postfix",
		socketDir + "/policy.sock":  "Srw-rw---- portreeve:postfix",
		socketDir + "/milter.sock":  "Srw-rw---- portreeve:postfix",
	} {
		if got := h.rights(path); got != want {
			h.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if token := h.read(etc + "/token"); !regexp.MustCompile(`^[0-9a-f]{48}\n$`).MatchString(token) {
		h.Errorf("the token has %d characters", len(token))
	}
	conffiles := h.run("dpkg-query", "--show", "--showformat=${Conffiles}", "portreeve")
	if got := regexp.MustCompile(`(?m)^ (\S+) `).FindAllString(conffiles, -1); len(got) != 2 ||
		!strings.Contains(conffiles, etc+"/portreeve.toml ") || !strings.Contains(conffiles, etc+"/accounts.toml ") {
		h.Errorf("conffiles:%s", conffiles)
	}
	static(h)
	for _, unit := range units {
		if got := h.property(unit, "ActiveState") + " " + h.property(unit, "UnitFileState"); got != "active enabled" {
			h.Errorf("%s is %s", unit, got)
		}
	}
	s := h.status()
	if !slices.Equal(s.Passed, []string{"policy", "milter", "auth"}) || s.Mode != "observe" || len(s.Warnings) != 1 {
		h.Errorf("passed %q, mode %s, warnings %q", s.Passed, s.Mode, s.Warnings)
	}
	if version := h.run("dpkg-query", "--show", "--showformat=${Version}", "portreeve"); s.Version+"-1" != version {
		h.Errorf("the daemon is %s, the package %s", s.Version, version)
	}
	h.run("bash", "-c", "source /usr/share/bash-completion/completions/portreeve")
	for _, page := range []string{"man8/portreeve.8", "man8/portreeve-setup-postfix.8", "man5/portreeve.toml.5", "man5/accounts.toml.5"} {
		h.run("gzip", "--test", "/usr/share/man/"+page+".gz")
	}
}

// static: one file, which needs nobody else's.
func static(h host) {
	f, err := elf.Open(program)
	h.must(err)
	defer f.Close() //nolint:errcheck // it was read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			h.Errorf("%s has a %v segment", program, p.Type)
		}
	}
}

// hardened: systemd itself judges the unit.
func hardened(h host) {
	const most = 1.5
	out := h.run("systemd-analyze", "security", "--offline=true", "--no-pager", "portreeve.service")
	found := regexp.MustCompile(`Overall exposure level for portreeve\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		h.Fatalf("no exposure level in\n%s", out)
	}
	level, err := strconv.ParseFloat(found[1], 64)
	if err != nil || level > most {
		h.Errorf("exposure %s (%v), want at most %.1f:\n%s", found[1], err, most, out)
	}
	h.Logf("exposure %s", found[1])
	// What is said of the units must be so for the running daemon, too.
	pid := h.property("portreeve.service", "MainPID")
	held := regexp.MustCompile(`(?m)^(NoNewPrivs|Seccomp|CapBnd):\s*(\S+)`).FindAllString(h.read("/proc/"+pid+"/status"), -1)
	if got := strings.Join(strings.Fields(strings.Join(held, " ")), " "); got != "CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2" {
		h.Errorf("the running daemon: %s", got)
	}
	h.run("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	watchable(h)
}

// watchable: what the alerts and the dashboard of the package ask for is there under the
// unit, which hides much of /proc, where some metrics come from.
func watchable(h host) {
	kept := h.read(etc + "/portreeve.toml")
	h.edit(etc+"/portreeve.toml", "\n[networks]", "web = \"inet:127.0.0.1:9193\"\n\n[networks]")
	h.systemctl("restart", "portreeve.service")
	answer, err := http.Get("http://127.0.0.1:9193/metrics")
	h.must(err)
	defer answer.Body.Close() //nolint:errcheck // it was read
	page, err := io.ReadAll(answer.Body)
	h.must(err)
	const examples = "/usr/share/doc/portreeve/examples"
	asked := regexp.MustCompile(`\b(portreeve|process|go)_[a-z_]+[a-z]\b`).FindAllString(
		h.read(examples+"/prometheus/portreeve.rules.yml")+h.read(examples+"/grafana/portreeve.json"), -1)
	slices.Sort(asked)
	asked = slices.Compact(asked)
	if len(asked) < 15 {
		h.Errorf("only %q is asked for", asked)
	}
	for _, name := range asked {
		if !regexp.MustCompile(`(?m)^` + name + `[ {_]`).Match(page) {
			h.Errorf("%s is not exported", name)
		}
	}
	// The sockets that it opens by itself have a queue as long as systemd's.
	h.run("systemctl", "kill", "--signal=STOP", "portreeve.service")
	var waiting []net.Conn
	for n := range 300 {
		c, err := net.DialTimeout("tcp", "127.0.0.1:9193", time.Second)
		if err != nil {
			h.Errorf("who connects after %d others, while nobody accepts: %v", n, err)
			break
		}
		waiting = append(waiting, c)
	}
	for _, c := range waiting {
		h.must(c.Close()) // or the daemon would wait for them
	}
	h.run("systemctl", "kill", "--signal=CONT", "portreeve.service")
	h.write(etc+"/portreeve.toml", kept)
	h.systemctl("restart", "portreeve.service")
}

// follows: with the drop-in of the examples, the daemon reads the journal under its unit.
func follows(h host) {
	const dropIn = "/etc/systemd/system/portreeve.service.d"
	kept := h.read(etc + "/portreeve.toml")
	h.run("install", "-D", "--mode=0644", "--target-directory="+dropIn, "/usr/share/doc/portreeve/examples/systemd/maillog.conf")
	h.write(etc+"/portreeve.toml", "mode = \"observe\"\n[maillog]\nfiles = [\"journal\"]\n")
	h.systemctl("daemon-reload")
	h.systemctl("restart", "portreeve.service")
	h.until("a failed login in the journal is counted", 20*time.Second, func() error {
		h.run("logger", "--tag=postfix/smtpd", "--priority=mail.info",
			"warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: authentication failure, sasl_username=jan@domena.cz")
		time.Sleep(200 * time.Millisecond)
		var failures admin.FailuresAnswer
		h.verb(&failures, "failures", "203.0.113.9")
		if failures.Count == 0 {
			return errors.New("nothing is")
		}
		return nil
	})
	h.must(os.RemoveAll(dropIn))
	h.systemctl("daemon-reload")
	fresh(h, kept)
}

// watched: a daemon that runs and does not work is ended and started again.
func watched(h host) {
	const dir = "/run/systemd/system/portreeve.service.d"
	h.must(os.MkdirAll(dir, 0o755))
	h.write(dir+"/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
	h.systemctl("daemon-reload")
	h.systemctl("restart", "portreeve.service")
	time.Sleep(4 * time.Second) // it gives signs of life: more than WatchdogSec
	pid, since := h.property("portreeve.service", "MainPID"), time.Now()
	if n := h.property("portreeve.service", "NRestarts"); n != "0" {
		h.Errorf("restarted %s times while it worked", n)
	}
	number, err := strconv.Atoi(pid)
	h.must(err)
	h.must(syscall.Kill(number, syscall.SIGSTOP))
	h.until("the daemon that stands still is restarted", 20*time.Second, func() error {
		_, err := status()
		return err
	})
	if now := h.property("portreeve.service", "MainPID"); now == pid {
		h.Errorf("the same process (%s) answers", pid)
	}
	h.Logf("another one answers after %.1f s", time.Since(since).Seconds())
	h.must(os.RemoveAll(dir))
	h.systemctl("daemon-reload")
	h.systemctl("restart", "portreeve.service")
}

// mistaken: with a file that it cannot read the daemon does not start, and systemd gives
// it and its sockets up. What the pages say then brings all of it back.
func mistaken(h host) {
	kept := h.read(etc + "/portreeve.toml")
	h.write(etc+"/portreeve.toml", "nonsense = 1\n"+kept)
	if out, err := try("systemctl", "restart", "portreeve.service"); err == nil {
		h.Errorf("it starts: %s", out)
	}
	h.until("systemd gives up", 30*time.Second, func() error {
		for _, unit := range units[:2] {
			if state := h.property(unit, "ActiveState"); state != "failed" {
				return fmt.Errorf("%s is %s", unit, state)
			}
		}
		return nil
	})
	h.write(etc+"/portreeve.toml", kept)
	h.run("systemctl", "reset-failed", "portreeve.service") // instead of its 10 s
	h.run("systemctl", "restart", "portreeve.socket", "portreeve")
	for _, unit := range units {
		if state := h.property(unit, "ActiveState"); state != "active" {
			h.Errorf("%s is %s", unit, state)
		}
	}
	if s := h.status(); !slices.Equal(s.Passed, []string{"policy", "milter", "auth"}) {
		h.Errorf("passed %q", s.Passed)
	}
}

// removed: what was recorded and what was configured stays, and the sockets go.
func removed(h host) {
	token := h.read(etc + "/token")
	out := h.run("apt-get", "remove", "--yes", "portreeve")
	if !strings.Contains(out, "portreeve: Postfix still asks Portreeve") {
		h.Errorf("nobody says that Postfix still asks:\n%s", out)
	}
	if h.read(etc+"/token") != token || !strings.Contains(h.read(etc+"/accounts.toml"), "jan.novak@domena.cz") {
		h.Error("the configuration has changed")
	}
	if info, err := os.Stat(state + "/portreeve.db"); err != nil || info.Size() == 0 {
		h.Errorf("the store: %v, %v", info, err)
	}
	for _, unit := range units {
		if got := h.property(unit, "ActiveState"); got != "inactive" && got != "failed" {
			h.Errorf("%s is %s", unit, got)
		}
	}
	h.absent(program, "/run/portreeve/admin.sock")
}

// installedAgain: what a removal left is taken up again, and all of it runs, the sockets
// included. dpkg gives its script the version of before, as for an upgrade.
func installedAgain(h host) {
	token, accounts := h.read(etc+"/token"), h.read(etc+"/accounts.toml")
	h.run("apt-get", "install", "--yes", nextVersion)
	if h.read(etc+"/token") != token || h.read(etc+"/accounts.toml") != accounts {
		h.Error("the token or the accounts have changed")
	}
	for _, unit := range units {
		if got := h.property(unit, "ActiveState") + " " + h.property(unit, "UnitFileState"); got != "active enabled" {
			h.Errorf("%s is %s", unit, got)
		}
	}
	if s := h.status(); !slices.Equal(s.Passed, []string{"policy", "milter", "auth"}) {
		h.Errorf("passed %q", s.Passed)
	}
	h.run(program, "check")
}

// purged: nothing of the package's is left; what setup made is undone by setup.
func purged(h host) {
	before := h.tree("/etc/postfix")
	h.run("apt-get", "purge", "--yes", "portreeve")
	h.absent(etc, state, "/run/portreeve", socketDir, "/etc/systemd/system/multi-user.target.wants/portreeve.service",
		"/etc/systemd/system/sockets.target.wants/portreeve.socket", "/etc/systemd/system/sockets.target.wants/portreeve-auth.socket",
		"/etc/systemd/system/portreeve.service.wants",
		"/usr/lib/systemd/system/portreeve.service", "/usr/share/doc/portreeve")
	if h.tree("/etc/postfix") != before {
		h.Error("purging has changed Postfix's files")
	}
	if left, _ := try("sh", "-c", "find / -xdev -path /proc -prune -o -iname '*portreeve*' -print | grep -v -e ^/src -e ^/packages -e ^/etc/postfix/ -e ^/etc/dovecot/ -e ^/sys -e ^/run/systemd -e ^/var/log -e ^/etc/systemd/system.control"); strings.TrimSpace(left) != "" {
		h.Errorf("left behind:\n%s", left)
	}
}
