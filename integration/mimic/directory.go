package mimic

import (
	"context"
	"errors"

	"portreeve/directory"
	"portreeve/rules"
)

// errDown is what a directory says that a story has made fail.
var errDown = errors.New("the story says that the directory fails")

// breakable puts the story's switch in front of a directory.
func (w *World) breakable(d directory.Directory) directory.Directory { return breakable{d, w} }

// Directory implements dialogue.Breakable. It holds over a restart of the daemon.
func (w *World) Directory(answers bool) { w.down.Store(!answers) }

// breakable is a directory that fails as a database does that has gone: at once,
// for every question, and with answers that mean nothing.
type breakable struct {
	directory.Directory
	world *World
}

func (b breakable) Account(ctx context.Context, login string) (*rules.Account, bool, error) {
	if b.world.down.Load() {
		return nil, false, errDown
	}
	return b.Directory.Account(ctx, login)
}

func (b breakable) Domains(ctx context.Context, domain string) ([]string, bool, error) {
	if b.world.down.Load() {
		return nil, false, errDown
	}
	return b.Directory.Domains(ctx, domain)
}

func (b breakable) Addresses(ctx context.Context, login string) ([]string, error) {
	if b.world.down.Load() {
		return nil, errDown
	}
	return b.Directory.Addresses(ctx, login)
}

func (b breakable) Senders(ctx context.Context, login string) ([]string, error) {
	if b.world.down.Load() {
		return nil, errDown
	}
	return b.Directory.Senders(ctx, login)
}

func (b breakable) Local(ctx context.Context, domain string) (bool, error) {
	if b.world.down.Load() {
		return false, errDown
	}
	return b.Directory.Local(ctx, domain)
}
