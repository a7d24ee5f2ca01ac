package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// milterCost asks what a message costs the machine: Postfix, the filter, the
// program that sends, all together.
func milterCost(ctx context.Context, b *bench) (result, error) { return b.onHost(ctx, "milter") }

// What is sent: so many sessions at a time, each used for many messages.
const (
	sessions    = 20
	messageSize = 2048
	// perSecond turns -seconds into messages: a round should last about as long
	// as those of other scenarios, but must be the same work for all.
	perSecond = 500
)

// filter is one of those that Postfix asks in turn.
type filter struct {
	name string
	port int
	pid  int // 0: there is none
	all  []float64
	own  []float64
}

func milterInside(ctx context.Context, b *bench) (r result, err error) {
	accept := filepath.Join(b.dir, "accept")
	if err := command(ctx, "gcc", "-O2", "-Wall", "-o", accept, filepath.Join(b.c, "accept.c"), "-lmilter", "-lpthread"); err != nil {
		return r, fmt.Errorf("compiling the filter in C: %w: apt-get install gcc libc6-dev libmilter-dev", err)
	}
	s := usual
	s.extra = fmt.Sprintf("[ports]\nsubmission = [%d]\n[networks]\ntrusted = []\n", milterPort)
	daemon, err := b.portreeve(ctx, s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.stop()) }()
	socket := filepath.Join(b.dir, "accept.sock")
	inC, err := spawn(b.dir, accept, "unix:"+socket)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, inC.stop()) }()
	if err := inC.reachable(ctx, "unix", socket); err != nil {
		return r, err
	}
	// Postfix is another user; the directories above are open to it.
	if err := errors.Join(os.Chmod(socket, 0o666), os.Chmod(daemon.dir, 0o755)); err != nil {
		return r, err
	}
	mail, err := startPostfix(ctx, b.dir, socket, filepath.Join(daemon.dir, "milter.sock"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, mail.stop()) }()
	filters := []*filter{
		{name: "no milter", port: plainPort},
		{name: "libmilter in C that accepts", port: acceptPort, pid: inC.pid()},
		{name: "Portreeve", port: milterPort, pid: daemon.pid()},
	}
	messages := max(sessions, int(b.time.Seconds()*perSecond))
	if err := b.milterRounds(ctx, mail, filters, messages); err != nil {
		return r, err
	}
	return milterResult(filters, messages), nil
}

func (b *bench) milterRounds(ctx context.Context, mail *postfix, filters []*filter, messages int) error {
	// The first round starts Postfix's processes; it is not counted.
	for round := range b.count + 1 {
		for k := range filters {
			f := filters[(k+round)%len(filters)]
			each, own, err := mail.send(ctx, f, messages)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			b.say("round %d, %s: %.0f µs of CPU a message, its own %.0f", round, f.name, each, own)
			if round > 0 {
				f.all, f.own = append(f.all, each), append(f.own, own)
			}
		}
	}
	return nil
}

func milterResult(filters []*filter, messages int) result {
	var r result
	t := table{Head: []string{
		fmt.Sprintf("%d messages of %d bytes, %d sessions", messages, messageSize, sessions),
		"CPU ms a message, of all programs", "of the first", "the filter's own, ms",
	}}
	of := func(i int) float64 { return spreadOf(filters[i].all).median }
	for i, f := range filters {
		ms := func(v float64) string { return strconv.FormatFloat(v/1000, 'f', 3, 64) }
		t.Rows = append(t.Rows, []string{f.name, spreadOf(f.all).text(ms), fmt.Sprintf("%.3f", ratio(of(i), of(0))), spreadOf(f.own).text(ms)})
	}
	r.Tables = []table{t}
	r.Targets = []aim{atMost("milter: CPU of the whole machine a message, relative to a libmilter filter in C", ratio(of(2), of(1)), 1.1, fraction)}
	r.Notes = []string{"CPU is that of the container (its control group), so that other work on the machine does not count. " +
		"The filter in C is told of the same events and lets everything pass. Portreeve decides as for an authenticated client on a submission port."}
	return r
}

// send sends messages through the service at the filter's port and waits until
// all are delivered. It returns the CPU of one in microseconds: of everything,
// and of the filter.
func (p *postfix) send(ctx context.Context, f *filter, messages int) (all, own float64, err error) {
	filterBefore, err := cpuOf(f.pid)
	if err != nil {
		return 0, 0, err
	}
	before, err := machineCPU()
	if err != nil {
		return 0, 0, err
	}
	err = command(ctx, "smtp-source", "-d", "-s", strconv.Itoa(sessions), "-m", strconv.Itoa(messages), "-l", strconv.Itoa(messageSize),
		"-f", milterLogin, "-t", "somebody@elsewhere.example", "127.0.0.1:"+strconv.Itoa(f.port))
	if err == nil {
		err = p.delivered(ctx)
	}
	if err != nil {
		return 0, 0, err
	}
	after, err := machineCPU()
	if err != nil {
		return 0, 0, err
	}
	filterAfter, err := cpuOf(f.pid)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(messages) }
	return each(after - before), each(filterAfter - filterBefore), err
}

func cpuOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	u, err := used(pid)
	return u.cpu, err
}

// machineCPU is the time that all processors have worked: for this container,
// where it is one, and otherwise for all.
func machineCPU() (time.Duration, error) {
	if body, err := os.ReadFile("/sys/fs/cgroup/cpuacct/cpuacct.usage"); err == nil && inContainer() {
		ns, err := strconv.ParseInt(strings.TrimSpace(string(body)), 10, 64)
		return time.Duration(ns), err
	}
	if body, err := os.ReadFile("/sys/fs/cgroup/cpu.stat"); err == nil && inContainer() {
		fields := strings.Fields(string(body))
		if i := slices.Index(fields, "usage_usec"); i >= 0 && i+1 < len(fields) {
			us, err := strconv.ParseInt(fields[i+1], 10, 64)
			return time.Duration(us) * time.Microsecond, err
		}
	}
	body, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return wholeMachine(string(body))
}

// inContainer: only there is the control group at the top one's place ours.
func inContainer() bool {
	_, err := os.Stat("/.dockerenv")
	return err == nil
}

// wholeMachine reads the first line of /proc/stat: everything but idle and iowait.
func wholeMachine(stat string) (time.Duration, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("an unknown form of /proc/stat: %q", line)
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		ticks, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading /proc/stat: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// haveProgram looks in the directories where daemons are, too.
func haveProgram(name string) (string, bool) {
	for _, at := range []string{name, "/usr/sbin/" + name, "/usr/bin/" + name} {
		if path, err := exec.LookPath(at); err == nil {
			return path, true
		}
	}
	return "", false
}
