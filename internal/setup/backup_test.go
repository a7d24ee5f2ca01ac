package setup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ground is a directory with two files and a plan that changes them, and makes a
// third.
type ground struct {
	*testing.T
	dir  string
	b    Backups
	plan *Plan
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{T: t, dir: t.TempDir()}
	g.b = Backups{filepath.Join(g.dir, "portreeve-setup")}
	g.write("main.cf", "old main\n", 0o640)
	g.write("master.cf", "old master\n", 0o644)
	g.plan = newPlan("postfix")
	g.plan.change(Change{Path: g.path("main.cf"), old: "old main\n", text: "new main\n"})
	g.plan.change(Change{Path: g.path("master.cf"), old: "old master\n", text: "new master\n"})
	g.plan.change(Change{Path: g.path("extra.conf"), New: true, Mode: 0o600, text: "extra\n", uid: -1, gid: -1})
	return g
}

func (g *ground) path(name string) string { return filepath.Join(g.dir, name) }

func (g *ground) write(name, text string, mode fs.FileMode) {
	g.Helper()
	if err := os.WriteFile(g.path(name), []byte(text), mode); err != nil {
		g.Fatal(err)
	}
	if err := os.Chmod(g.path(name), mode); err != nil {
		g.Fatal(err)
	}
}

// want compares every file; an empty text is no file.
func (g *ground) want(main, master, extra string) {
	g.Helper()
	for name, text := range map[string]string{"main.cf": main, "master.cf": master, "extra.conf": extra} {
		data, err := os.ReadFile(g.path(name))
		if text == "" != errors.Is(err, fs.ErrNotExist) || string(data) != text {
			g.Errorf("%s is %q (%v), want %q", name, data, err, text)
		}
	}
	stray, err := filepath.Glob(g.path(".portreeve-*"))
	if err != nil || len(stray) > 0 {
		g.Errorf("left behind: %q %v", stray, err)
	}
}

func (g *ground) mode(name string, want fs.FileMode) {
	g.Helper()
	info, err := os.Stat(g.path(name))
	if err != nil || info.Mode().Perm() != want {
		g.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
	}
}

func well() error { return nil }

func (g *ground) apply() string {
	g.Helper()
	backup, err := Apply(g.plan, g.b, noon, well)
	if err != nil {
		g.Fatal(err)
	}
	return backup
}

func TestApplyAndUndo(t *testing.T) {
	g := newGround(t)
	if backup := g.apply(); backup != filepath.Join(g.b.Dir, "0001") {
		t.Errorf("the backup is %s", backup)
	}
	g.want("new main\n", "new master\n", "extra\n")
	g.mode("main.cf", 0o640)
	g.mode("extra.conf", 0o600)
	g.mode("portreeve-setup/0001", 0o700)
	g.mode("portreeve-setup/0001/0-main.cf", 0o600)
	restored, err := g.b.Undo()
	if err != nil || len(restored) != 3 {
		t.Errorf("restored %q, %v", restored, err)
	}
	g.want("old main\n", "old master\n", "")
	g.mode("main.cf", 0o640)
	if _, err := os.Stat(g.b.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a trace is left: %v", err)
	}
	if _, err := g.b.Undo(); !errors.Is(err, ErrNothing) {
		t.Errorf("a second undo: %v", err)
	}
}

func TestApplyOfNothing(t *testing.T) {
	g := newGround(t)
	if backup, err := Apply(newPlan("postfix"), g.b, noon, nil); backup != "" || err != nil {
		t.Errorf("%q %v", backup, err)
	}
	if _, err := os.Stat(g.b.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a backup of nothing was made")
	}
}

// Somebody has edited a file since: nothing is touched, and the old text is named.
func TestUndoRefuses(t *testing.T) {
	for _, name := range []string{"main.cf", "extra.conf"} {
		for _, text := range []string{"edited\n", ""} {
			g := newGround(t)
			backup := g.apply()
			if text == "" {
				if err := os.Remove(g.path(name)); err != nil {
					t.Fatal(err)
				}
			} else {
				g.write(name, text, 0o644)
			}
			_, err := g.b.Undo()
			var changed *ChangedError
			gone := name == "extra.conf" && text == "" // what was made has gone already
			if errors.As(err, &changed) == gone {
				t.Errorf("%s edited to %q: %v", name, text, err)
			}
			if !gone && (changed.Path != g.path(name) || changed.Backup != backup) {
				t.Errorf("%+v", changed)
			}
			if !gone && name == "main.cf" {
				g.want(text, "new master\n", "extra\n")
			}
		}
	}
}

