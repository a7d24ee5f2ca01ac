//go:build real

package trial

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// most is how long one block of commands may take.
const most = 3 * time.Minute

// prelude makes the README's commands those of whatever compose there is, without a
// terminal, under a name of their own.
const prelude = `
docker() {
	if [ "$1" != compose ]; then command docker "$@"; return; fi
	shift
	if [ "$1" = exec ]; then shift; set -- exec -T "$@"; fi
	if command docker compose version >/dev/null 2>&1; then set -- command docker compose --project-name portreeve-trial-test "$@"
	else set -- docker-compose --project-name portreeve-trial-test "$@"; fi
	"$@" </dev/null
}
`

// TestReadme does what the README says, from the start to the end.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "contrib/docker/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := Steps(string(readme))
	if err != nil || len(steps) < 8 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	page := freePort(t)
	env := append(os.Environ(), "MX1_PAGE="+page, "MX2_PAGE="+freePort(t), "MX1_SUBMISSION="+freePort(t), "MX2_SUBMISSION="+freePort(t))
	sh := func(dir, script string) string {
		ctx, stop := context.WithTimeout(context.Background(), most) // in Cleanup, too
		defer stop()
		cmd := exec.CommandContext(ctx, "bash", "-c", prelude+script)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			t.Errorf("after %s this has not ended:\n%s", most, script)
		}
		if err != nil {
			out = append(out, "\n("+err.Error()+")\n"...)
		}
		return string(out)
	}
	contrib := filepath.Join(root, "contrib/docker")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(sh(contrib, "docker compose logs --tail 40"))
		}
		t.Log(sh(contrib, "docker compose down --volumes"))
	})
	for i, s := range steps {
		dir := contrib
		if i == 0 {
			dir = root // it goes there itself
		}
		began := time.Now()
		out := sh(dir, strings.ReplaceAll(s.Script, "127.0.0.1:9193", "127.0.0.1:"+page))
		if line, missing := Missing(s.Expected, out); missing {
			t.Fatalf("%s:\n%s\n\nmust answer\n  %s\nand answers\n%s", s.Heading, s.Script, line, out)
		}
		t.Logf("%s: %s", s.Heading, time.Since(began).Round(time.Millisecond))
		if i == 0 {
			closed(t, sh(contrib, "docker inspect $(docker compose ps --quiet)"))
		}
	}
}

// closed looks at what Docker made: nothing is bound beyond this machine, and there is
// no way out of the network that the hosts share.
func closed(t *testing.T, inspected string) {
	t.Helper()
	var containers []struct {
		Name            string
		NetworkSettings struct {
			Ports    map[string][]struct{ HostIP string }
			Networks map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(inspected), &containers); err != nil || len(containers) != 4 {
		t.Fatalf("%d containers, %v: %s", len(containers), err, inspected)
	}
	for _, c := range containers {
		for port, bindings := range c.NetworkSettings.Ports {
			for _, b := range bindings {
				if b.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s is bound to %q", c.Name, port, b.HostIP)
				}
			}
		}
		for name := range c.NetworkSettings.Networks {
			out, err := exec.CommandContext(t.Context(), "docker", "network", "inspect", "--format",
				`{{.Internal}} {{index .Options "com.docker.network.bridge.enable_ip_masquerade"}}`, name).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "true" && got != "false false" {
				t.Errorf("the network %s of %s: internal, masquerade: %q, %v", name, c.Name, got, err)
			}
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
