package daemon

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// mostUnread is how many bytes of the log may wait for its reader; who has something to
	// say then waits, too.
	mostUnread = 1 << 20
	keptBuffer = 64 << 10 // bytes, for the next lines
	// togetherFor is how long a line waits for others.
	togetherFor = 5 * time.Millisecond
)

// logWriter is the log on its way to its reader. Whoever logs goes on at once, and what was
// said within some milliseconds is written together: a write for each refusal is a tenth of
// its cost, and a reader that is slow would hold up every client.
type logWriter struct {
	to io.Writer

	mu      sync.Mutex
	changed sync.Cond
	unread  []byte
	spare   []byte
	writing bool        // a goroutine does,
	due     *time.Timer // or will at that time, or is about to
	waiting int         // for room
	hasty   bool        // nobody waits any more

	said, written int64 // bytes since the start
}

func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to}
	w.changed.L = &w.mu
	return w
}

// Write implements io.Writer. It never fails: as anywhere in log/slog, nobody could be
// told.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.unread) >= mostUnread && !w.hasty {
		w.hurry()
		w.waiting++
		w.changed.Wait()
		w.waiting--
	}
	if len(w.unread) >= mostUnread {
		return len(line), nil // it is lost
	}
	w.unread = append(w.unread, line...)
	w.said += int64(len(line))
	w.plan()
	return len(line), nil
}

// plan sees to it that what there is will be written.
func (w *logWriter) plan() {
	if !w.writing && w.due == nil {
		w.due = time.AfterFunc(togetherFor, w.write)
	}
	if len(w.unread) > mostUnread/4 {
		w.hurry()
	}
}

// hurry has what there is written at once.
func (w *logWriter) hurry() {
	if w.due != nil && w.due.Stop() {
		w.due, w.writing = nil, true
		go w.write()
	}
}

func (w *logWriter) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due, w.writing = nil, true
	now := w.unread
	w.unread, w.spare = w.spare[:0], nil
	w.changed.Broadcast() // there is room
	w.mu.Unlock()
	_, _ = w.to.Write(now)
	w.mu.Lock()
	w.writing = false
	if w.written += int64(len(now)); cap(now) <= keptBuffer {
		w.spare = now
	}
	if len(w.unread) > 0 {
		w.plan()
	}
	w.changed.Broadcast()
}

// flush waits until everything that has been said by now is written.
func (w *logWriter) flush() { w.wait(func() bool { return w.hasty }) }

func (w *logWriter) wait(enough func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for said := w.said; w.written < said && !enough(); {
		w.hurry()
		w.changed.Wait()
	}
}

// beHasty lets nobody wait from now on: who reads nothing must not keep the daemon from
// stopping. What has no room is lost.
func (w *logWriter) beHasty() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hasty = true
	w.changed.Broadcast()
}

// flushWithin is flush for somebody who has not more time than that, in haste or not.
func (w *logWriter) flushWithin(d time.Duration) {
	written := make(chan struct{})
	go func() {
		w.wait(func() bool { return false })
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(d):
	}
}

// congested tells whether whoever logs now may have to wait.
func (w *logWriter) congested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting > 0 || len(w.unread) > mostUnread/2
}

// heard is a handler whose errors have been written when it returns: they may be the last
// lines, or, as the entry of a refusal that is not stored, all there is.
type heard struct {
	slog.Handler
	w *logWriter
}

// Handle implements slog.Handler.
func (h heard) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		h.w.flush()
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h heard) WithAttrs(attrs []slog.Attr) slog.Handler {
	return heard{h.Handler.WithAttrs(attrs), h.w}
}

// WithGroup implements slog.Handler.
func (h heard) WithGroup(name string) slog.Handler {
	return heard{h.Handler.WithGroup(name), h.w}
}
