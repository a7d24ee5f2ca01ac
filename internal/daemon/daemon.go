// Package daemon wires the parts together: configuration, directory, store,
// gate and fronts, from start to drain.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/directory"
	"portreeve/internal/config"
	"portreeve/internal/gate"
	"portreeve/internal/metrics"
	"portreeve/internal/store"
	"portreeve/internal/tomlfile"
	"portreeve/internal/web"
	"portreeve/journal"
	"portreeve/ledger"
	"portreeve/rules"
)

// Options are what a daemon is started with.
type Options struct {
	ConfigPath string
	Version    string
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: standard error, as [log] says
	Reload     <-chan os.Signal // SIGHUP; nil: none
	// Reloading is told before and after a reload (systemd).
	Reloading func(done bool)
	// Stopping is told when the daemon begins to drain, for whatever reason; nil: nobody is.
	Stopping func()
	// Sockets are listening sockets that the service manager has opened, for the
	// listeners at their addresses.
	Sockets []*os.File
	// Alive is told every AliveEvery, as long as the daemon can decide; nil: nobody is.
	Alive      func()
	AliveEvery time.Duration
	// Directory stands in front of every directory that is opened; nil: nothing
	// does. It is how a test makes one fail.
	Directory func(directory.Directory) directory.Directory
}

// Daemon is a running portreeve.
type Daemon struct {
	Options
	host    string
	since   time.Time
	db      *store.DB
	ledger  ledger.Ledger
	memory  *ledger.Embedded
	shared  *ledger.Shared // the ledger, where hosts share a store; else nil
	journal *journal.Journal
	gate    *gate.Gate
	metrics *metrics.Set
	talkers *talkers
	hour    *web.Hour
	sources *sources      // of the directory
	sockets []socket      // that are open, since the start
	unused  []string      // sockets of the service manager's at which nobody listens
	level   slog.LevelVar // of the log, unless Options.Log is set
	writer  *logWriter    // of the log; nil where Options.Log is set

	reloading sync.Mutex // one at a time
	config    atomic.Pointer[config.Config]
	loaded    atomic.Pointer[time.Time]
	asked     atomic.Pointer[directory.Set] // nil: a file
}

// heapGrowth is GOGC where nobody has set it. The heap is small, for what is many lies outside
// of it (ledger/table): to collect it more rarely costs a few MB, and 20 with ten thousand
// connections or a million clients.
const heapGrowth = 150

// packWithin is how long after it was told to stop a daemon may write what its
// successor would have to count again: SPEC.md section 10 gives it 30 s in all.
const packWithin = 28 * time.Second

const (
	// logPatience is how long after that a line of the log may still have to wait for the
	// log's reader,
	logPatience = 10 * time.Second
	// and logWithin how long that has for the last ones; a second is left to it in any case.
	logWithin = 29 * time.Second
)

// flushLog waits for the log's reader.
func (d *Daemon) flushLog(told *atomic.Int64) {
	since := time.Now()
	if at := told.Load(); at != 0 {
		since = time.Unix(0, at)
	}
	if d.writer != nil {
		d.writer.flushWithin(max(time.Second, time.Until(since.Add(logWithin))))
	}
}

// pack leaves the counters to the next start.
func (d *Daemon) pack(until time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	if err := d.memory.Snapshot(ctx, gate.Counting(d.gate.State().Policy)); err != nil {
		d.Log.Warn("counters not written, the next start counts the failed logins again and takes longer", "error", err)
	}
}

// Run starts a daemon and serves until ctx ends; then it drains and returns nil.
// ready is called once, when every listener is open.
func Run(ctx context.Context, o Options, ready func()) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	// Told to stop in the middle of its start, a daemon starts, and then stops:
	// half a start would look like a failed one.
	d, c, err := open(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	var told atomic.Int64
	defer d.flushLog(&told)
	listeners, unused, err := openListeners(c, o.Sockets)
	if err != nil {
		return errors.Join(err, d.sources.close(), d.leave(), d.db.Close())
	}
	d.unused = unused
	for _, w := range d.warnings(c) {
		d.Log.Warn(w)
	}
	tell := func() {
		if told.CompareAndSwap(0, time.Now().UnixNano()) && d.writer != nil {
			time.AfterFunc(logPatience, d.writer.beHasty)
		}
	}
	defer context.AfterFunc(ctx, tell)()
	err = d.serve(ctx, c, listeners, ready)
	tell() // a drain may be quicker than the call above
	d.gate.Flush()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
	defer cancel()
	d.deliver(last)
	err = errors.Join(err, d.sources.close(), d.leave())
	if err == nil {
		d.pack(time.Unix(0, told.Load()).Add(packWithin))
	}
	d.Log.Info("stopped")
	if closeErr := d.db.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing the store: %w", closeErr))
	}
	return err
}

