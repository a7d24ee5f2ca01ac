package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Target is a program that can be set up: its plan, and what tells that the
// host is well with it.
type Target struct {
	Plan    *Plan
	Backups Backups
	verify  func() error
}

// Target plans for "postfix" or "dovecot".
func (h *Host) Target(ctx context.Context, name string) (*Target, error) {
	if name == "dovecot" {
		p, dc, err := h.PlanDovecot(ctx)
		if err != nil {
			return nil, err
		}
		return &Target{p, Backups{backupDir(filepath.Dir(dc.Path))}, func() error { return h.verifyDovecot(ctx) }}, nil
	}
	p, pc, err := h.PlanPostfix(ctx)
	if err != nil {
		return nil, err
	}
	return &Target{p, Backups{backupDir(pc.Dir)}, func() error { return h.verifyPostfix(ctx) }}, nil
}

func backupDir(dir string) string { return filepath.Join(dir, "portreeve-setup") }

// BackupsOf finds the backups without a plan, for undo: a configuration that
// cannot be read must not stand in its way.
func (h *Host) BackupsOf(ctx context.Context, name string) (Backups, error) {
	if name == "dovecot" {
		path := h.DovecotConfig
		if path == "" {
			path = "/etc/dovecot/dovecot.conf"
		}
		return Backups{backupDir(filepath.Dir(path))}, nil
	}
	dir := h.PostfixDir
	if dir == "" {
		out, err := h.Run(ctx, "postconf", "-h", "config_directory")
		if err != nil {
			return Backups{}, fmt.Errorf("asking Postfix where its configuration is: %w: name it with --postfix-config-dir", err)
		}
		dir = strings.TrimSpace(string(out))
	}
	return Backups{backupDir(dir)}, nil
}

// Apply writes the plan; see the function of that name.
func (h *Host) Apply(t *Target) (backup string, err error) {
	return Apply(t.Plan, t.Backups, h.Now(), t.verify)
}

// verifyPostfix: Postfix has no complaint, and a second plan has nothing to do.
func (h *Host) verifyPostfix(ctx context.Context) error {
	check := h.postfixCommand("check")
	if _, err := h.Run(ctx, check[0], check[1:]...); err != nil {
		return fmt.Errorf("postfix check does not like the new files: %w", err)
	}
	p, _, err := h.PlanPostfix(ctx)
	return done(p, err)
}

// verifyDovecot: Dovecot can read it all, and does what was planned.
func (h *Host) verifyDovecot(ctx context.Context) error {
	p, _, err := h.PlanDovecot(ctx)
	return done(p, err)
}

func done(p *Plan, err error) error {
	switch {
	case err != nil:
		return err
	case len(p.Blockers) > 0:
		return errors.New(p.Blockers[0])
	case len(p.Changes) > 0:
		return fmt.Errorf("with the new files setup would still change %s: write to the authors, with the output of postconf -n and -M", p.Changes[0].Path)
	}
	return nil
}

// Step is one of the way from nothing to enforced.
type Step struct {
	Do   string `json:"do"`
	Done bool   `json:"done"`
}

// Steps is the order in which mail is never refused or deferred unseen, and how
// far this host is. What cannot be asked counts as not done.
func (h *Host) Steps(ctx context.Context) []Step {
	dovecotPlan, _, err := h.PlanDovecot(ctx)
	dovecotDone := err == nil && len(dovecotPlan.Changes)+len(dovecotPlan.Blockers) == 0
	postfixPlan, _, err := h.PlanPostfix(ctx)
	postfixDone := err == nil && len(postfixPlan.Changes)+len(postfixPlan.Blockers) == 0
	mode := h.mode(ctx)
	return []Step{
		{"portreeve setup dovecot --apply --reload", dovecotDone},
		{`start Portreeve with mode = "observe" (systemctl enable --now portreeve)`, mode != ""},
		{"portreeve setup postfix --apply --reload", postfixDone},
		{"portreeve check; then look at `portreeve decisions` for some days, and at `portreeve replay` of old logs", postfixDone && mode == "enforce"},
		{`set mode = "enforce", and portreeve reload`, postfixDone && mode == "enforce"},
	}
}
