package replay

import (
	"fmt"
	"net/netip"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"portreeve/maillog"
)

// maxSessions bounds the POP3 and IMAP sessions whose end is waited for.
const maxSessions = 1 << 16

// sessions gives a logout the address of its login: Dovecot does not log it again.
type sessions struct {
	open *simplelru.LRU[string, popSession]
}

type popSession struct {
	client         netip.Addr
	service, login string
}

func newSessions() (sessions, error) {
	open, err := simplelru.NewLRU[string, popSession](maxSessions, nil)
	if err != nil {
		return sessions{}, fmt.Errorf("making the table of POP sessions: %w", err)
	}
	return sessions{open}, nil
}

// complete fills in what the line itself does not say. known is false for the end
// of a session that began before the log.
func (s sessions) complete(e *maillog.Entry) (known bool) {
	if e.Kind == maillog.LoggedIn {
		if e.Session != "" {
			s.open.Add(e.Session, popSession{e.Client, e.Service, e.Login})
		}
		return true
	}
	if e.Client.IsValid() {
		return true
	}
	was, ok := s.open.Get(e.Session)
	if !ok || was.service != e.Service || was.login != e.Login {
		return false
	}
	s.open.Remove(e.Session)
	e.Client = was.client
	return true
}
