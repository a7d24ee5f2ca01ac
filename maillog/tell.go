package maillog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"portreeve/rules"
)

// maxSessions bounds the POP3 and IMAP sessions whose end is waited for.
const maxSessions = 1 << 16

// Gate remembers. An event that is told again under its ID counts once.
type Gate interface {
	Tell(ctx context.Context, e rules.Event) error
}

// Meter counts what was told, and what could not be read.
type Meter interface {
	// AuthReport counts a login by its service and its result: success, failure.
	AuthReport(service, result string)
	// ProtocolError counts a line that was too long.
	ProtocolError(p rules.Protocol)
}

// Options are what Open needs.
type Options struct {
	Files     []string // to follow; Journal is systemd's
	Gate      Gate
	Positions Positions
	Now       func() time.Time
	Log       *slog.Logger
	Meter     Meter

	// What to tell: false is for what another front tells already, so that one
	// attempt counts once. Logouts are told by nobody else, and here always.
	Failures bool // failed SMTP logins
	Logins   bool // POP3 and IMAP logins
}

// teller turns entries into events.
type teller struct {
	Options
	sessions *lru.Cache[string, session]
}

// session is who logged in.
type session struct {
	client         netip.Addr
	service, login string
}

func newTeller(o Options) (*teller, error) {
	sessions, err := lru.New[string, session](maxSessions)
	if err != nil {
		return nil, fmt.Errorf("making the table of open sessions: %w", err)
	}
	return &teller{Options: o, sessions: sessions}, nil
}

// tell tells an entry, if somebody is to know. place names the line among all
// that were ever read; live says that it was written just now.
//
// What could not be stored is reported by the gate, which remembers it in
// memory; the follower goes on, as a front would.
func (t *teller) tell(ctx context.Context, e Entry, place string, live bool) {
	if !t.wanted(&e) {
		return
	}
	event := rules.Event{
		Kind: rules.LoginSucceeded, Protocol: rules.ProtocolMaillog, Time: t.when(e, live),
		Client: e.Client, Service: e.Service, Login: e.Login, Session: e.Session,
	}
	if e.Kind == AuthFailed {
		event.Kind = rules.LoginFailed
	}
	for i := range e.Times {
		event.ID = eventID(place, i)
		if err := t.Gate.Tell(ctx, event); err != nil {
			t.Log.Debug("line of the mail log not stored", "protocol", rules.ProtocolMaillog, "client", e.Client, "error", err)
		}
		switch e.Kind {
		case AuthFailed:
			t.Meter.AuthReport(e.Service, "failure")
		case LoggedIn:
			t.Meter.AuthReport(e.Service, "success")
		}
	}
}

// wanted tells whether an entry is this front's to tell. It remembers logins,
// and gives a logout the address of its login: Dovecot does not log it again.
func (t *teller) wanted(e *Entry) bool {
	switch e.Kind {
	case AuthFailed:
		return t.Failures
	case LoggedIn:
		if e.Session != "" {
			t.sessions.Add(e.Session, session{e.Client, e.Service, e.Login})
		}
		return t.Logins
	}
	if e.Client.IsValid() {
		return true
	}
	s, ok := t.sessions.Get(e.Session)
	if !ok || s.service != e.Service || s.login != e.Login {
		return false // its login was before our time
	}
	t.sessions.Remove(e.Session)
	e.Client = s.client
	return true
}

// when is the time of an event. A stamp without a zone is only used for what was
// written while nobody followed: a log daemon that writes another zone than ours
// would make every failure too old to count.
func (t *teller) when(e Entry, live bool) time.Time {
	now := t.Now()
	if live && !e.Zoned || e.Time.After(now) {
		return now
	}
	return e.Time
}

// eventID is the same whenever the same line is read (see rules.Event.ID).
func eventID(place string, i int) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", place, i))
	return binary.BigEndian.Uint64(sum[:8])>>16 | 1 // 0 would be none
}
