package maillog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"portreeve/rules"
)

// quiet is how long a rotated file may still be written to: log daemons keep it
// open until logrotate's postrotate tells them.
const quiet = time.Minute

// file follows one path through rotations.
type file struct {
	*teller
	path string

	current *reader    // what the path names; nil while there is none
	rotated []*rotated // what it named before, oldest first
	live    bool       // all that was there at the start has been read
	saved   []byte     // the position that is stored
	failing string     // the error that was logged last
}

// rotated is a file that has lost its name, and may still get lines.
type rotated struct {
	*reader
	last time.Time // when it had a line, or was rotated
}

// open finds the place where the file was left. A file that was never followed
// is followed from its end: what stands in it is older than the wish to know.
func (f *file) open(ctx context.Context) error {
	saved, err := f.Positions.Position(ctx, f.path)
	if err != nil {
		return err
	}
	var p position
	known := saved != nil
	if known {
		if err := json.Unmarshal(saved, &p); err != nil {
			return fmt.Errorf("reading where %s was left: %w: delete its row of maillog_positions from the store", f.path, err)
		}
		f.saved = saved
	}
	opened, err := os.Open(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Log.Warn("mail log does not exist yet, waiting for it", "path", f.path)
	case err != nil:
		return fmt.Errorf("opening the mail log: %w: let Portreeve's user read it (on Debian: adduser portreeve adm)", err)
	default:
		if err := f.begin(opened, p, known); err != nil {
			return errors.Join(err, opened.Close())
		}
	}
	if !known || f.current != nil && f.current.start > 0 {
		return nil
	}
	return f.resumeRotated(p)
}

// begin starts to read the file that the path names now: where it was left if
// it is still that one, from the beginning if it was rotated since.
func (f *file) begin(opened *os.File, p position, known bool) (err error) {
	info, err := opened.Stat()
	if err != nil {
		return fmt.Errorf("looking at the mail log: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the mail log %s is no regular file: name one in maillog.files, or %q for systemd's", f.path, Journal)
	}
	offset := info.Size()
	if known {
		offset = 0
		if same, err := p.of(opened); err != nil {
			return err
		} else if same {
			offset = p.Offset
		}
	}
	f.current, err = newReader(opened, offset)
	return err
}

// resumeRotated looks for the file that was left, under another name. It is read
// to its end, before its successor.
func (f *file) resumeRotated(p position) error {
	if p.Offset == 0 {
		return nil
	}
	r, err := f.find(p)
	if err != nil {
		return err
	}
	if r == nil {
		f.Log.Warn("mail log was rotated away, lines may have been missed", "path", f.path)
		return nil
	}
	f.rotated = append(f.rotated, &rotated{r, f.Now()})
	return nil
}

// find opens the file that the position is about among those beside the path
// whose names begin like it (mail.log.1, mail.log-20251122). nil: there is none,
// or it is compressed already.
func (f *file) find(p position) (*reader, error) {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		path = f.path // it does not exist: it has no other name either
	}
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("looking for the rotated mail log: %w: let Portreeve's user read the directory", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || e.Name() == base || !e.Type().IsRegular() {
			continue
		}
		opened, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // gone already, or not for us: another may be the one
		}
		if same, err := p.of(opened); err == nil && same {
			return newReader(opened, p.Offset)
		}
		if err := opened.Close(); err != nil {
			return nil, fmt.Errorf("looking for the rotated mail log: %w", err)
		}
	}
	return nil, nil
}

// poll reads what is new, and notices rotations. Errors do not last: it is
// called again within a second.
func (f *file) poll(ctx context.Context) error {
	errs := []error{f.truncated(ctx), f.renamed()}
	now, still := f.Now(), f.rotated[:0]
	for _, r := range f.rotated {
		before := r.next
		errs = append(errs, f.readOne(ctx, r.reader))
		if r.next != before {
			r.last = now
		}
		if now.Sub(r.last) > quiet {
			errs = append(errs, r.file.Close())
			continue
		}
		still = append(still, r)
	}
	f.rotated = still
	if f.current != nil {
		errs = append(errs, f.readOne(ctx, f.current))
	}
	f.live = true
	return errors.Join(errs...)
}

// truncated notices that the file was emptied in place (logrotate's
// copytruncate). What was not read before stands at the end of the copy.
func (f *file) truncated(ctx context.Context) error {
	if f.current == nil {
		return nil
	}
	gone, err := f.current.replaced()
	if err != nil || !gone {
		return err
	}
	p, err := f.current.position()
	if err != nil {
		return err
	}
	f.current.rewind()
	rest, err := f.find(p)
	if err != nil || rest == nil {
		return err
	}
	return errors.Join(f.readOne(ctx, rest), rest.file.Close())
}

// renamed notices that the path names another file than before.
func (f *file) renamed() error {
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // in the middle of a rotation, or not there yet
	}
	if err != nil {
		return fmt.Errorf("looking at the mail log: %w", err)
	}
	if f.current != nil {
		was, err := f.current.file.Stat()
		if err != nil || os.SameFile(was, now) {
			return err
		}
	}
	opened, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("opening the mail log after its rotation: %w: let Portreeve's user read it", err)
	}
	r, err := newReader(opened, 0)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	if f.current != nil {
		f.rotated = append(f.rotated, &rotated{f.current, f.Now()})
	}
	f.current = r
	f.Log.Info("mail log opened", "path", f.path)
	return nil
}

// readOne tells what one file's new lines tell.
func (f *file) readOne(ctx context.Context, r *reader) error {
	long, err := r.read(func(offset int64, line string) {
		if e, ok := Parse(line, f.Now()); ok {
			f.tell(ctx, e, fmt.Sprintf("%s\x00%d\x00%s", f.path, offset, line), f.live)
		}
	})
	for range long {
		f.Meter.ProtocolError(rules.ProtocolMaillog)
		f.Log.Warn("line of the mail log skipped, it is too long", "protocol", rules.ProtocolMaillog, "path", f.path, "limit", maxLine)
	}
	return err
}

// save stores where to go on. While a rotated file is still read, that is in
// there: its successor is then read again, and told again under the same ids.
func (f *file) save(ctx context.Context) error {
	r := f.current
	if len(f.rotated) > 0 {
		r = f.rotated[0].reader
	}
	if r == nil {
		return nil
	}
	p, err := r.position()
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil || string(text) == string(f.saved) {
		return err
	}
	if err := f.Positions.SetPosition(ctx, f.path, text); err != nil {
		return err
	}
	f.saved = text
	return nil
}

// report logs an error when it is another one than before.
func (f *file) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == f.failing:
	case err != nil:
		f.Log.Error("mail log not followed", "path", f.path, "error", err)
	default:
		f.Log.Info("mail log followed again", "path", f.path)
	}
	f.failing = text
}

func (f *file) close() error {
	var errs []error
	for _, r := range f.rotated {
		errs = append(errs, r.file.Close())
	}
	if f.current != nil {
		errs = append(errs, f.current.file.Close())
	}
	return errors.Join(errs...)
}
