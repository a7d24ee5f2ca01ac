//go:build real

package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portreeve/integration/dialogue"
)

// Other users of the host can neither ask nor change anything on the admin socket,
// even where they may enter its directory.
func TestOtherUsersOfTheHost(t *testing.T) {
	t.Parallel()
	w := host.World(t, dialogue.Settings{})
	dir := filepath.Dir(w.Daemon.Config)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(uid uint32, verb, form string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "curl", "--silent", "--show-error", "--max-time", "30",
			"--unix-socket", filepath.Join(dir, "admin.sock"), "--data", form, "http://portreeve/v1/"+verb)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
			t.Fatalf("curl cannot be run: %v; install the packages of packages.txt", err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	const couldNotConnect, nobody = 7, 65534
	for verb, form := range map[string]string{"status": "", "unblock": `{"addresses":["192.0.2.1"]}`, "reload": "", "reset": `{"login":"` + account + `"}`} {
		if out, exit := ask(nobody, verb, form); exit != couldNotConnect {
			t.Errorf("nobody asks for %s, and curl ends with %d: %s", verb, exit, out)
		}
	}
	if out, exit := ask(0, "status", ""); exit != 0 || !strings.Contains(out, `"mode":"enforce"`) {
		t.Errorf("root asks, and curl ends with %d: %s", exit, out)
	}
}
