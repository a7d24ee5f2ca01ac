package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Some scenarios need programs of Debian's. They run in a container of their own
// image, by this same program; without Docker, here, as root.
const (
	insideFlag = "-inside"
	hostImage  = "portreeve-bench:bookworm"
)

var insideScenarios = map[string]func(context.Context, *bench) (result, error){
	"milter": milterInside,
	"peers":  peersInside,
}

// orders are what the program inside is told.
type orders struct {
	Scenario string
	Count    int
	Time     time.Duration
	Programs programs
	C        string // directory of the programs in C
}

// inside runs a scenario and prints its result.
func inside(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := obey(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func obey(ctx context.Context, args []string) (err error) {
	var o orders
	if len(args) != 1 {
		return errors.New(insideFlag + " is for the harness itself: run `make bench`")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return fmt.Errorf("%s is for the harness itself: %w", insideFlag, err)
	}
	b := &bench{count: o.Count, time: o.Time, programs: o.Programs, c: o.C}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return fmt.Errorf("making a directory to measure in: %w", err)
	}
	// Postfix's processes are other users, and must find Portreeve's socket.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	r, err := insideScenarios[o.Scenario](ctx, b)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// onHost runs a scenario where Debian's programs are.
func (b *bench) onHost(ctx context.Context, name string) (r result, err error) {
	if exec.CommandContext(ctx, "docker", "info").Run() != nil {
		if os.Geteuid() != 0 {
			return r, errors.New("this needs Docker, or root on a Debian with the packages that bench/Dockerfile names; start Docker or run this as root")
		}
		native := *b
		native.c = filepath.Join("bench", "c")
		return insideScenarios[name](ctx, &native)
	}
	if err := makeImage(ctx); err != nil {
		return r, err
	}
	if err := command(ctx, "go", "build", "-o", "bin/bench", "./bench"); err != nil {
		return r, err
	}
	told, err := json.Marshal(orders{
		Scenario: name, Count: b.count, Time: b.time, C: "/c",
		Programs: programs{Portreeve: "/bin-bench/portreeve", FloorGo: "/bin-bench/bench-floor", FloorC: "/bin-bench/bench-floor-c"},
	})
	if err != nil {
		return r, err
	}
	root, err := filepath.Abs(".")
	if err != nil {
		return r, err
	}
	box := fmt.Sprintf("portreeve-bench-%d", os.Getpid())
	// As for the tests: loopback and nothing else, an init that reaps, /tmp in memory.
	cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "--init", "--name", box, "--network", "none",
		"--tmpfs", "/tmp:exec,mode=1777", "--volume", filepath.Join(root, "bin")+":/bin-bench:ro",
		"--volume", filepath.Join(root, "bench", "c")+":/c:ro", hostImage, "/bin-bench/bench", insideFlag, string(told))
	cmd.Cancel = func() error { return exec.Command("docker", "rm", "--force", box).Run() }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("measuring in a container of %s: %w", hostImage, err)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("reading what was measured in the container: %w: %q", err, out.String())
	}
	return r, nil
}

// makeImage is quick when the image is there.
func makeImage(ctx context.Context) error {
	if err := command(ctx, "integration/image.sh", "bookworm"); err != nil {
		return err
	}
	return command(ctx, "docker", "build", "--quiet", "--tag", hostImage, "--file", "bench/Dockerfile", "bench")
}
