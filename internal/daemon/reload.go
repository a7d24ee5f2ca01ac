package daemon

import (
	"context"

	"portreeve/directory"
	"portreeve/internal/admin"
	"portreeve/internal/config"
	"portreeve/internal/gate"
	"portreeve/internal/tomlfile"
)

// Load reads the configuration and the directory that it names, and reports
// every problem of both. The state may be put in force if there are none.
func Load(path string) (*config.Config, gate.State, []tomlfile.Problem) {
	c, problems := config.Load(path)
	if c == nil {
		return nil, gate.State{}, problems
	}
	state := gate.State{Policy: c.Policy()}
	if c.Directory.Source == config.SourceFile {
		file, more := directory.OpenFile(c.Directory.File, c.Logins())
		state.Directory = file
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
	c, state, problems := Load(d.ConfigPath)
	result := admin.Reloaded{Problems: []string{}, NeedsRestart: []string{}}
	if len(problems) > 0 {
		for _, p := range problems {
			d.Log.Error("configuration not reloaded", "problem", p.String())
			result.Problems = append(result.Problems, p.String())
		}
		return result
	}
	if keys := config.RestartNeeded(old, c); len(keys) > 0 {
		d.Log.Warn("some keys take effect at the next start only", "keys", keys)
		result.NeedsRestart = keys
		c.Listen, c.Store = old.Listen, old.Store
		state.Policy = c.Policy() // refuse_at follows the listeners that are open
	}
	d.use(c, state)
	d.Log.Info("configuration reloaded", "path", d.ConfigPath)
	return result
}
