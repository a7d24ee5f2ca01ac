package replay

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/maillog"
)

const (
	// settle is how much later than the message's own lines that of a content
	// filter can come which it was passed on to.
	settle = 5 * time.Second
	// maxRecipients bounds the recipients of one message that are told apart;
	// further ones are only counted.
	maxRecipients = 1000
)

// key is one message, or one smtpd process. Logs of several hosts may stand in
// one file.
type key struct{ host, id string }

// message is what the log tells of one message.
type message struct {
	key     key
	id      string    // queue id
	time    time.Time // when smtpd took the first recipient
	client  netip.Addr
	program string // the smtpd
	login   string

	first    bool // of its session
	newLogin bool // the first of its session with this login: AUTH came just before

	sender     string
	recipients []string // as at RCPT, before aliases
	more       int      // recipients beyond maxRecipients
	messageID  string

	state   state
	queued  bool      // the sender is known
	removed bool      // there is nothing more to come
	dropped bool      // refused in the end
	copied  bool      // a content filter's, which passes on what was received before
	want    int       // deliveries that there are
	have    int       // deliveries that were logged
	last    time.Time // of its latest line
}

// state is where a message stands in the join.
type state uint8

const (
	waiting state = iota // in the queue
	late                 // its turn is over, its sender still unknown
	gone                 // judged, or given up
)

// session is one smtpd process and its present client.
type session struct {
	client  netip.Addr
	began   bool   // a message came from it
	login   string // of its latest message
	proxied *message
}

// event is something in the order of its time: a login, or a message.
type event struct {
	time    time.Time
	entry   maillog.Entry
	program string
	message *message // nil: a login
}

func (m *message) deliver(s maillog.Step) {
	m.have++
	switch {
	case slices.Contains(m.recipients, s.Recipient):
	case len(m.recipients) < maxRecipients:
		m.recipients = append(m.recipients, strings.Clone(s.Recipient))
	default:
		m.more++
	}
}

// ready tells whether nothing more is to be learnt of the message.
func (m *message) ready(now time.Time) bool {
	return m.dropped || m.queued && (m.removed || m.have >= m.want) && now.Sub(m.last) >= settle
}
