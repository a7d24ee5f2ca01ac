//go:build real

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"portreeve/integration/dialogue"
	"portreeve/internal/explain"
)

// remedy is what is done with an explanation; it may change the message.
type remedy interface {
	carryOut(*stage, explain.Explanation, *letter)
}

// customer is something that the customer does, who has been read a step that
// matches the pattern.
type customer struct {
	step string
	act  func(*stage, explain.Explanation, *letter)
}

func (c customer) carryOut(st *stage, x explain.Explanation, l *letter) {
	for _, step := range x.Customer {
		if regexp.MustCompile(c.step).MatchString(step) {
			c.act(st, x, l)
			return
		}
	}
	st.t.Fatalf("the customer is told nothing like %s:\n%s", c.step, pretty(x))
}

// administrator are remedies that are printed, by patterns of their texts, in the
// order in which they are carried out, to the letter.
type administrator []string

func (a administrator) carryOut(st *stage, x explain.Explanation, _ *letter) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, pattern := range a {
		st.obey(printed(st, x, pattern))
	}
}

// lasting is a remedy that must hold when what led to the refusal happens again.
type lasting struct {
	remedy
	again func(*stage)
}

func (r lasting) carryOut(st *stage, x explain.Explanation, l *letter) {
	r.remedy.carryOut(st, x, l)
	r.again(st)
}

// printed is the first remedy whose text matches.
func printed(st *stage, x explain.Explanation, pattern string) explain.Remedy {
	st.t.Helper()
	for _, r := range x.Remedies {
		if regexp.MustCompile(pattern).MatchString(r.Text) {
			return r
		}
	}
	st.t.Fatalf("the administrator is told nothing like %s:\n%s", pattern, pretty(x))
	return explain.Remedy{}
}

// obey puts the line into its file, and runs the command in a shell.
func (st *stage) obey(r explain.Remedy) {
	st.t.Helper()
	if r.Line == "" && r.Command == "" {
		st.t.Fatalf("%q has neither a line nor a command", r.Text)
	}
	if r.Line != "" {
		if _, ours := st.before[r.File]; !ours {
			st.t.Fatalf("the line %s is for %s, which Portreeve does not read", r.Line, r.File)
		}
		if err := putLine(r.File, r.Table, r.Line); err != nil {
			st.t.Fatalf("putting %s under %s: %v", r.Line, r.Table, err)
		}
	}
	if r.Command != "" {
		st.shell(r.Command)
	}
}

// shell runs a printed command as an administrator does, who has the program in
// the path.
func (st *stage) shell(command string) {
	st.t.Helper()
	cmd := exec.CommandContext(st.t.Context(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(st.Daemon.Program)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		st.t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// putLine puts a line of TOML under a table, in place of one with the same key.
func putLine(file, table, line string) error {
	if strings.Contains(line, "\n") {
		return fmt.Errorf("it is more than a line")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	tree, part := map[string]any{}, map[string]map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		return err
	}
	if err := toml.Unmarshal([]byte(table+"\n"+line+"\n"), &part); err != nil {
		return err
	}
	for name, entries := range part {
		under, ok := tree[name].(map[string]any)
		if !ok {
			under = map[string]any{}
			tree[name] = under
		}
		for key, value := range entries {
			under[key] = value
		}
	}
	var out bytes.Buffer
	if err := toml.NewEncoder(&out).Encode(tree); err != nil {
		return err
	}
	return replaceFile(file, out.Bytes())
}

// replaceFile replaces it as a whole, so that the daemon never reads half of it.
func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// restore puts both files back as they were, with settings over them.
func (st *stage) restore(settings map[string]any) {
	st.t.Helper()
	for file, data := range st.before {
		if file == st.config() {
			var err error
			if data, err = dialogue.Config(data, settings); err != nil {
				st.t.Fatal(err)
			}
		}
		if err := replaceFile(file, data); err != nil {
			st.t.Fatal(err)
		}
	}
	verb(st.t, st.World, 0, "reload")
}
