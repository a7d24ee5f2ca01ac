package daemon

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

const (
	// mostUnread is how many bytes of the log may wait for its reader; who has something to
	// say then waits, too.
	mostUnread = 1 << 20
	keptBuffer = 64 << 10 // bytes, for the next lines
)

// logWriter is the log on its way to its reader. Whoever logs goes on at once, and a goroutine
// writes whatever there is together: a write for each refusal is a tenth of its cost, and a
// reader that is slow would hold up every client.
type logWriter struct {
	to io.Writer

	mu      sync.Mutex
	changed sync.Cond
	unread  []byte
	spare   []byte
	writing bool // a goroutine does, as long as there is something

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
	for len(w.unread) >= mostUnread {
		w.changed.Wait()
	}
	w.unread = append(w.unread, line...)
	w.said += int64(len(line))
	if !w.writing {
		w.writing = true
		go w.write()
	}
	return len(line), nil
}

func (w *logWriter) write() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.unread) > 0 {
		now := w.unread
		w.unread = w.spare[:0]
		w.mu.Unlock()
		_, _ = w.to.Write(now)
		w.mu.Lock()
		if w.written += int64(len(now)); cap(now) <= keptBuffer {
			w.spare = now
		}
		w.changed.Broadcast()
	}
	w.writing = false
}

// flush waits until everything that has been said by now is written.
func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for said := w.said; w.written < said; {
		w.changed.Wait()
	}
}

// congested tells whether whoever logs now may have to wait.
func (w *logWriter) congested() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.unread) > mostUnread/2
}

// heard is a handler whose warnings and errors have been written when it returns: they may
// be the last ones, or, as the entry of a refusal that is not stored, all there is.
type heard struct {
	slog.Handler
	w *logWriter
}

// Handle implements slog.Handler.
func (h heard) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
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
