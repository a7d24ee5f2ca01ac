package setup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"portreeve/internal/hostcheck"
	"portreeve/internal/hostcheck/postfix"
)

// postfixCommand is one of postfix(1)'s.
func (h *Host) postfixCommand(verb string) []string {
	if h.PostfixDir != "" {
		return []string{"postfix", "-c", h.PostfixDir, verb}
	}
	return []string{"postfix", verb}
}

// Command makes a program read its files.
type Command struct {
	Text string // as an administrator would type it
	run  func(ctx context.Context) (ran bool, err error)
}

// Reload runs it. A program that does not run reads its files when it starts;
// ran is false then.
func (c Command) Reload(ctx context.Context) (ran bool, err error) {
	ran, err = c.run(ctx)
	if err != nil {
		return false, fmt.Errorf("the files are in place, but not read: %w: run `%s` by hand", err, c.Text)
	}
	return ran, nil
}

// Commands lists what is to be run after a change of the target. Postfix goes
// with Dovecot: its processes keep connections to the old auth process (FACTS.md 2.8).
func (h *Host) Commands(target string, undo bool) []Command {
	switch {
	case target != "dovecot":
		return []Command{h.postfixReload()}
	case undo:
		return []Command{h.dovecotRestart(), h.postfixReload()}
	}
	reload := h.doveadm("reload")
	return []Command{{strings.Join(reload, " "), func(ctx context.Context) (bool, error) {
		ran, err := h.ran(ctx, reload)
		if err != nil && strings.Contains(err.Error(), "Dovecot is not running") {
			return false, nil
		}
		return ran, err
	}}, h.postfixReload()}
}

func (h *Host) ran(ctx context.Context, command []string) (bool, error) {
	_, err := h.Run(ctx, command[0], command[1:]...)
	return err == nil, err
}

func (h *Host) postfixReload() Command {
	command := h.postfixCommand("reload")
	return Command{strings.Join(command, " "), func(ctx context.Context) (bool, error) {
		if running, _ := h.ran(ctx, h.postfixCommand("status")); !running {
			return false, nil
		}
		return h.ran(ctx, command)
	}}
}

func (h *Host) doveadm(verb string) []string {
	if h.DovecotConfig != "" {
		return []string{"doveadm", "-c", h.DovecotConfig, verb}
	}
	return []string{"doveadm", verb}
}

// dovecotRestart is for an undo. A reload that turns Dovecot's own penalty on
// again ends its master process without a word (2.3.19.1 and 2.4.1).
func (h *Host) dovecotRestart() Command {
	if _, err := os.Stat("/run/systemd/system"); err == nil && h.DovecotConfig == "" {
		command := []string{"systemctl", "try-restart", "dovecot"}
		return Command{strings.Join(command, " "), func(ctx context.Context) (bool, error) { return h.ran(ctx, command) }}
	}
	stop, start := h.doveadm("stop"), []string{"dovecot"}
	if h.DovecotConfig != "" {
		start = append(start, "-c", h.DovecotConfig)
	}
	return Command{strings.Join(stop, " ") + " && " + strings.Join(start, " "), func(ctx context.Context) (bool, error) {
		if running, _ := h.ran(ctx, stop); !running {
			return false, nil
		}
		path, err := postfix.Find(start[0])
		if err != nil {
			return false, err
		}
		// It keeps its standard error: with a pipe for it nobody would see the end.
		if err := exec.CommandContext(ctx, path, start[1:]...).Run(); err != nil {
			return false, fmt.Errorf("%s: %w", strings.Join(start, " "), err)
		}
		return true, nil
	}}
}

// UndoBlocker is why an undo would break mail, or empty: Postfix greets nobody
// on a port that offers AUTH when Dovecot's socket is gone.
func (h *Host) UndoBlocker(ctx context.Context, target string, b Backups) string {
	if target != "dovecot" {
		return ""
	}
	pc, err := postfix.Load(ctx, h.Run, h.PostfixDir)
	if err != nil {
		return "" // no Postfix here
	}
	now, before := b.texts()
	for _, s := range pc.Services {
		if !s.Yes("smtpd_sasl_auth_enable") || s.Get("smtpd_sasl_type") != "dovecot" || hostcheck.Meant(s.Get("smtpd_sasl_path")) {
			continue
		}
		network, addr, err := s.Endpoint(s.Get("smtpd_sasl_path"))
		if listener := "unix_listener " + filepath.Clean(addr) + " "; err == nil && network == "unix" && strings.Contains(now, listener) && !strings.Contains(before, listener) {
			return fmt.Sprintf("%s of Postfix asks Dovecot at %s, which this would take away, and would then greet nobody: run `portreeve setup postfix --undo --reload` first, or set smtpd_sasl_path to another socket", s.ID(), addr)
		}
	}
	return ""
}

// texts are the files that the latest backup is about, as they are and as they
// were; what cannot be read is left out.
func (b Backups) texts() (now, before string) {
	list, err := b.generations()
	if err != nil || len(list) == 0 {
		return "", ""
	}
	dir := b.path(list[len(list)-1])
	m, err := load(dir)
	if err != nil {
		return "", ""
	}
	for _, f := range m.Files {
		if data, _, _, err := read(f.Path); err == nil {
			now += string(data)
		}
		if f.Copy == "" {
			continue
		}
		if data, _, _, err := read(filepath.Join(dir, f.Copy)); err == nil {
			before += string(data)
		}
	}
	return now, before
}
