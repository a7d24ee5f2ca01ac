package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"portreeve/maillog"
)

const (
	// maxLine is the longest line that is read, in bytes. Postfix cuts its own at
	// 2,000.
	maxLine = 16 << 10
	// peekLines bounds the look for a file's first readable line.
	peekLines = 10_000
)

// Stdin is the name of standard input among Options.Files.
const Stdin = "-"

// source is one log, read line by line.
type source struct {
	name string
	ref  time.Time // about when its last line was written
	raw  *counted
	in   io.Closer
	zip  *gzip.Reader // nil: not compressed
	read *bufio.Reader

	line  maillog.Line // the next one
	ended bool

	lines, unreadable, tooLong int
	from, to                   time.Time
	problem                    error
}

// counted counts what is read from a file, compressed or not, for the progress.
type counted struct {
	io.Reader
	n *int64
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += int64(n)
	return n, err
}

// compressions that are told apart, to say what to do.
var compressions = []struct{ magic, tool string }{
	{"\xfd7zXZ\x00", "xzcat"}, {"\x28\xb5\x2f\xfd", "zstdcat"}, {"BZh", "bzcat"},
}

// openSource opens a log, compressed by gzip or not. bytes counts what is read of it.
func openSource(name string, in io.ReadCloser, ref time.Time, bytes *int64) (*source, error) {
	s := &source{name: name, ref: ref, in: in, raw: &counted{in, bytes}}
	s.read = bufio.NewReaderSize(s.raw, maxLine)
	head, err := s.read.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("reading %s: %w: name a file that can be read", name, err), in.Close())
	}
	for _, c := range compressions {
		if strings.HasPrefix(string(head), c.magic) {
			return nil, errors.Join(fmt.Errorf("%s is compressed: run `%s %s | portreeve replay -`", name, c.tool, name), in.Close())
		}
	}
	if !strings.HasPrefix(string(head), "\x1f\x8b") {
		return s, nil
	}
	if s.zip, err = gzip.NewReader(s.read); err != nil {
		s.problem, s.ended = fmt.Errorf("it is no whole gzip file: %w", err), true
		return s, nil
	}
	if !s.zip.ModTime.IsZero() {
		s.ref = s.zip.ModTime.In(ref.Location()) // of the log before it was compressed
	}
	s.read = bufio.NewReaderSize(s.zip, maxLine)
	return s, nil
}

// openFile opens a file by its name.
func openFile(name string, location *time.Location, bytes *int64) (*source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w: name files that can be read", err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory: name the files in it", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return openSource(name, f, info.ModTime().In(location), bytes)
}

// next reads on to the next line whose prefix can be read.
func (s *source) next() {
	for !s.ended {
		text, err := s.readLine()
		if err != nil {
			s.ended = true
			if !errors.Is(err, io.EOF) {
				s.problem = fmt.Errorf("it could be read to its line %d only: %w", s.lines, err)
			}
			return
		}
		s.lines++
		l, ok := maillog.Split(text, s.ref)
		if !ok {
			s.unreadable++
			continue
		}
		if s.from.IsZero() {
			s.from = l.Time
		}
		s.line, s.to = l, l.Time
		return
	}
}

// readLine is the next line, without its end. One that is too long is skipped, and
// a last one without an end is taken if it is not half of one.
func (s *source) readLine() (string, error) {
	for {
		line, err := s.read.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
				return "", err
			}
			return string(bytes.TrimRight(line, "\r\n")), nil
		}
		s.lines++
		s.tooLong++
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = s.read.ReadSlice('\n')
		}
		if err != nil {
			return "", err
		}
	}
}

func (s *source) close() error {
	if err := s.in.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", s.name, err)
	}
	return nil
}

// report is what became of it.
func (s *source) report() File {
	f := File{Name: s.name, Lines: s.lines}
	if !s.from.IsZero() {
		from, to := s.from.UTC(), s.to.UTC()
		f.From, f.To = &from, &to
	}
	if s.problem != nil {
		f.Problem = s.problem.Error()
	}
	return f
}
