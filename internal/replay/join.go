package replay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/maillog"
)

const (
	// horizon is how long a message's lines are waited for, in the log's time: an
	// upload over a slow line, a first delivery to a server that does not answer.
	horizon = 10 * time.Minute
	// maxPending bounds what waits for its turn, and maxOpen the messages and the
	// sessions whose next lines are waited for. Beyond them the oldest is taken as
	// it stands.
	maxPending = 1 << 16
	maxOpen    = 1 << 16
	// maxNamed bounds the message ids that a content filter's copy is known by, and
	// maxPast the deferred messages that are told from others.
	maxNamed = 1 << 16
	maxPast  = 1 << 16
)

// sink takes events in the order of their times.
type sink interface {
	entry(e maillog.Entry, program string) error
	message(m *message, at time.Time) error
}

// joiner puts a message together from the lines of several programs, and hands
// everything on in the order in which it began: whether a client was blocked when
// it came is known only if what came before is judged before.
type joiner struct {
	to       sink
	open     *simplelru.LRU[key, *message]
	sessions *simplelru.LRU[key, *session]
	named    *simplelru.LRU[string, netip.Addr] // message id → its first client
	past     *simplelru.LRU[key, struct{}]      // messages that are counted, and may be tried again for days

	queue []event
	head  int

	interned map[string]string // hosts and programs: a log has few

	refused  int // commands that the log's own server refused
	dropped  int // messages that it refused in the end
	unjoined int // messages whose sender was never logged
	foreign  int // messages that no smtpd of the log took: local mail, or from before it
}

func newJoiner(to sink) (*joiner, error) {
	j := &joiner{to: to, interned: map[string]string{}}
	var err error
	if j.open, err = simplelru.NewLRU(maxOpen, func(_ key, m *message) { j.evicted(m) }); err != nil {
		return nil, fmt.Errorf("making the table of messages: %w", err)
	}
	if j.sessions, err = simplelru.NewLRU[key, *session](maxOpen, nil); err != nil {
		return nil, fmt.Errorf("making the table of sessions: %w", err)
	}
	if j.named, err = simplelru.NewLRU[string, netip.Addr](maxNamed, nil); err != nil {
		return nil, fmt.Errorf("making the table of message ids: %w", err)
	}
	if j.past, err = simplelru.NewLRU[key, struct{}](maxPast, nil); err != nil {
		return nil, fmt.Errorf("making the table of deferred messages: %w", err)
	}
	return j, nil
}

// evicted is told of every message that leaves the table.
func (j *joiner) evicted(m *message) {
	switch m.state {
	case late:
		m.state = gone
		j.unjoined++
	case waiting:
		m.removed = true // no further line will find it
	}
}

// maxInterned bounds the hosts and programs that are kept once.
const maxInterned = 4096

// intern keeps one copy of a text that many lines have.
func (j *joiner) intern(s string) string {
	kept, ok := j.interned[s]
	if !ok {
		if len(j.interned) >= maxInterned {
			clear(j.interned)
		}
		kept = strings.Clone(s)
		j.interned[kept] = kept
	}
	return kept
}

// entry takes a login.
func (j *joiner) entry(e maillog.Entry, program string) error {
	// Not a part of the line, which would be kept as a whole.
	e.Login, e.Session = strings.Clone(e.Login), strings.Clone(e.Session)
	j.push(event{time: e.Time, entry: e, program: j.intern(program)})
	return j.advance(e.Time)
}

// step takes a line about a message or a session.
func (j *joiner) step(l maillog.Line, s maillog.Step) error {
	l.Host, l.Program = j.intern(l.Host), j.intern(l.Program)
	process := key{l.Host, l.Program + "\x00" + l.PID}
	switch s.Kind {
	case maillog.SessionBegan:
		j.sessions.Add(process, &session{client: s.Client})
	case maillog.SessionEnded:
		j.sessions.Remove(process)
	case maillog.Refused:
		j.refused++
	case maillog.Received:
		j.received(l, s, process)
	case maillog.Proxied:
		j.proxied(l, s, process)
	default:
		j.of(l, s)
	}
	return j.advance(l.Time)
}

// received begins a message.
func (j *joiner) received(l maillog.Line, s maillog.Step, process key) {
	from, ok := j.sessions.Get(process)
	if !ok || from.client != s.Client {
		from = &session{client: s.Client}
		j.sessions.Add(process, from)
	}
	id, login := strings.Clone(s.QueueID), strings.Clone(s.Login)
	m := &message{
		key: key{l.Host, id}, id: id, time: l.Time, last: l.Time,
		client: s.Client, program: l.Program, login: login, copied: s.Passed && s.Login == "",
		first: !from.began, newLogin: s.Login != "" && s.Login != from.login,
	}
	from.began, from.login = true, login
	if s.QueueID == "" { // a before-queue filter is asked first
		from.proxied = m
		return
	}
	if old, ok := j.open.Peek(m.key); ok {
		j.evicted(old) // the id is used again
	}
	j.past.Remove(m.key)
	j.open.Add(m.key, m)
	j.push(event{time: m.time, message: m})
}

