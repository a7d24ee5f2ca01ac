package mailheader

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"portreeve/rules"
)

// DefaultLimit is how long a message's header may be for Read: more than
// Postfix takes (header_size_limit is 102,400 bytes a field).
const DefaultLimit = 16 << 20

// Read reads a message's header up to the empty line, and returns its trail as
// the milter would see it. Like Postfix, it skips a "From " line of a mailbox
// file at the beginning, and takes the first line that is no field as the end
// of the header. A header of more than limit bytes is an error.
func Read(r io.Reader, limit int64) (*rules.Message, error) {
	in := bufio.NewReader(&io.LimitedReader{R: r, N: limit + 1})
	var (
		c     Collector
		field []byte
		size  int64
	)
	for first := true; ; first = false {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the message's header: %w: check the file", err)
		}
		if size += int64(len(line)); size > limit {
			return nil, fmt.Errorf("the message's header is longer than %d bytes: check that the file is a message", limit)
		}
		ended := err != nil
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		switch {
		case first && bytes.HasPrefix(line, []byte("From ")):
			continue
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && field != nil:
			field = append(append(field, '\n'), line...)
		default:
			c.addLine(field)
			field = append(field[:0], line...)
			ended = ended || nameLen(line) == 0
		}
		if ended {
			c.addLine(field)
			return c.Message(), nil
		}
	}
}

// addLine takes one unsplit field; what is none is passed over.
func (c *Collector) addLine(field []byte) {
	if n := nameLen(field); n > 0 {
		_, value, _ := bytes.Cut(field[n:], []byte(":"))
		c.Add(string(field[:n]), string(value))
	}
}

// nameLen is the length of the field name that the line begins with, or 0 if it
// is no field: printable ASCII, then a colon, white space before it allowed.
func nameLen(line []byte) int {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	if rest := bytes.TrimLeft(line[n:], " \t"); len(rest) == 0 || rest[0] != ':' {
		return 0
	}
	return n
}
