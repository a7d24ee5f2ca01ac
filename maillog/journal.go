package maillog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portreeve/rules"
)

// Journal stands in Options.Files for systemd's journal.
const Journal = "journal"

const (
	// maxEntry bounds one entry as JSON, where text that is no UTF-8 takes four
	// bytes a byte.
	maxEntry = 4*maxLine + 64<<10
	// again is the wait before journalctl is started again, and grace the time that
	// it has to end.
	again = 5 * time.Second
	grace = 2 * time.Second
)

// systemd follows the journal by way of journalctl: its library needs cgo.
type systemd struct {
	*teller
	program string
	since   time.Time // older entries are none of ours, while there is no cursor
	cursor  string    // of the last entry that was read, or was there before
	saved   string
	savedAt time.Time
}

func (s *systemd) open(ctx context.Context) error {
	program, err := exec.LookPath("journalctl")
	if err != nil {
		return fmt.Errorf("following systemd's journal: %w: install systemd, or name the mail log's file in maillog.files", err)
	}
	saved, err := s.Positions.Position(ctx, Journal)
	if err != nil {
		return err
	}
	s.program, s.cursor, s.saved = program, string(saved), string(saved)
	if saved != nil {
		return nil
	}
	s.since = s.Now()
	s.cursor = s.end(ctx)
	return s.save(ctx)
}

// end is the cursor of the journal's last entry, whoever wrote it: what follows
// is ours. An empty journal has none. Neither has one that cannot be read; what
// is wrong with it will be said when it is followed.
func (s *systemd) end(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, s.program, "--quiet", "--lines=0", "--show-cursor").Output()
	if err != nil { // so ends journalctl 252 where there is no entry, too
		s.Log.Debug("the journal's end not found", "error", err)
	}
	_, cursor, _ := strings.Cut(strings.TrimSpace(string(out)), "-- cursor: ")
	return cursor
}

// close implements source: journalctl does not run yet.
func (s *systemd) close() error { return nil }

// follow implements source.
func (s *systemd) follow(ctx context.Context) error {
	for {
		err := s.run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.Log.Error("journal not followed", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// run reads one journalctl's output until it ends.
func (s *systemd) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.program, s.arguments()...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var complaint tail
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting journalctl: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting journalctl: %w: install systemd, or name the mail log's file in maillog.files", err)
	}
	err = s.read(ctx, out)
	if wait := cmd.Wait(); err == nil {
		err = wait
	}
	err = errors.Join(err, s.save(context.WithoutCancel(ctx)))
	if err == nil {
		err = errors.New("it ended")
	}
	return fmt.Errorf("journalctl: %w: %s: let Portreeve's user read the journal (adduser portreeve systemd-journal), and its unit all of /proc (contrib/systemd/examples/maillog.conf)", err, &complaint)
}

// arguments ask for what mail programs log, from the last entry that was read,
// which comes again. (Asked for what is after it, journalctl 252 swallows an entry
// where that one has been vacuumed; 257 does not.)
func (s *systemd) arguments() []string {
	args := []string{
		"--follow", "--no-tail", "--quiet", "--output=json", "--all",
		"--output-fields=MESSAGE,SYSLOG_IDENTIFIER",
	}
	if s.cursor == "" {
		args = append(args, fmt.Sprintf("--since=@%d", s.since.Unix()))
	} else {
		args = append(args, "--cursor="+s.cursor)
	}
	// mail, and local6: what Cyrus is built with where no distribution changed it.
	return append(args, "SYSLOG_FACILITY=2", "SYSLOG_FACILITY=22")
}

// read tells what each line of journalctl's output tells.
func (s *systemd) read(ctx context.Context, out io.Reader) error {
	lines := bufio.NewReaderSize(out, maxEntry)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			s.Meter.ProtocolError(rules.ProtocolMaillog)
			s.Log.Warn("entry of the journal skipped, it is too long", "protocol", rules.ProtocolMaillog, "limit", maxEntry)
			if err := discardLine(lines); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading: %w", err)
		default:
			s.entry(ctx, line)
		}
	}
}

func discardLine(r *bufio.Reader) error {
	for {
		_, err := r.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// entry reads one entry. journalctl's fields are the journal's own except for the
// message, which is its whole value, so that no text can pass for another entry.
func (s *systemd) entry(ctx context.Context, line []byte) {
	var fields struct {
		Cursor     string          `json:"__CURSOR"`
		Time       string          `json:"__REALTIME_TIMESTAMP"` // microseconds
		Identifier json.RawMessage `json:"SYSLOG_IDENTIFIER"`
		Message    json.RawMessage `json:"MESSAGE"`
	}
	if err := json.Unmarshal(line, &fields); err != nil || fields.Cursor == "" {
		s.Meter.ProtocolError(rules.ProtocolMaillog)
		s.Log.Warn("entry of the journal not understood", "protocol", rules.ProtocolMaillog, "error", err)
		return
	}
	if fields.Cursor == s.cursor {
		return // see arguments
	}
	s.cursor = fields.Cursor
	micros, err := strconv.ParseInt(fields.Time, 10, 64)
	if at := time.UnixMicro(micros); err == nil && !at.Before(s.since) {
		m := message{time: at, zoned: true, program: text(fields.Identifier), text: text(fields.Message)}
		if e, ok := m.entry(); ok {
			s.tell(ctx, e, Journal+"\x00"+fields.Cursor, true)
		}
	}
	if now := s.Now(); now.Sub(s.savedAt) >= lookEvery {
		s.savedAt = now
		if err := s.save(ctx); err != nil {
			s.Log.Error("place in the journal not stored", "error", err)
		}
	}
}

// text is a field's value: a string, or a list of bytes when it is no UTF-8.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var list []int16
	if json.Unmarshal(raw, &list) != nil {
		return ""
	}
	b := make([]byte, len(list))
	for i, n := range list {
		b[i] = byte(n)
	}
	return string(b)
}

func (s *systemd) save(ctx context.Context) error {
	if s.cursor == s.saved {
		return nil
	}
	cursor := s.cursor
	if err := s.Positions.SetPosition(ctx, Journal, []byte(cursor)); err != nil {
		return err
	}
	s.saved = cursor
	return nil
}

// tail keeps the last line that a program complained with.
type tail struct{ last []byte }

const maxComplaint = 512

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	if trimmed := bytes.TrimSpace(p); len(trimmed) > 0 {
		t.last = append(t.last[:0], trimmed[max(0, len(trimmed)-maxComplaint):]...)
	}
	return len(p), nil
}

// String is that line.
func (t *tail) String() string {
	lines := strings.Split(string(t.last), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return "it said nothing"
}