// What does not do well is put back, whatever the reason.
func TestApplyPutsBack(t *testing.T) {
	g := newGround(t)
	_, err := Apply(g.plan, g.b, noon, func() error {
		g.want("new main\n", "new master\n", "extra\n")
		return errors.New("postfix check says no")
	})
	if err == nil || err.Error() != "postfix check says no; everything was put back" {
		t.Errorf("error %v", err)
	}
	g.want("old main\n", "old master\n", "")
	if _, err := g.b.Undo(); !errors.Is(err, ErrNothing) {
		t.Errorf("a backup is left: %v", err)
	}
	g.plan.change(Change{Path: g.path("nosuch/file"), New: true, text: "x", uid: -1, gid: -1})
	if _, err := Apply(g.plan, g.b, noon, well); err == nil || !strings.Contains(err.Error(), "make its directory first; everything was put back") {
		t.Errorf("error %v", err)
	}
	g.want("old main\n", "old master\n", "")
}

// A run that was killed between two files can be undone, and begun again.
func TestInterrupted(t *testing.T) {
	g := newGround(t)
	g.apply()
	g.write("master.cf", "old master\n", 0o644) // as if it had not come so far
	if err := os.Remove(g.path("extra.conf")); err != nil {
		t.Fatal(err)
	}
	restored, err := g.b.Undo()
	if err != nil || len(restored) != 1 {
		t.Errorf("restored %q, %v", restored, err)
	}
	g.want("old main\n", "old master\n", "")
}

func TestSeveralGenerations(t *testing.T) {
	g := newGround(t)
	g.apply()
	second := newPlan("postfix")
	second.change(Change{Path: g.path("main.cf"), old: "new main\n", text: "newer main\n"})
	if backup, err := Apply(second, g.b, noon, well); err != nil || filepath.Base(backup) != "0002" {
		t.Fatal(backup, err)
	}
	for _, want := range []string{"new main\n", "old main\n"} {
		if _, err := g.b.Undo(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(g.path("main.cf"))
		if err != nil || string(data) != want {
			t.Errorf("main.cf is %q, want %q", data, want)
		}
	}
}

// What changed between plan and apply is not lost.
func TestChangedInTheMoment(t *testing.T) {
	for name, change := range map[string]func(g *ground){
		"edited": func(g *ground) { g.write("master.cf", "an edit\n", 0o644) },
		"made":   func(g *ground) { g.write("extra.conf", "mine\n", 0o644) },
		"gone": func(g *ground) {
			if err := os.Remove(g.path("main.cf")); err != nil {
				g.Fatal(err)
			}
		},
	} {
		g := newGround(t)
		change(g)
		if _, err := Apply(g.plan, g.b, noon, well); err == nil || !strings.HasSuffix(err.Error(), "in this moment: run setup again") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A symbolic link stays one.
func TestSymbolicLink(t *testing.T) {
	g := newGround(t)
	if err := os.Mkdir(g.path("real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(g.path("main.cf"), g.path("real/main.cf")), os.Symlink("real/main.cf", g.path("main.cf"))); err != nil {
		t.Fatal(err)
	}
	g.apply()
	if target, err := os.Readlink(g.path("main.cf")); err != nil || target != "real/main.cf" {
		t.Errorf("%q %v", target, err)
	}
	if _, err := g.b.Undo(); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(g.path("main.cf")); err != nil || target != "real/main.cf" {
		t.Errorf("after undo: %q %v", target, err)
	}
	g.want("old main\n", "old master\n", "")
}

// Root restores what is in the backup: nobody else may have put it there.
func TestBackupsOfOthers(t *testing.T) {
	g := newGround(t)
	if err := os.Mkdir(g.b.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(g.b.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(g.plan, g.b, noon, well); err == nil || !strings.Contains(err.Error(), "does not belong to you alone") {
		t.Errorf("error %v", err)
	}
	g.want("old main\n", "old master\n", "")
}

func TestTwoAtOnce(t *testing.T) {
	g := newGround(t)
	_, err := Apply(g.plan, g.b, noon, func() error {
		_, err := g.b.Undo()
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "another setup is at work") {
		t.Errorf("error %v", err)
	}
}

func TestDamagedBackup(t *testing.T) {
	g := newGround(t)
	backup := g.apply()
	if err := os.WriteFile(filepath.Join(backup, "0-main.cf"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.b.Undo(); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(filepath.Join(backup, manifestName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.b.Undo(); err == nil || !strings.Contains(err.Error(), "put the files back by hand") {
		t.Errorf("error %v", err)
	}
}

// A file that is kept is made, and not taken away again.
func TestKept(t *testing.T) {
	g := newGround(t)
	g.plan.change(Change{Path: g.path("token"), New: true, Mode: 0o600, text: "word\n", uid: -1, gid: -1, keep: true})
	g.apply()
	if _, err := g.b.Undo(); err != nil {
		t.Fatal(err)
	}
	g.mode("token", 0o600)
}
