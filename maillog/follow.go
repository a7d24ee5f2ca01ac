package maillog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// lookEvery is how often a file is looked at without being told of a change:
	// rotations come without one, and some file systems never tell.
	lookEvery = time.Second
	// gather is how long changes are gathered: a busy log has thousands a second.
	gather = 20 * time.Millisecond
)

// Follower follows mail logs.
//
// github.com/nxadm/tail 1.4.11 was tried for it. It loses what a renamed file
// still gets before the log daemon is told, does not say which file a line came
// from, keeps a line without an end whole in memory, and ends the process when it
// cannot look at the file. So only the noticing of changes is a library's.
type Follower struct {
	teller  *teller
	sources []source
}

// source is one log. follow returns when ctx ends, and has then stored where.
type source interface {
	follow(ctx context.Context) error
	close() error
}

// Open finds every log and where it was left. An error says what to do.
func Open(ctx context.Context, o Options) (*Follower, error) {
	t, err := newTeller(o)
	if err != nil {
		return nil, err
	}
	f := &Follower{teller: t}
	var errs []error
	for _, path := range o.Files {
		if path == Journal {
			j := &systemd{teller: t}
			errs = append(errs, j.open(ctx))
			f.sources = append(f.sources, j)
			continue
		}
		one := &file{teller: t, path: path}
		errs = append(errs, one.open(ctx))
		f.sources = append(f.sources, one)
	}
	if errors.Join(errs...) != nil {
		for _, s := range f.sources {
			errs = append(errs, s.close())
		}
		return nil, errors.Join(errs...)
	}
	return f, nil
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		errs    []error
	)
	for _, s := range f.sources {
		running.Go(func() {
			if err := s.follow(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// follow implements source.
func (f *file) follow(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, f.close()) }()
	w := f.watch()
	defer func() { err = errors.Join(err, w.close()) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for due := true; ; {
		err := f.poll(ctx)
		w.on(f.current)
		// What was told since the last save would be told again after a crash, under
		// the same ids: there is no need to store each line's place.
		if due {
			err = errors.Join(err, f.save(context.WithoutCancel(ctx)))
		}
		f.report(err)
		if ctx.Err() != nil {
			return nil
		}
		due = w.wait(ctx, tick.C)
	}
}

// watch tells when the path's file changes. Where that cannot be had, the file is
// looked at every second all the same.
type watch struct {
	*file
	changes *fsnotify.Watcher // nil: there is none
	events  <-chan fsnotify.Event
	faults  <-chan error
	watched *reader
}

func (f *file) watch() *watch {
	w := &watch{file: f}
	changes, err := fsnotify.NewWatcher()
	if err != nil {
		f.Log.Warn("mail log looked at every second only, raise fs.inotify.max_user_instances", "path", f.path, "error", err)
		return w
	}
	w.changes, w.events, w.faults = changes, changes.Events, changes.Errors
	return w
}

// on begins to watch the file that the path names now.
func (w *watch) on(current *reader) {
	if w.changes == nil || current == nil || current == w.watched {
		return
	}
	w.watched = current
	if err := w.changes.Add(w.path); err != nil {
		w.Log.Debug("mail log not watched", "path", w.path, "error", err)
	}
}

// wait returns when the file may have changed. due tells that it is time to
// store the position.
func (w *watch) wait(ctx context.Context, tick <-chan time.Time) (due bool) {
	var gathered <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return true
		case <-tick:
			return true
		case <-gathered:
			return false
		case err := <-w.faults:
			w.Log.Debug("mail log watched badly", "path", w.path, "error", err)
		case <-w.events:
			if gathered == nil {
				gathered = time.After(gather)
			}
		}
	}
}

func (w *watch) close() error {
	if w.changes == nil {
		return nil
	}
	return w.changes.Close()
}