// proxied ends what a before-queue filter was asked about. The filter has sent
// the message to another smtpd, whose lines have all that there is to know of it
// but who sent it.
func (j *joiner) proxied(l maillog.Line, s maillog.Step, process key) {
	from, ok := j.sessions.Peek(process)
	if !ok || from.proxied == nil {
		return
	}
	m := from.proxied
	from.proxied = nil
	if passed, ok := j.open.Peek(key{l.Host, s.Next}); ok && passed.login == "" {
		passed.client, passed.program, passed.login = m.client, m.program, m.login
		passed.first, passed.newLogin, passed.copied = m.first, m.newLogin, false
		return
	}
	m.id, m.sender, m.recipients = strings.Clone(s.Next), strings.Clone(s.Sender), []string{strings.Clone(s.Recipient)}
	m.queued, m.removed, m.last = true, true, l.Time
	j.push(event{time: m.time, message: m})
}

// of adds a line to the message that it is about.
func (j *joiner) of(l maillog.Line, s maillog.Step) {
	m, ok := j.open.Get(key{l.Host, s.QueueID})
	if !ok {
		j.other(key{l.Host, s.QueueID}, s.Kind)
		return
	}
	m.last = l.Time
	switch s.Kind {
	case maillog.Named:
		m.messageID = strings.Clone(s.MessageID)
		j.name(m)
	case maillog.Dropped:
		m.dropped = true
		if m.state == late {
			j.dropped++
			m.state = gone
			j.open.Remove(m.key)
		}
	case maillog.Queued:
		m.sender, m.want, m.queued = strings.Clone(s.Sender), s.Recipients, true
		if m.state == late {
			m.state = waiting
			j.push(event{time: l.Time, message: m})
		}
	case maillog.Delivered:
		m.deliver(s)
		if next, ok := j.open.Peek(key{l.Host, s.Next}); ok && next != m && next.login == "" {
			next.copied = true
		}
	case maillog.Removed:
		m.removed = true
	}
}

// other takes a line about a message that is not open: one that is counted and is
// tried again, or one that smtpd has not taken.
func (j *joiner) other(k key, kind maillog.StepKind) {
	switch kind {
	case maillog.Queued:
		if _, known := j.past.Get(k); !known {
			j.foreign++
			j.past.Add(key{k.host, strings.Clone(k.id)}, struct{}{})
		}
	case maillog.Removed:
		j.past.Remove(k) // short ids are used again
	}
}

// name looks for an earlier message with the same id, of another client: a
// content filter that answers before it passes on gives no queue id.
func (j *joiner) name(m *message) {
	if m.messageID == "" {
		return
	}
	first, known := j.named.Get(m.messageID)
	if !known {
		j.named.Add(m.messageID, m.client)
	} else if first != m.client && m.login == "" {
		m.copied = true
	}
}

func (j *joiner) push(e event) { j.queue = append(j.queue, e) }

// advance hands on what is ready, in order, and what has waited too long. A clock
// that was set back must not keep it for ever.
func (j *joiner) advance(now time.Time) error {
	for j.head < len(j.queue) {
		e := &j.queue[j.head]
		waited := now.Sub(e.time).Abs() >= horizon || len(j.queue)-j.head > maxPending
		if e.message != nil && !waited && !e.message.ready(now) {
			break
		}
		if err := j.next(); err != nil {
			return err
		}
	}
	return nil
}

// next hands the first event on.
func (j *joiner) next() error {
	e := j.queue[j.head]
	j.queue[j.head] = event{}
	if j.head++; j.head > len(j.queue)/2 && j.head > 1024 {
		j.queue = slices.Delete(j.queue, 0, j.head)
		j.head = 0
	}
	m := e.message
	switch {
	case m == nil:
		return j.to.entry(e.entry, e.program)
	case m.state == gone:
		return nil
	case m.dropped:
		j.dropped++
	case m.queued:
		j.close(m)
		return j.to.message(m, e.time)
	case !m.removed:
		m.state = late // its sender may still come
		return nil
	default:
		j.unjoined++
	}
	j.close(m)
	return nil
}

// close forgets a message.
func (j *joiner) close(m *message) {
	if m.state == late {
		j.unjoined++
	}
	m.state = gone
	if at, ok := j.open.Peek(m.key); ok && at == m {
		j.open.Remove(m.key)
		if !m.removed {
			j.past.Add(m.key, struct{}{})
		}
	}
}

// finish hands on everything that is left: the log has ended.
func (j *joiner) finish() error {
	for j.head < len(j.queue) {
		if err := j.next(); err != nil {
			return err
		}
	}
	for _, m := range j.open.Values() {
		j.close(m)
	}
	return nil
}
