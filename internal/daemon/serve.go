package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portreeve/authpolicy"
	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/gate"
	"portreeve/internal/listen"
	"portreeve/internal/web"
	"portreeve/milter"
	"portreeve/policyd"
	"portreeve/rules"
	"portreeve/saslrelay"
)

const (
	// flushEvery is how often the counts of repeated refusals may be written.
	flushEvery = time.Second
	// pruneEvery is how often old entries are dropped.
	pruneEvery = 10 * time.Minute
	// checkpointEvery is how often the counters may be written, where many failures
	// have come: a start after a crash counts only those of the last minutes.
	checkpointEvery = 2 * time.Minute
	// shrinkEvery is how often the journal is held to its size.
	shrinkEvery = 30 * time.Second

	// othersAfter is how long the policy service, the auth policy and the SASL relay go
	// on at most when the daemon has been told to stop: a session that the milter waits
	// for (activeLinger there) cannot go on without them.
	othersAfter = 2 * time.Second

	// Postfix's processes run as another user; the directory protects the socket.
	frontMode = 0o666
	// The admin socket is for the daemon's user and group.
	adminMode = 0o660
)

// socket is one configured listener.
type socket struct {
	name    string // its key under [listen]
	address listen.Address
	mode    fs.FileMode
	ln      net.Listener // once opened
	passed  bool         // by the service manager, which keeps it
	full    *atomic.Bool // whether it has no place for another connection
}

// configured lists the listeners that are on.
func configured(c *config.Config) []socket {
	var on []socket
	for _, s := range []socket{
		{name: "policy", address: c.Listen.Policy, mode: frontMode},
		{name: "milter", address: c.Listen.Milter, mode: frontMode},
		{name: "auth", address: c.Listen.Auth, mode: frontMode},
		{name: "sasl", address: c.Listen.SASL, mode: frontMode},
		{name: "admin", address: c.Listen.Admin, mode: adminMode},
		{name: "web", address: c.Listen.Web, mode: frontMode},
	} {
		if s.address.Addr != "" {
			on = append(on, s)
		}
	}
	return on
}

// openListeners opens every listener or none. What the service manager opened at a
// listener's address is taken as it is, with its owner and mode; what it opened at
// others is left to it, and named.
func openListeners(c *config.Config, files []*os.File) (opened []socket, unused []string, err error) {
	passed, err := listen.Inherit(files)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range configured(c) {
		s.ln, s.full = passed.Take(s.address), &atomic.Bool{}
		if s.passed = s.ln != nil; !s.passed {
			if s.ln, err = listen.Open(s.address, s.mode); err != nil {
				return nil, nil, errors.Join(fmt.Errorf("opening listen.%s: %w", s.name, err), closeListeners(opened), passed.Close())
			}
		}
		if s.address.Network == "tcp" {
			s.address.Addr = s.ln.Addr().String() // port 0 has become a real one
		}
		opened = append(opened, s)
	}
	return opened, passed.Unused(), passed.Close()
}

