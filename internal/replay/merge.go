package replay

import (
	"container/heap"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"portreeve/maillog"
)

// merged reads several logs as one, in the order of their lines' times: rotated
// files that were named in any order, and the logs of Postfix and Dovecot beside
// each other. A file is opened only when its turn comes.
type merged struct {
	coming []coming // sorted; not opened yet
	open   byTime
	ended  []*source
	now    time.Time // whose zone a time stamp without one is in
	total  int64     // bytes of all files
	read   int64
}

// coming is a file that was looked at.
type coming struct {
	name  string
	first time.Time
}

// merge looks at each file's first line. stdin is what "-" stands for.
func merge(names []string, stdin io.Reader, now time.Time) (*merged, error) {
	m := &merged{now: now}
	var seen []os.FileInfo
	for _, name := range names {
		if name == Stdin {
			if stdin == nil {
				continue // named twice
			}
			s, err := openSource("standard input", io.NopCloser(stdin), now, new(int64))
			if err != nil {
				return nil, err
			}
			stdin = nil
			m.begin(s)
			continue
		}
		info, err := os.Stat(name)
		if err == nil && slices.ContainsFunc(seen, func(i os.FileInfo) bool { return os.SameFile(i, info) }) {
			continue
		}
		first, err := m.peek(name)
		if err != nil {
			return nil, err
		}
		if info != nil {
			seen = append(seen, info)
			m.total += info.Size()
		}
		m.coming = append(m.coming, coming{name, first})
	}
	slices.SortStableFunc(m.coming, func(a, b coming) int { return a.first.Compare(b.first) })
	return m, nil
}

// peek is the time of a file's first readable line; now without one.
func (m *merged) peek(name string) (time.Time, error) {
	var ignored int64
	s, err := openFile(name, m.now.Location(), &ignored)
	if err != nil {
		return time.Time{}, err
	}
	first := m.now
	for range peekLines {
		text, err := s.readLine()
		if err != nil || s.ended {
			break // it is told when the file is read
		}
		if l, ok := maillog.Split(text, s.ref); ok {
			first = l.Time
			break
		}
	}
	return first, s.close()
}

// begin adds an opened log.
func (m *merged) begin(s *source) {
	s.next()
	if s.ended {
		m.ended = append(m.ended, s)
		return
	}
	heap.Push(&m.open, s)
}

// next is the next line of all; ok is false at the end.
func (m *merged) next() (l maillog.Line, ok bool, err error) {
	for len(m.coming) > 0 && (len(m.open) == 0 || !m.coming[0].first.After(m.open[0].line.Time)) {
		s, err := openFile(m.coming[0].name, m.now.Location(), &m.read)
		if err != nil {
			return l, false, err
		}
		m.coming = m.coming[1:]
		m.begin(s)
	}
	if len(m.open) == 0 {
		return l, false, nil
	}
	s := m.open[0]
	l = s.line
	s.next()
	if !s.ended {
		heap.Fix(&m.open, 0)
		return l, true, nil
	}
	heap.Pop(&m.open)
	m.ended = append(m.ended, s)
	return l, true, s.close()
}

// finish closes what was not read to its end, and tells what became of each log.
func (m *merged) finish() (list []*source, err error) {
	var errs []error
	for _, s := range m.open {
		errs = append(errs, s.close())
	}
	list = append(m.ended, m.open...)
	m.ended, m.open = nil, nil
	slices.SortStableFunc(list, func(a, b *source) int { return a.from.Compare(b.from) })
	return list, errors.Join(errs...)
}

// byTime is a heap of logs by the time of their next line.
type byTime []*source

// Less puts POP logins before the mail of the same second: who has just collected
// mail sends, and most logs count in seconds.
func (b byTime) Less(i, k int) bool {
	if c := b[i].line.Time.Compare(b[k].line.Time); c != 0 {
		return c < 0
	}
	return !strings.Contains(b[i].line.Program, "/") && strings.Contains(b[k].line.Program, "/")
}

func (b byTime) Len() int      { return len(b) }
func (b byTime) Swap(i, k int) { b[i], b[k] = b[k], b[i] }

// Push implements heap.Interface.
func (b *byTime) Push(x any) { *b = append(*b, x.(*source)) }

// Pop implements heap.Interface.
func (b *byTime) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}
