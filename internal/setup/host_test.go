package setup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// machine is a host in a directory: files of Postfix, programs that answer from
// them, and sockets.
type machine struct {
	*testing.T
	Host
	dir   string
	names string
	fail  map[string]error // by program and its last argument
	asked []string
}

func newMachine(t *testing.T, record string) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "pr") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	files := recorded(t, record)
	m := &machine{T: t, dir: dir, fail: map[string]error{}}
	m.names = files["postconf-names"] + "queue_directory = " + dir + "/queue\nmail_owner = root\n"
	m.write("postfix/main.cf", files["main.cf"])
	m.write("postfix/master.cf", files["master.cf"])
	m.write("queue/private/README", "")
	m.write("queue/portreeve/README", "")
	m.toml("observe")
	m.Host = Host{
		ConfigPath: m.path("portreeve.toml"), PostfixDir: m.path("postfix"), Run: m.run, Now: func() time.Time { return noon },
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name, text string) {
	m.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(m.path(name)), 0o755), os.WriteFile(m.path(name), []byte(text), 0o644)); err != nil {
		m.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.Helper()
	data, err := os.ReadFile(m.path(name))
	if err != nil {
		m.Fatal(err)
	}
	return string(data)
}

func (m *machine) toml(mode string) {
	m.write("portreeve.toml", fmt.Sprintf("mode = %q\n[listen]\npolicy = \"unix:queue/portreeve/policy.sock\"\nmilter = \"unix:queue/portreeve/milter.sock\"\nauth = \"inet:127.0.0.1:9192\"\nadmin = \"unix:admin.sock\"\n[auth_policy]\ntoken_file = \"token\"\n[store]\npath = \"portreeve.db\"\n", mode))
}

// listen opens sockets below the queue.
func (m *machine) listen(names ...string) {
	m.Helper()
	for _, name := range names {
		ln, err := net.Listen("unix", m.path("queue/"+name))
		if err != nil {
			m.Fatal(err)
		}
		m.Cleanup(func() { ln.Close() }) //nolint:errcheck // nothing was written
	}
}

func (m *machine) run(_ context.Context, name string, args ...string) ([]byte, error) {
	last := args[len(args)-1]
	m.asked = append(m.asked, name+" "+last)
	if err := m.fail[name+" "+last]; err != nil {
		return nil, err
	}
	if name != "postconf" {
		return nil, nil
	}
	if last == "-M" {
		return []byte(m.read("postfix/master.cf")), nil
	}
	c := conf(m.T, map[string]string{"postconf-names": m.names, "main.cf": m.read("postfix/main.cf"), "master.cf": ""})
	var out strings.Builder
	for k, v := range c.Main {
		fmt.Fprintf(&out, "%s = %s\n", k, v)
	}
	return []byte(out.String()), nil
}

func (m *machine) plan() *Plan {
	m.Helper()
	p, _, err := m.PlanPostfix(m.Context())
	if err != nil {
		m.Fatal(err)
	}
	return p
}

// What must be so before Postfix may ask is refused one by one.
func TestBeforePostfixMayAsk(t *testing.T) {
	m := newMachine(t, "bookworm-default")
	wants := func(texts ...string) {
		t.Helper()
		got := m.plan().Blockers
		if len(got) != len(texts) {
			t.Errorf("blockers %q, want %q", got, texts)
			return
		}
		for i, want := range texts {
			if !strings.Contains(got[i], want) {
				t.Errorf("blocker %q, want %q", got[i], want)
			}
		}
	}
	const greet = "Postfix greets nobody on a port that offers AUTH without it"
	wants("nobody answers at listen.policy", "nobody answers at listen.milter", greet)
	m.listen("portreeve/policy.sock", "portreeve/milter.sock")
	wants(greet)
	m.listen("private/auth")
	wants()
	m.toml("enforce")
	wants("Portreeve would refuse from the first message on")
	m.Enforce = true
	wants()
	m.names += "mail_owner = nobody\n"
	if err := os.Chmod(m.path("queue/portreeve"), 0o700); err != nil {
		t.Fatal(err)
	}
	wants("so Postfix could not ask at listen.policy: chgrp postfix", "so Postfix could not ask at listen.milter: chgrp postfix",
		"the user nobody may not write to "+m.path("queue/private/auth"))
	m.names += "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:1\nmail_owner = root\n"
	wants("nobody answers at inet:127.0.0.1:1")
}

