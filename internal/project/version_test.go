package project

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// environment is ours without what git gives its hooks, which names another repository.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
}

// versionIn runs packaging/version.sh in a copy of the source.
func versionIn(t *testing.T, source string, env ...string) string {
	t.Helper()
	script := filepath.Join(source, "packaging", "version.sh")
	if err := os.MkdirAll(filepath.Dir(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(read(t, "packaging/version.sh")), 0o644); err != nil {
		t.Fatal(err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bash, script)
	cmd.Env = append(append(environment(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(source)), env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// An archive of the source has no history, and a machine on which the tests run
// perhaps no git. Packages can be built all the same.
func TestVersionWithoutGit(t *testing.T) {
	t.Parallel()
	if got := versionIn(t, t.TempDir()); got != "0~unknown\n" {
		t.Errorf("outside a repository: %q", got)
	}
	bin := t.TempDir()
	dirname, err := exec.LookPath("dirname")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dirname, filepath.Join(bin, "dirname")); err != nil {
		t.Fatal(err)
	}
	if got := versionIn(t, t.TempDir(), "PATH="+bin); got != "0~unknown\n" {
		t.Errorf("without git: %q", got)
	}
}

// The version follows the tags, and sorts as it should.
func TestVersionOfTags(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Log("no git here, so there are no tags to go by")
		return
	}
	source := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", source, "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"}, args...)...)
		cmd.Env = environment()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	commit := func() { t.Helper(); git("commit", "--quiet", "--allow-empty", "--message=x") }
	git("init", "--quiet")
	for _, step := range []struct {
		do   func()
		want string
	}{
		{commit, `^0~1\.g[0-9a-f]{9}\n$`},
		{func() { git("tag", "v1.2.0-rc1") }, `^1\.2\.0~rc1\n$`},
		{commit, `^1\.2\.0~rc1\+1\.g[0-9a-f]{9}\n$`},
		{func() { git("tag", "--annotate", "--message=x", "v1.2.0") }, `^1\.2\.0\n$`},
	} {
		step.do()
		if got := versionIn(t, source); !regexp.MustCompile(step.want).MatchString(got) {
			t.Errorf("got %q, want %s", got, step.want)
		}
	}
}
