package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run `portreeve` as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"portreeve": main})
}

// TestScripts plays testdata/script: the verbs as a person types them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			// A socket's path may have 107 bytes at most, so not below the work directory.
			dir, err := os.MkdirTemp("", "pr")
			if err != nil {
				return err
			}
			e.Defer(func() {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			})
			e.Setenv("RUN", dir)
			e.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand":  expand,
			"started": started,
			"ask":     ask,
			"status":  status,
		},
	})
}

// expand FILE replaces $RUN in a file of the script.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		body := strings.ReplaceAll(ts.ReadFile(name), "$RUN", ts.Getenv("RUN"))
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(body), 0o600))
	}
}

// started SOCKET waits until somebody answers there.
func started(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("unix", filepath.Join(ts.Getenv("RUN"), args[0]))
		if err == nil {
			ts.Check(c.Close())
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nobody answers on %s: %v", args[0], err)
		}
	}
}

// ask SOCKET FILE sends a file to a socket and prints the answer.
func ask(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("unix", filepath.Join(ts.Getenv("RUN"), args[0]))
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = io.WriteString(c, ts.ReadFile(args[1]))
	ts.Check(err)
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", answer[:n])
}

// status N runs portreeve and expects that exit status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit status %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// What is wrong with a call is said in plain words.
func TestWrongCalls(t *testing.T) {
	for call, want := range map[string]string{
		"explain":                          "portreeve: `portreeve explain` needs to be told of what: run `portreeve explain --help`\n",
		"unblock":                          "portreeve: `portreeve unblock` needs to be told of what: run `portreeve unblock --help`\n",
		"failures 192.0.2.7 192.0.2.8":     "portreeve: `portreeve failures` has no use for \"192.0.2.8\": run `portreeve failures --help`\n",
		"status now":                       "portreeve: `portreeve status` has no use for \"now\": run `portreeve status --help`\n",
		"decisions --limit many":           "portreeve: invalid argument \"many\" for \"--limit\" flag: invalid syntax: run `portreeve decisions --help`\n",
		"test --port 99999 --client-ip ::": "portreeve: invalid argument \"99999\" for \"--port\" flag: value out of range: run `portreeve test --help`\n",
	} {
		var out, errOut bytes.Buffer
		if code := run(context.Background(), strings.Fields(call), nil, &out, &errOut); code != exitFailure || errOut.String() != want {
			t.Errorf("%s: status %d, %q", call, code, errOut.String())
		}
	}
}

// Every verb has --help and --config; those that print data have --json; and a
// wrong call is one sentence on standard error with status 2.
func TestEveryVerb(t *testing.T) {
	for _, verb := range newRoot().Commands() {
		name := verb.Name()
		if name == "help" || name == "completion" {
			continue
		}
		var out, errOut bytes.Buffer
		if code := run(context.Background(), []string{name, "--help"}, nil, &out, &errOut); code != 0 || !strings.Contains(out.String(), "--config") {
			t.Errorf("%s --help: status %d, %s", name, code, out.String())
		}
		if name != "serve" && !strings.Contains(out.String(), "--json") {
			t.Errorf("%s has no --json", name)
		}
		out.Reset()
		code := run(context.Background(), []string{name, "--nonsense"}, nil, &out, &errOut)
		if code != exitFailure || out.Len() > 0 || strings.Count(errOut.String(), "\n") != 1 || !strings.Contains(errOut.String(), "--help") {
			t.Errorf("%s --nonsense: status %d, out %q, err %q", name, code, out.String(), errOut.String())
		}
	}
}
