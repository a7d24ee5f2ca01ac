package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"portreeve/internal/config"
)

// slowReader reads when it is told to.
type slowReader struct {
	lines
	writes int
	goOn   chan bool
}

func (r *slowReader) Write(p []byte) (int, error) {
	<-r.goOn
	r.writes++
	return r.lines.Write(p)
}

// TestLogDoesNotWait: whoever logs goes on while nobody reads; what was said meanwhile is
// written together, in order.
func TestLogDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool)}
		w := newLogWriter(reader)
		log := newLog(w, config.LogText, slog.LevelInfo)
		want := ""
		for i := range 1000 {
			log.Info("refused", "i", i)
			want += fmt.Sprintf("msg=refused i=%d\n", i)
			if i == 0 {
				time.Sleep(2 * togetherFor) // it is being written
			}
		}
		close(reader.goOn)
		w.flush()
		got := ""
		for line := range strings.Lines(reader.String()) {
			got += line[strings.Index(line, "msg="):]
		}
		if got != want {
			t.Errorf("got %s", got)
		}
		if reader.writes != 2 {
			t.Errorf("%d writes, want 2", reader.writes)
		}
	})
}

// TestLogKeepsItsLines: what is said while a batch is being written leaves that as it is,
// also after a batch whose buffer was too large to be kept.
func TestLogKeepsItsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool, 100)}
		w := newLogWriter(reader)
		want := ""
		say := func(line string) {
			want += line + "\n"
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				t.Error(err)
			}
		}
		for _, line := range []string{"short", strings.Repeat("x", 2*keptBuffer), "short"} {
			say(line)
			reader.goOn <- true
			w.flush()
		}
		for i := range 5 {
			say(fmt.Sprintf("one %d", i))
			time.Sleep(2 * togetherFor) // it is being written
			say(fmt.Sprintf("two %d", i))
			reader.goOn <- true
			reader.goOn <- true
			w.flush()
		}
		if got := reader.String(); got != want {
			t.Errorf("got %s", got[2*keptBuffer:])
		}
	})
}

// TestLogMakesRoom: who waits for room goes on as soon as there is some, not when it has
// been written what filled it.
func TestLogMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool)}
		w := newLogWriter(reader)
		full := strings.Repeat("x", mostUnread)
		var said atomic.Int64
		go func() {
			for range 3 { // one is being written, one waits to be, and one for room
				_, _ = io.WriteString(w, full)
				said.Add(1)
			}
		}()
		time.Sleep(2 * togetherFor)
		if said.Load() != 2 || !w.congested() {
			t.Errorf("%d said, congested %v", said.Load(), w.congested())
		}
		reader.goOn <- true // the first has been written, and the second is being
		synctest.Wait()
		if said.Load() != 3 || !w.congested() {
			t.Errorf("%d said, congested %v", said.Load(), w.congested())
		}
		close(reader.goOn)
		w.flush()
		w.flushWithin(0)
		if w.congested() {
			t.Error("congested, and all is read")
		}
	})
}

// TestLogWithoutAReader: nobody waits for ever at the end.
func TestLogWithoutAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool)}
		w := newLogWriter(reader)
		_, _ = io.WriteString(w, "stopped\n")
		began := time.Now()
		w.flushWithin(time.Minute)
		if took := time.Since(began); took != time.Minute {
			t.Errorf("%s", took)
		}
		close(reader.goOn)
		w.flush()
	})
}

// TestLogInHaste: a daemon that stops waits neither for room nor for its errors to be
// written, and what has room is not lost.
func TestLogInHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool)}
		w := newLogWriter(reader)
		one, two := newLog(w, config.LogText, slog.LevelInfo), newLog(w, config.LogText, slog.LevelInfo) // each has a lock of its own
		for range 2 {
			_, _ = io.WriteString(w, strings.Repeat("x", mostUnread))
			time.Sleep(2 * togetherFor)
		}
		var ended atomic.Int64
		for _, say := range []func(){func() { one.Info("stopped") }, func() { two.Error("refusals still not stored") }} {
			go func() {
				say()
				ended.Add(1)
			}()
		}
		synctest.Wait()
		if ended.Load() != 0 {
			t.Error("nobody waited")
		}
		w.beHasty()
		synctest.Wait()
		if ended.Load() != 2 {
			t.Errorf("%d of two went on", ended.Load())
		}
		close(reader.goOn)
		w.flushWithin(time.Minute)
		if n := len(reader.String()); n != 2*mostUnread {
			t.Errorf("%d bytes were written", n)
		}
	})
}

// TestLogBound: what nobody reads takes no more memory than a megabyte or so; who logs then
// waits, and before that is told that it may have to.
func TestLogBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := &slowReader{goOn: make(chan bool)}
		w := newLogWriter(reader)
		line := strings.Repeat("x", 1023) + "\n"
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * togetherFor) // it is being written
		said, warned := 0, 0
		var talking sync.WaitGroup
		talking.Go(func() {
			for range 1999 {
				if !w.congested() {
					warned = said + 1
				}
				if _, err := w.Write([]byte(line)); err != nil {
					t.Error(err)
				}
				said++
			}
		})
		synctest.Wait()
		if said != 1024 || warned != 1024/2+1 {
			t.Errorf("%d lines could be said without a wait, and %d without a warning", said, warned)
		}
		close(reader.goOn)
		talking.Wait()
		w.flush()
		if n := len(reader.String()); n != 2000*len(line) {
			t.Errorf("%d bytes were written", n)
		}
		if w.congested() {
			t.Error("congested, and all is read")
		}
	})
}

// TestLogIsHeard: an error has been written, with all before it, when whoever
// says it goes on.
func TestLogIsHeard(t *testing.T) {
	for _, format := range []config.LogFormat{config.LogText, config.LogJSON} {
		synctest.Test(t, func(t *testing.T) {
			reader := &slowReader{goOn: make(chan bool)}
			log := newLog(newLogWriter(reader), format, slog.LevelInfo).With("a", 1).WithGroup("g")
			log.Info("before")
			said := make(chan bool)
			go func() {
				log.Error("refusal not stored", "entry", "{}")
				close(said)
			}()
			synctest.Wait()
			select {
			case <-said:
				t.Error("it went on")
			default:
			}
			close(reader.goOn)
			<-said
			if got := reader.String(); !strings.Contains(got, "before") || !strings.Contains(got, "refusal not stored") {
				t.Errorf("written by then: %s", got)
			}
		})
	}
}
