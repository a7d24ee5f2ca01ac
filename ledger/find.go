package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// FindFailures implements Ledger. It reads the file, whose failures have no index
// but their time: memory knows each by its client's prefix only.
func (e *Embedded) FindFailures(ctx context.Context, q FailureQuery) ([]rules.Failure, error) {
	from := journal.After(q.Since)
	where, args := "id >= ?", []any{from[:]}
	if q.Client.IsValid() {
		where, args = where+" and client = ?", append(args, q.Client.String())
	}
	if q.Login != "" {
		where, args = where+" and login = ? collate nocase", append(args, q.Login)
	}
	var found []rules.Failure
	err := e.each(ctx, "select client, time, login, service, password, counted, id from failures where "+where+" order by id desc limit ?",
		append(args, q.Limit), func(rows *sql.Rows) error {
			var (
				f      rules.Failure
				client string
				at     int64
				id     []byte
			)
			if err := rows.Scan(&client, &at, &f.Shown, &f.Protocol, &f.Password, &f.Counted, &id); err != nil {
				return err
			}
			if len(id) == len(journal.ID{}) {
				f.ID = eventOf(journal.ID(id))
			}
			addr, err := parseAddr(client)
			if err != nil {
				return err
			}
			f.Client, f.Time = addr, time.Unix(0, at)
			f.Login, _ = rules.Logins{}.Canonical(f.Shown)
			found = append(found, f)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("looking through the failed logins: %w", e.db.Read(err))
	}
	return found, nil
}

// FindFailures implements Ledger.
func (v *Volatile) FindFailures(_ context.Context, q FailureQuery) ([]rules.Failure, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []rules.Failure
	v.clients.all(func(_ []byte, c *counter) {
		for _, f := range c.failures {
			if !f.Time.Before(q.Since) && (!q.Client.IsValid() || f.Client == q.Client) && (q.Login == "" || strings.EqualFold(f.Shown, q.Login)) {
				found = append(found, f)
			}
		}
	})
	slices.SortFunc(found, func(a, b rules.Failure) int { return b.Time.Compare(a.Time) })
	return found[:min(len(found), q.Limit)], nil
}