func TestHostApplyAndUndo(t *testing.T) {
	m := newMachine(t, "trixie-default")
	m.listen("portreeve/policy.sock", "portreeve/milter.sock", "private/auth")
	main, master := m.read("postfix/main.cf"), m.read("postfix/master.cf")

	m.fail["postfix check"] = errors.New("exit status 1: bad")
	target, err := m.Target(t.Context(), "postfix")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(target); err == nil || !strings.HasPrefix(err.Error(), "postfix check does not like the new files: exit status 1: bad") {
		t.Errorf("error %v", err)
	}
	if m.read("postfix/main.cf") != main || m.read("postfix/master.cf") != master {
		t.Error("the old files are not back")
	}
	delete(m.fail, "postfix check")
	backup, err := m.Apply(target)
	if err != nil || backup != m.path("postfix/portreeve-setup/0001") {
		t.Fatalf("%q %v", backup, err)
	}
	if p := m.plan(); len(p.Changes)+len(p.Blockers) > 0 {
		t.Errorf("a second plan: %+v", p)
	}
	if steps := m.Steps(t.Context()); len(steps) != 5 || !steps[2].Done || steps[1].Done || steps[4].Done {
		t.Errorf("steps %+v", steps)
	}
	b, err := m.BackupsOf(t.Context(), "postfix")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Undo(); err != nil || m.read("postfix/main.cf") != main || m.read("postfix/master.cf") != master {
		t.Errorf("after undo: %v", err)
	}
}

// Dovecot's socket is not taken from a Postfix that asks there.
func TestUndoBlocker(t *testing.T) {
	m := newMachine(t, "trixie-admin")
	socket := "service auth {\n  unix_listener " + m.path("queue/private/auth") + " {\n  }\n}\n"
	m.write("dovecot/99-portreeve.conf", "#\n")
	b := Backups{m.path("dovecot/portreeve-setup")}
	if got := m.UndoBlocker(t.Context(), "dovecot", b); got != "" {
		t.Errorf("without a backup: %q", got)
	}
	apply := func(path, old, text string) {
		t.Helper()
		p := newPlan("dovecot")
		p.change(Change{Path: path, old: old, text: text})
		if _, err := Apply(p, b, noon, well); err != nil {
			t.Fatal(err)
		}
	}
	apply(m.path("dovecot/99-portreeve.conf"), "#\n", socket)
	if got := m.UndoBlocker(t.Context(), "dovecot", b); !strings.Contains(got, "submission/inet of Postfix asks Dovecot at "+m.path("queue/private/auth")) {
		t.Errorf("got %q", got)
	}
	if got := m.UndoBlocker(t.Context(), "postfix", b); got != "" {
		t.Errorf("Postfix: %q", got)
	}
	main := m.read("postfix/main.cf")
	m.write("postfix/main.cf", main+"smtpd_sasl_path = inet:127.0.0.1:12345\n")
	if got := m.UndoBlocker(t.Context(), "dovecot", b); got != "" {
		t.Errorf("at another socket: %q", got)
	}
	m.write("postfix/main.cf", main)
	m.write("dovecot/dovecot.conf", socket)
	apply(m.path("dovecot/dovecot.conf"), socket, socket+"!include portreeve.conf\n")
	if got := m.UndoBlocker(t.Context(), "dovecot", b); got != "" {
		t.Errorf("the socket was there before: %q", got)
	}
}