// serve runs everything until ctx ends or one listener fails.
func (d *Daemon) serve(ctx context.Context, c *config.Config, sockets []socket, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	follower, err := d.openMaillog(ctx, c)
	if err != nil {
		return errors.Join(err, closeListeners(sockets))
	}
	d.sockets = sockets
	// The milter's sessions end first: what Postfix and Dovecot ask meanwhile for one
	// of them is answered, and the others go on for as long.
	others, stopOthers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOthers()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(othersAfter, stopOthers) })()
	if c.Listen.Milter.Addr == "" {
		defer context.AfterFunc(ctx, stopOthers)()
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		errs    []error
	)
	for _, s := range sockets {
		d.Log.Info("listening", "listener", s.name, "address", s.address.String(), "passed", s.passed)
		running.Go(func() {
			until := others
			if s.name == "milter" {
				until = ctx
				defer stopOthers()
			}
			if err := d.front(until, c, s); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("listen.%s: %w", s.name, err))
				mu.Unlock()
				stop()
			}
		})
	}
	if follower != nil {
		running.Go(func() {
			if err := follower.Run(ctx); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("maillog.files: %w", err))
				mu.Unlock()
				stop()
			}
		})
	}
	running.Go(func() { d.housekeep(ctx) })
	running.Go(func() { d.checkpoints(ctx) })
	running.Go(func() { d.reloads(ctx) })
	ready()
	if d.Stopping != nil {
		defer context.AfterFunc(ctx, d.Stopping)()
	}
	if d.Alive != nil {
		w := witness{every: d.AliveEvery, signs: d.signs(sockets), alive: d.Alive, log: d.Log}
		running.Go(func() { w.watch(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// front serves one listener until ctx ends, and drains it.
func (d *Daemon) front(ctx context.Context, c *config.Config, s socket) error {
	guard := listen.Server{Allow: c.Listen.Allow, Log: d.Log, Meter: d.metrics, Full: s.full}
	if s.name != "milter" {
		guard.Drain = listen.DefaultDrain - othersAfter
	}
	switch s.name {
	case "policy":
		guard.Name = rules.ProtocolPolicy
		poller, err := listen.NewPoller(d.Now)
		if err != nil {
			return errors.Join(err, s.ln.Close())
		}
		guard.Handle = (&policyd.Server{
			Gate: d.gate, Now: d.Now, Log: d.Log, Meter: d.metrics, Poller: poller, Prompt: promptGate{d.gate},
		}).Handle
		return errors.Join(guard.Serve(ctx, s.ln), poller.Close())
	case "milter":
		guard.Name = rules.ProtocolMilter
		guard.Handle = (&milter.Server{Gate: d.gate, Now: d.Now, Log: d.Log, Meter: d.metrics}).Handle
		return guard.Serve(ctx, s.ln)
	case "auth":
		handler := authpolicy.New(authpolicy.Options{
			Token: func() string { return string(d.config.Load().AuthPolicy.Token) },
			Gate:  talkingGate{d.gate, d.talkers}, Now: d.Now, Log: d.Log, Meter: authMeter{d.metrics, d.gate},
		})
		return (&authpolicy.Server{Handler: handler, Allow: guard.Allow, Drain: guard.Drain, Log: d.Log, Meter: d.metrics}).Serve(ctx, s.ln)
	case "sasl":
		guard.Name = rules.ProtocolSASL
		guard.Handle = (&saslrelay.Server{
			Gate: talkingGate{d.gate, d.talkers}, Now: d.Now, Log: d.Log, Meter: d.metrics,
			Upstream: func() listen.Address { return d.config.Load().SASL.Upstream },
		}).Handle
		return guard.Serve(ctx, s.ln)
	case "admin":
		guard.Name = rules.Protocol(s.name)
		return web.Serve(ctx, guard.Listener(ctx, s.ln), admin.Handler(backend{d}, d.Log))
	default:
		guard.Name = rules.Protocol(s.name)
		return web.Serve(ctx, guard.Listener(ctx, s.ln), web.Handler(d.metrics.Handler(), d.ledger.Healthy, d.desk()))
	}
}

// promptGate is the gate as the policy service's poller asks it.
type promptGate struct{ *gate.Gate }

func (g promptGate) Begin(ctx context.Context, r *rules.Request, d *rules.Decision) policyd.Rest {
	if rest := g.Gate.Begin(ctx, r, d); rest != nil {
		return rest
	}
	return nil
}

// checkpoints writes the counters now and then. That takes a while, and nothing waits for
// it.
func (d *Daemon) checkpoints(ctx context.Context) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.memory.Checkpoint(ctx, gate.Counting(d.gate.State().Policy)); err != nil && ctx.Err() == nil {
				d.Log.Warn("counters not written, a start after a crash counts the failed logins again and takes longer", "error", err)
			}
		}
	}
}

// housekeep writes counts and drops what is too old.
func (d *Daemon) housekeep(ctx context.Context) {
	flush, shrink, prune := time.NewTicker(flushEvery), time.NewTicker(shrinkEvery), time.NewTicker(pruneEvery)
	defer flush.Stop()
	defer shrink.Stop()
	defer prune.Stop()
	var h health
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			d.gate.FlushDue()
			h.check(d.Log, d.ledger.Healthy())
			if !h.down {
				d.deliver(ctx)
			}
			if set := d.set(); set != nil {
				set.Tick(d.Log)
			}
		case <-shrink.C:
			d.shrink(ctx)
		case <-prune.C:
			d.forget(ctx)
		}
	}
}