// ProblemsError is a configuration that cannot be put in force.
type ProblemsError []tomlfile.Problem

// Error lists every problem on a line of its own.
func (p ProblemsError) Error() string {
	lines := []string{fmt.Sprintf("the configuration has %d problems; mend them and try again:", len(p))}
	if len(p) == 1 {
		lines[0] = "the configuration has a problem; mend it and try again:"
	}
	for _, one := range p {
		lines = append(lines, one.String())
	}
	return strings.Join(lines, "\n")
}

// open reads the configuration and everything that is remembered.
func open(ctx context.Context, o Options) (_ *Daemon, _ *config.Config, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	count := &directoryMeter{}
	from := newSources(o.Now, count)
	c, state, problems := from.load(o.ConfigPath)
	if len(problems) > 0 {
		return nil, nil, errors.Join(ProblemsError(problems), from.close())
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, fmt.Errorf("asking for the host's name: %w: set one with hostnamectl", err)
	}
	d := &Daemon{Options: o, host: host, since: o.Now(), talkers: newTalkers(o.Now()), hour: web.NewHour(o.Now())}
	d.level.Set(c.Log.Level)
	if d.Log == nil {
		d.writer = newLogWriter(os.Stderr)
		d.Log = newLog(d.writer, c.Log.Format, &d.level)
		defer func() {
			if err != nil {
				d.writer.flushWithin(logWithin)
			}
		}()
	}
	ids := journal.NewIDs(d.host)
	d.db, err = store.OpenAndRead(c.Store.Path, store.Schema, o.Now(), func(db *store.DB) (err error) {
		d.memory, err = ledger.OpenEmbedded(ctx, db, ids, c.Store.MaxClients, d.Now(), gate.Counting(state.Policy), grantsFor(state.Policy))
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(err, from.close())
	}
	if d.db.Damaged != "" {
		d.Log.Error("store was damaged, moved aside, started an empty one", "path", c.Store.Path, "moved_to", d.db.Damaged)
	} else if n := d.setAside(); n > 0 {
		d.Log.Warn("damaged stores of before lie beside the store, see what is to be saved and remove them", "path", c.Store.Path, "files", n)
	}
	d.sources = from
	if err := d.remember(ctx, c, state, ids); err != nil {
		return nil, nil, errors.Join(err, d.leave(), d.db.Close())
	}
	count.set.Store(d.metrics)
	debug.FreeOSMemory() // the rows of a million failures are read, and needed no more
	return d, c, nil
}

// grantsFor is how long a POP login is remembered.
func grantsFor(p *rules.Policy) time.Duration { return p.POP.Validity + gate.LapsedFor }

// remember opens the journal and the gate on the store, and joins the shared one.
func (d *Daemon) remember(ctx context.Context, c *config.Config, state gate.State, ids *journal.IDs) (err error) {
	d.journal = journal.New(d.db)
	d.ledger = d.memory
	if c.Store.Kind == config.StoreValkey {
		if err := d.join(ctx, c, d.memory, gate.Counting(state.Policy), grantsFor(state.Policy)); err != nil {
			return err
		}
	}
	sources := metrics.Sources{
		Since:   d.since,
		Blocked: func() int { return d.ledger.Blocked(d.Now(), d.window()) },
		StoreUp: func() bool { return d.storeFault() == nil }, FileUp: func() bool { return d.ledger.Healthy() == nil }, SetAside: d.setAside, DirectoryUp: d.directoryUp,
	}
	if d.shared != nil {
		sources.SharedUp, sources.Waiting = func() bool { return d.shared.Away() == nil }, d.shared.Waiting
	}
	d.metrics = metrics.New(sources)
	d.db.Measure = d.metrics.Stored
	d.gate, err = gate.New(gate.Options{
		Ledger: d.ledger, Journal: d.journal, IDs: ids, Host: d.host, Log: d.Log, Meter: hourMeter{d.metrics, d.hour},
		LogWaits: func() bool { return d.writer == nil || d.writer.congested() },
	})
	if err != nil {
		return err
	}
	d.use(c, state)
	return nil
}

// setAside is how many damaged stores lie beside ours. A directory that cannot be
// listed has none to show: status tells that.
func (d *Daemon) setAside() int {
	files, err := d.db.SetAside()
	if err != nil {
		d.Log.Warn("damaged stores not looked for", "error", err)
	}
	return len(files)
}

// deliver gives the store what it did not take before.
func (d *Daemon) deliver(ctx context.Context) {
	n, err := d.journal.Deliver(ctx)
	if n > 0 {
		d.Log.Info("refusals that had not been stored are", "entries", n)
	}
	if err != nil && ctx.Err() == nil && d.ledger.Healthy() == nil {
		d.Log.Error("refusals still not stored", "error", err)
	}
}

// use puts a configuration in force.
func (d *Daemon) use(c *config.Config, state gate.State) {
	now := d.Now()
	d.level.Set(c.Log.Level)
	set, _ := state.Directory.(*directory.Set)
	d.asked.Store(set)
	if d.Directory != nil {
		state.Directory = d.Directory(state.Directory)
	}
	d.gate.Use(state)
	d.config.Store(c)
	d.loaded.Store(&now)
}

func (d *Daemon) window() ledger.Window { return gate.Window(d.gate.State().Policy) }

// warnings are those of the configuration and of what the service manager opened.
func (d *Daemon) warnings(c *config.Config) []string {
	list := warnings(c)
	for _, at := range d.unused {
		list = append(list, fmt.Sprintf("the service manager listens at %s, and no key of [listen] does: who connects there waits in vain; set the key, or disable the socket's unit", at))
	}
	return list
}

// warnings says which rules have no witness, and what else a postmaster should
// know at start.
func warnings(c *config.Config) []string {
	var list []string
	witness := c.Listen.Auth.Addr != "" || len(c.Maillog.Files) > 0
	if !witness && c.Listen.SASL.Addr == "" {
		list = append(list, "nobody tells of failed logins, so no client will be blocked: set listen.auth and point Dovecot's auth_policy_server_url to it")
	}
	if !witness && c.SMTPAfterPOP.Enabled { // the SASL relay sees SMTP only
		list = append(list, "nobody tells of POP logins, so SMTP after POP authorises nobody: set listen.auth and point Dovecot's auth_policy_server_url to it")
	}
	if c.Listen.Policy.Addr == "" && c.SMTPAfterPOP.Enabled {
		list = append(list, "nobody asks about relaying, so SMTP after POP lets nobody relay: set listen.policy and name it in smtpd_relay_restrictions")
	}
	if c.Listen.Milter.Addr == "" && c.Relay.RefuseForwarded {
		list = append(list, "nobody shows message headers, so mail that other servers pass on is not refused: set listen.milter, or relay.refuse_forwarded = false")
	}
	if c.LoginFailures.Limit > 0 && c.Listen.Auth.Addr == "" && c.Listen.SASL.Addr == "" {
		list = append(list, "nobody asks before a password is checked, so login_failures delays nobody: set listen.auth and point Dovecot's auth_policy_server_url to it")
	}
	if c.Mode == config.ModeObserve {
		list = append(list, "mode is observe: nothing is refused")
	}
	return append(list, directoryWarnings(c)...)
}

// newLog is the daemon's log as [log] says. Both formats escape what clients
// sent; the level may be changed by a reload.
func newLog(w *logWriter, format config.LogFormat, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == config.LogJSON {
		return slog.New(heard{slog.NewJSONHandler(w, o), w})
	}
	return slog.New(heard{slog.NewTextHandler(w, o), w})
}

// forget prunes what is too old. It is called now and then; an end of ctx in the
// middle is no failure.
func (d *Daemon) forget(ctx context.Context) {
	c, p := d.config.Load(), d.gate.State().Policy
	if err := d.ledger.Prune(ctx, d.Now(), gate.Counting(p), grantsFor(p)); err != nil && ctx.Err() == nil {
		d.Log.Error("ledger not pruned", "error", err)
	}
	if err := d.journal.Prune(ctx, d.Now(), c.Journal.Keep, int64(c.Journal.MaxSize)); err != nil && ctx.Err() == nil {
		d.Log.Error("journal not pruned", "error", err)
	}
}

// shrink holds journal.max_size: between two prunings somebody who makes refusals
// on purpose could fill a disk.
func (d *Daemon) shrink(ctx context.Context) {
	c := d.config.Load()
	if err := d.journal.Prune(ctx, d.Now(), 0, int64(c.Journal.MaxSize)); err != nil && ctx.Err() == nil {
		d.Log.Error("journal not pruned", "error", err)
	}
}

// health logs each change of the store's health once.
type health struct{ down bool }

func (h *health) check(log *slog.Logger, err error) {
	switch {
	case err != nil && !h.down:
		log.Error("store cannot be written, refusals go to this log with their entries until it can", "error", err)
	case err == nil && h.down:
		log.Info("store can be written again")
	}
	h.down = err != nil
}
