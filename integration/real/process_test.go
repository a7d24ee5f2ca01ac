package real

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portreeve/integration/dialogue"
)

func TestUntilGivesUpOnAProgramThatHasGone(t *testing.T) {
	p, err := spawn(filepath.Join(t.TempDir(), "log"), "/bin/sh", "-c", "echo why; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	asked := 0
	err = until(t.Context(), func(context.Context) error { asked++; return p.running() })
	if !errors.Is(err, errGone) || !strings.Contains(err.Error(), "exit status 3") || asked != 1 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestUntilAsksAgain(t *testing.T) {
	asked := 0
	err := until(t.Context(), func(context.Context) error {
		if asked++; asked < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || asked != 3 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestStopAndKill(t *testing.T) {
	for name, end := range map[string]func(*process) error{"stop": (*process).stop, "kill": (*process).kill} {
		p, err := spawn(filepath.Join(t.TempDir(), "log"), "/bin/sleep", "60")
		if err != nil {
			t.Fatal(err)
		}
		if err := end(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if p.running() == nil {
			t.Errorf("%s: still running", name)
		}
		if err := end(p); err != nil {
			t.Errorf("%s of a program that has gone: %v", name, err)
		}
	}
	if err := (*process)(nil).stop(); err != nil {
		t.Errorf("stop of a program that was never started: %v", err)
	}
}

// A verb's exit status is an answer; a program that cannot be run is an error.
func TestVerb(t *testing.T) {
	program := filepath.Join(t.TempDir(), "portreeve")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\"\necho oh >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Daemon{Program: program, Config: "/c.toml"}
	out, err := d.Verb(t.Context(), "explain", "x y")
	if want := (dialogue.Output{Stdout: "explain x y --config /c.toml\n", Stderr: "oh\n", Exit: 1}); err != nil || out != want {
		t.Errorf("got %+v, %v", out, err)
	}
	d.Program += "-missing"
	if _, err := d.Verb(t.Context(), "explain"); err == nil {
		t.Error("no error for a program that is not there")
	}
}

// What a story sets goes over the host's own listeners, and those that it
// closes are not waited for.
func TestDaemonFiles(t *testing.T) {
	dir := t.TempDir()
	i := &Instance{Options: Options{Dir: filepath.Join(dir, "host"), Addr: address(7), Recipe: RecipeSASL, Token: "secret"}}
	d, err := i.NewDaemon(dir, Files{
		Base: "../testdata/portreeve.toml", Accounts: "../testdata/accounts.toml",
		Settings: map[string]any{"listen.auth": "", "auth_failures.window": "20s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(d.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`auth = ""`, `window = "20s"`, `sasl = "unix:` + dir + `/host/queue/portreeve/sasl.sock"`, `private/auth"`, "127.77.0.7:9193"} {
		if !strings.Contains(string(config), want) {
			t.Errorf("no %s in\n%s", want, config)
		}
	}
	if all := strings.Join(d.Sockets, " "); strings.Contains(all, "9192") || !strings.Contains(all, "admin.sock") {
		t.Errorf("waits for %s", all)
	}
}
