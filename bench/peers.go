package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peers compares other policy servers, as Debian packages them.
func peers(ctx context.Context, b *bench) (result, error) { return b.onHost(ctx, "peers") }

// peer is a program with the least that it can be told to do for a submission
// port, and files that it needs; @SOCKET@ and @DIR@ are replaced.
type peer struct {
	name, program string
	args          []string
	file, content string
	forks         bool // into the background, and writes @DIR@/pid
}

// peerWithin is how long a peer may take to start.
const peerWithin = 20 * time.Second

var allPeers = []peer{
	{
		name: "postfwd 1.35, single", program: "postfwd1",
		args: []string{"--daemon", "--pidfile=@DIR@/pid", "--user=root", "--group=root", "--proto=unix", "--port=@SOCKET@", "--file=@DIR@/rules"},
		file: "rules", content: "id=A; sasl_username=~.; sender=~@foreign; action=REJECT\n", forks: true,
	},
	{
		name: "postfwd 1.35, prefork", program: "postfwd2",
		args: []string{"--daemon", "--user=root", "--group=root", "--proto=unix", "--port=@SOCKET@", "--pidfile=@DIR@/pid", "--cache_proto=unix", "--cache_port=@DIR@/cache", "--file=@DIR@/rules"},
		file: "rules", content: "id=A; sasl_username=~.; sender=~@foreign; action=REJECT\n", forks: true,
	},
	{
		name: "policyd-rate-limit 1.0, SQLite", program: "policyd-rate-limit",
		args: []string{"--file", "@DIR@/limits.yaml"},
		file: "limits.yaml", content: `debug: False
user: root
group: root
pidfile: @DIR@/pid
sqlite_config: {database: @DIR@/db.sqlite3}
backend: 0
SOCKET: @SOCKET@
socket_permission: 0666
limits: [[1000000, 60]]
limits_by_id: {}
limit_by_sasl: True
limited_networks: []
success_action: dunno
fail_action: defer
db_error_action: dunno
report: False
delay_to_close: 300
`,
	},
	{
		name: "mtpolicyd 2.05, one plugin", program: "mtpolicyd",
		args: []string{"--foreground", "--config", "@DIR@/mtpolicyd.conf"},
		file: "mtpolicyd.conf", content: `user=root
group=root
pid_file="@DIR@/pid"
log_level=0
port="@SOCKET@|unix"
min_servers=16
min_spare_servers=4
max_spare_servers=32
max_servers=64
max_requests=1000000
keepalive_timeout=60
max_keepalive=0
<VirtualHost @SOCKET@>
  name="bench"
  <Plugin nothing>
    module = "Action"
    action = "DUNNO"
  </Plugin>
</VirtualHost>
`,
	},
}

// peersInside measures those that are installed; one that does not run is a
// sentence of the result.
func peersInside(ctx context.Context, b *bench) (r result, err error) {
	floor, err := b.floorGo(ctx, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, floor.end()) }()
	daemon, err := b.portreeve(ctx, usual)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, daemon.end()) }()
	ours := traffic{clients: askers, accounts: usual.accounts}
	theirs := ours
	theirs.floor = true
	subjects := []subject{on(floor, policyLoad(floor, 16, theirs)), on(daemon, policyLoad(daemon, 16, ours))}
	for _, p := range allPeers {
		program, found := haveProgram(p.program)
		if !found {
			r.Notes = append(r.Notes, p.name+" is not installed.")
			continue
		}
		t, err := b.peer(ctx, p, program)
		if err != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("%s did not start: %v", p.name, err))
			continue
		}
		defer func() { err = errors.Join(err, t.end()) }()
		subjects = append(subjects, on(t, policyLoad(t, 16, theirs)))
	}
	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return r, err
	}
	r.Tables = []table{compared("passes, 16 connections; stores in memory", all...)}
	r.Notes = append(r.Notes, "iRedAPD 6.1 (one plugin, no SQL) reached 15,200 requests/s with a p99 of 1.8 ms where a floor in C reached 246,000, "+
		"on another machine of two cores that did nothing else: 0.06 of the floor. It is no package of Debian's and was not measured here.")
	return r, nil
}

// peer starts a peer in a directory of its own.
func (b *bench) peer(ctx context.Context, p peer, program string) (*target, error) {
	dir, err := b.fresh("peer")
	if err != nil {
		return nil, err
	}
	fill := placeholders(dir)
	if err := os.WriteFile(filepath.Join(dir, p.file), []byte(fill(p.content)), 0o644); err != nil {
		return nil, err
	}
	args := make([]string, len(p.args))
	for i, a := range p.args {
		args[i] = fill(a)
	}
	ctx, cancel := context.WithTimeout(ctx, peerWithin)
	defer cancel()
	if !p.forks {
		return start(ctx, p.name, dir, program, args...)
	}
	// Something must stay that can be asked whether it still runs.
	t, err := start(ctx, p.name, dir, "/bin/sh", append([]string{"-c", "\"$0\" \"$@\" && exec sleep 1000000", program}, args...)...)
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err == nil {
		t.background, err = strconv.Atoi(strings.TrimSpace(string(body)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: finding its process: %w", p.name, err), t.end())
	}
	return t, nil
}

func placeholders(dir string) func(string) string {
	return strings.NewReplacer("@SOCKET@", filepath.Join(dir, "policy.sock"), "@DIR@", dir).Replace
}
