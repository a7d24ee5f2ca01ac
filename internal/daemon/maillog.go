package daemon

import (
	"context"
	"errors"
	"fmt"

	"portreeve/internal/config"
	"portreeve/maillog"
)

// toldByLog says what the mail log is to tell. One attempt counts once: what
// Dovecot's auth policy or the SASL relay tells, the log, which is later and knows
// less, does not tell again. The ends of POP3 and IMAP sessions are always its own.
func toldByLog(l config.Listen) (failures, logins bool) {
	return l.Auth.Addr == "" && l.SASL.Addr == "", l.Auth.Addr == ""
}

// openMaillog opens the mail logs; nil without any.
func (d *Daemon) openMaillog(ctx context.Context, c *config.Config) (*maillog.Follower, error) {
	if len(c.Maillog.Files) == 0 {
		return nil, nil
	}
	failures, logins := toldByLog(c.Listen)
	f, err := maillog.Open(ctx, maillog.Options{
		Files: c.Maillog.Files, Gate: talkingGate{d.gate, d.talkers}, Positions: maillog.StoredPositions{DB: d.db},
		Now: d.Now, Log: d.Log, Meter: d.metrics,
		Failures: failures, Logins: logins,
	})
	if err != nil {
		return nil, fmt.Errorf("maillog.files: %w", err)
	}
	return f, nil
}

// closeListeners undoes openListeners.
func closeListeners(sockets []socket) error {
	var errs []error
	for _, s := range sockets {
		errs = append(errs, s.ln.Close())
	}
	return errors.Join(errs...)
}
