package daemon

import (
	"context"
	"time"

	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/gate"
	"portreeve/internal/tomlfile"
)

// Load reads the configuration and the directory that it names, and reports
// every problem of both. The state may be put in force if there are none.
func Load(path string) (*config.Config, gate.State, []tomlfile.Problem) {
	return newSources(time.Now, nil).load(path)
}

// load is Load with the sources that are open already.
func (s *sources) load(path string) (*config.Config, gate.State, []tomlfile.Problem) {
	c, problems := config.Load(path)
	if c == nil {
		return nil, gate.State{}, problems
	}
	state := gate.State{Policy: c.Policy()}
	if len(problems) == 0 || c.Directory.Source == config.SourceFile && c.Directory.Senders == (config.SendersSource{}) {
		var more []tomlfile.Problem
		state.Directory, more = s.directory(c)
		problems = append(problems, more...)
	}
	return c, state, problems
}

// reloads answers SIGHUP until ctx ends.
func (d *Daemon) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.Reload:
			d.reload()
		}
	}
}

// reload reads everything again. A file with a problem changes nothing.
func (d *Daemon) reload() admin.Reloaded {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if d.Reloading != nil {
		d.Reloading(false)
		defer d.Reloading(true)
	}
	old := d.config.Load()
	c, state, problems := d.sources.load(d.ConfigPath)
	result := admin.Reloaded{Problems: []string{}, NeedsRestart: []string{}}
	if len(problems) > 0 {
		for _, p := range problems {
			d.Log.Error("configuration not reloaded", "problem", p.String())
			result.Problems = append(result.Problems, p.String())
		}
		d.settle(0) // what was opened for it
		return result
	}
	if keys := keep(old, c); len(keys) > 0 {
		d.Log.Warn("some keys take effect at the next start only", "keys", keys)
		result.NeedsRestart = keys
		state.Policy = c.Policy() // refuse_at follows the listeners that are open
	}
	d.use(c, state)
	if set := d.set(); set != nil {
		set.Purge()
	}
	d.settle(closeAfter)
	d.Log.Info("configuration reloaded", "path", d.ConfigPath)
	return result
}

// keep leaves what cannot change while the daemon runs as it was, and names the
// keys that differ.
func keep(old, c *config.Config) []string {
	keys := config.RestartNeeded(old, c)
	if c.Log.Format != old.Log.Format {
		keys = append(keys, "log.format")
	}
	c.Listen, c.Maillog, c.Store, c.Log.Format = old.Listen, old.Maillog, old.Store, old.Log.Format
	// A file without listen.auth needs no token, but the listener goes on until
	// the restart. Without its token it would answer nobody, and Dovecot would
	// let everybody in and have no failure counted (FACTS.md 2.6).
	if c.Listen.Auth.Addr != "" && c.AuthPolicy.Token == "" {
		c.AuthPolicy = old.AuthPolicy
	}
	// So does a relay that the file has turned off: it needs its upstream.
	if c.Listen.SASL.Addr != "" && c.SASL.Upstream.Addr == "" {
		c.SASL = old.SASL
	}
	return keys
}
