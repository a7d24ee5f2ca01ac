package maillog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

const (
	// maxLine is the longest line that is read, in bytes. Postfix's, and what log
	// daemons let through, are far below it.
	maxLine = 64 << 10
	// headSize is how many first bytes tell one file from another: they hold a time
	// stamp. Fewer than headCertain could be those of another file, too.
	headSize    = 256
	headCertain = 64
)

// position is where a file was read to. The file is known by its inode and its
// first bytes, since it will have another name after the next rotation, and after
// copytruncate another inode, too.
type position struct {
	Device     uint64 `json:"device"`
	Inode      uint64 `json:"inode"`
	Offset     int64  `json:"offset"` // of the first line that was not read
	Head       string `json:"head"`   // SHA-256 of the first bytes
	HeadLength int    `json:"head_length"`
}

// reader reads the whole lines of one open file.
type reader struct {
	file     *os.File
	start    int64  // offset of the first line that was not handed over
	next     int64  // offset of the next byte to read
	buf      []byte // what was read of the line at start
	skipping bool   // the line at start is too long, or its beginning was not seen
	head     []byte
	chunk    []byte
}

// newReader reads the file from an offset. In the middle of a line it begins
// with the next one: the rest of a line is what a client might have chosen.
func newReader(f *os.File, offset int64) (*reader, error) {
	r := &reader{file: f, start: offset, next: offset, chunk: make([]byte, maxLine)}
	if offset > 0 {
		before := make([]byte, 1)
		if _, err := f.ReadAt(before, offset-1); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
		}
		r.skipping = before[0] != '\n'
	}
	return r, r.see()
}

// rewind begins again: the file was truncated.
func (r *reader) rewind() {
	r.start, r.next, r.buf, r.skipping, r.head = 0, 0, nil, false, nil
}

// read hands over each whole line that was not yet, and its offset. A line
// without its newline waits. long is how many lines were too long.
func (r *reader) read(each func(offset int64, line string)) (long int, err error) {
	for {
		n, err := r.file.ReadAt(r.chunk, r.next)
		r.next += int64(n)
		rest := r.chunk[:n]
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			long += r.line(line, each)
			rest = after
			r.start = r.next - int64(len(rest))
		}
		long += r.keep(rest)
		if err != nil && !errors.Is(err, io.EOF) {
			return long, fmt.Errorf("reading %s: %w", r.file.Name(), err)
		}
		if err != nil {
			return long, r.see()
		}
	}
}

// line ends the line at start.
func (r *reader) line(end []byte, each func(offset int64, line string)) (long int) {
	whole := end
	if len(r.buf) > 0 {
		whole = append(r.buf, end...)
	}
	switch {
	case r.skipping:
	case len(whole) > maxLine:
		long = 1
	default:
		each(r.start, string(whole))
	}
	r.buf, r.skipping = r.buf[:0], false
	return long
}

// keep keeps what has no newline yet.
func (r *reader) keep(rest []byte) (long int) {
	if r.skipping {
		return 0
	}
	if r.buf = append(r.buf, rest...); len(r.buf) > maxLine {
		r.buf, r.skipping, long = r.buf[:0], true, 1
	}
	return long
}

// see keeps the file's first bytes, while there are more than before.
func (r *reader) see() error {
	if len(r.head) == headSize {
		return nil
	}
	head, err := headOf(r.file, headSize)
	if err == nil && len(head) > len(r.head) {
		r.head = head
	}
	return err
}

// replaced tells whether other content stands in the file than was read.
func (r *reader) replaced() (bool, error) {
	info, err := r.file.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", r.file.Name(), err)
	}
	if info.Size() < r.next {
		return true, nil
	}
	head, err := headOf(r.file, len(r.head))
	return !bytes.Equal(head, r.head), err
}

func (r *reader) position() (position, error) {
	info, err := r.file.Stat()
	if err != nil {
		return position{}, fmt.Errorf("looking at %s: %w", r.file.Name(), err)
	}
	p := position{Offset: r.start, HeadLength: len(r.head), Head: fingerprint(r.head)}
	p.Device, p.Inode = identity(info)
	return p, nil
}

// of tells whether the file is the one that the position is about.
func (p position) of(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", f.Name(), err)
	}
	if !info.Mode().IsRegular() || info.Size() < p.Offset {
		return false, nil
	}
	head, err := headOf(f, p.HeadLength)
	if err != nil || len(head) != p.HeadLength || fingerprint(head) != p.Head {
		return false, err
	}
	device, inode := identity(info)
	return p.HeadLength >= headCertain || device == p.Device && inode == p.Inode, nil
}

func headOf(f *os.File, n int) ([]byte, error) {
	head := make([]byte, n)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	return head[:n], nil
}

func fingerprint(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:])
}

func identity(info os.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), s.Ino //nolint:unconvert // Dev is 32 bits wide elsewhere
	}
	return 0, 0
}