func TestCommands(t *testing.T) {
	m := newMachine(t, "trixie-default")
	m.DovecotConfig = "/x/dovecot.conf"
	texts := func(target string, undo bool) []string {
		var all []string
		for _, c := range m.Commands(target, undo) {
			all = append(all, c.Text)
		}
		return all
	}
	reload := "postfix -c " + m.path("postfix") + " reload"
	for _, tt := range []struct {
		got, want []string
	}{
		{texts("postfix", false), []string{reload}},
		{texts("postfix", true), []string{reload}},
		{texts("dovecot", false), []string{"doveadm -c /x/dovecot.conf reload", reload}},
		{texts("dovecot", true), []string{"doveadm -c /x/dovecot.conf stop && dovecot -c /x/dovecot.conf", reload}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	postfix := m.Commands("postfix", false)[0]
	if ran, err := postfix.Reload(t.Context()); !ran || err != nil {
		t.Errorf("ran %v, %v", ran, err)
	}
	m.fail["postfix status"] = errors.New("exit status 1")
	if ran, err := postfix.Reload(t.Context()); ran || err != nil {
		t.Errorf("a Postfix that does not run: ran %v, %v", ran, err)
	}
	m.fail["doveadm stop"] = errors.New("exit status 75")
	if ran, err := m.Commands("dovecot", true)[0].Reload(t.Context()); ran || err != nil {
		t.Errorf("a Dovecot that does not run: ran %v, %v", ran, err)
	}
	m.fail["doveadm reload"] = errors.New("doveadm reload: exit status 75: Fatal: Dovecot is not running (read from /run/dovecot/master.pid)")
	if ran, err := m.Commands("dovecot", false)[0].Reload(t.Context()); ran || err != nil {
		t.Errorf("a reload of a Dovecot that does not run: ran %v, %v", ran, err)
	}
	m.fail["doveadm reload"] = errors.New("exit status 75: why")
	if _, err := m.Commands("dovecot", false)[0].Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "the files are in place, but not read: exit status 75: why: run `doveadm -c /x/dovecot.conf reload` by hand") {
		t.Errorf("error %v", err)
	}
}

// A wrong configuration, and programs that are not there, are said.
func TestNoPlan(t *testing.T) {
	m := newMachine(t, "trixie-default")
	m.write("portreeve.toml", "mode = \"obsevre\"\n")
	if _, err := m.Target(t.Context(), "postfix"); err == nil || !strings.HasSuffix(err.Error(), "run `portreeve check` for all of its problems") {
		t.Errorf("error %v", err)
	}
	m.toml("observe")
	m.fail["dovecot --version"] = errors.New("exit status 1")
	if _, err := m.Target(t.Context(), "dovecot"); err == nil || !strings.HasSuffix(err.Error(), "mend it first") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(m.path("postfix/main.cf")); err != nil {
		t.Fatal(err)
	}
	m.Host.Run = func(context.Context, string, ...string) ([]byte, error) {
		return []byte("config_directory = /x\n"), nil
	}
	if _, err := m.Target(t.Context(), "postfix"); err == nil || !strings.Contains(err.Error(), "main.cf does not exist: name Postfix's directory with --postfix-config-dir") {
		t.Errorf("error %v", err)
	}
}

// Debian's sample of submission turns AUTH on; that alone is no Cyrus SASL.
func TestCyrusMeant(t *testing.T) {
	m := newMachine(t, "bookworm-default")
	pc := conf(t, map[string]string{"postconf-names": m.names + "cyrus_sasl_config_path = " + m.path("sasl2") + "\nsmtpd_sasl_path = smtpd\n", "main.cf": "", "master.cf": ""})
	pc.Dir = m.path("postfix")
	if len(systemCyrus) == 0 {
		t.Fatal("nowhere to look")
	}
	defer func(before []string) { systemCyrus = before }(systemCyrus)
	systemCyrus = []string{m.path("lib/*/sasl2/smtpd.conf"), m.path("sasldb2")}
	if cyrusMeant(pc, m.read("postfix/main.cf")) {
		t.Error("nothing is there")
	}
	if !cyrusMeant(pc, "smtpd_sasl_type = cyrus\n") {
		t.Error("main.cf says it")
	}
	for _, name := range []string{"postfix/sasl/smtpd.conf", "sasl2/smtpd.conf", "lib/x86_64-linux-gnu/sasl2/smtpd.conf", "sasldb2", "queue/etc/sasldb2"} {
		m.write(name, "x")
		if !cyrusMeant(pc, "") {
			t.Errorf("%s is there", name)
		}
		if err := os.Remove(m.path(name)); err != nil {
			t.Fatal(err)
		}
	}
}
