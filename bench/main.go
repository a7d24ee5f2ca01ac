package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	programs programs
	dir      string        // everything that is written while measuring
	count    int           // rounds
	time     time.Duration // of one round of one target
	clients  int           // that are remembered
	rows     int           // of the long journal
	profiles string        // where profiles go, or empty
	against  string        // another build of Portreeve, or empty
	c        string        // sources in C, where they are compiled late
}

// scenario is one question.
type scenario struct {
	name, title string
	run         func(context.Context, *bench) (result, error)
}

var scenarios []scenario

// The order of the page.
func init() {
	scenarios = []scenario{
		{"passes", "Decisions that pass", passes},
		{"refusals", "Refusals, each with an entry of its own", refusals},
		{"blocked", "Refusals of blocked clients", blocked},
		{"reports", "Failed logins that Dovecot reports", failedLogins},
		{"million", "A million remembered clients", million},
		{"idle", "Ten thousand idle connections", idle},
		{"growth", "Cost as the tables grow", growth},
		{"milter", "What a message costs the machine", milterCost},
		{"peers", "Other policy servers", peers},
		{"micro", "Inside: time and allocations", micro},
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == insideFlag {
		os.Exit(inside(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var (
		b     bench
		flags = flag.NewFlagSet("bench", flag.ContinueOnError)
		only  = flags.String("only", "", "`SCENARIO,…` instead of all: "+strings.Join(names(), ", "))
		docs  = flags.String("docs", "", "renew performance.md and the plots in this `directory`")
		secs  = flags.Float64("seconds", 3, "`seconds` that each target is measured in each round")
		temp  = flags.String("dir", "", "`directory` for stores and sockets, on a disk (default: that of temporary files)")
	)
	flags.IntVar(&b.count, "rounds", 5, "`number` of rounds")
	flags.IntVar(&b.clients, "clients", 1_000_000, "`number` of remembered clients")
	flags.IntVar(&b.rows, "rows", 3_000_000, "`number` of rows in the long journal")
	flags.StringVar(&b.against, "against", "", "measure this `program`, another build of Portreeve, beside ours (passes, refusals)")
	flags.StringVar(&b.profiles, "profiles", "", "measure a daemon that writes CPU profiles to this `directory`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b.time = time.Duration(*secs * float64(time.Second))
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if b.count < 1 || b.time <= 0 || b.clients < 1000 || b.clients > 1_000_000 || b.rows < 1 {
		return errors.New("-rounds, -seconds and -rows must be positive, -clients 1,000 to 1,000,000")
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return fmt.Errorf("making the directory of profiles: %w", err)
		}
	}
	if b.programs, err = build(ctx, b.profiles != ""); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*temp, "bench-"); err != nil {
		return fmt.Errorf("making a directory to measure in: %w; give another one with -dir", err)
	}
	return errors.Join(b.all(ctx, chosen, *docs), os.RemoveAll(b.dir))
}

// all runs the scenarios; one that fails does not keep others from being measured,
// and what has been measured is written at once.
func (b *bench) all(ctx context.Context, chosen []scenario, docs string) error {
	var errs []error
	for _, s := range chosen {
		if ctx.Err() != nil {
			break
		}
		b.say("%s", s.name)
		before := loadAverage()
		r, err := s.run(ctx, b)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		r.Name, r.Title, r.When = s.name, s.title, time.Now().Format(time.DateOnly)
		r.Setup = fmt.Sprintf("%s, %d rounds of %s, load average %s before and %s after.", machine(), b.count, b.time, before, loadAverage())
		fmt.Println(r.markdown())
		if docs != "" {
			errs = append(errs, renew(docs, []result{r}))
		}
	}
	return errors.Join(errs...)
}

// say tells how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}

func names() []string {
	var list []string
	for _, s := range scenarios {
		list = append(list, s.name)
	}
	return list
}

func choose(only string) ([]scenario, error) {
	if only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q: choose among %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, scenarios[i])
	}
	return chosen, nil
}

// fresh is a new directory of the run.
func (b *bench) fresh(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	return dir, nil
}
