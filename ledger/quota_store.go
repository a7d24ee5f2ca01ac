package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"portreeve/internal/store"
	"portreeve/rules"
)

const insertQuota = `insert into quotas(login, minute, messages, recipients) values(?, ?, 1, ?)
	on conflict(login, minute) do update set messages = messages + 1, recipients = recipients + excluded.recipients`

// Look implements Ledger.
func (e *Embedded) Look(login string, l rules.Limits, now time.Time) rules.Room {
	return e.quotas.look(login, l, now)
}

// Reserve implements Ledger.
func (e *Embedded) Reserve(login, transaction string, l rules.Limits, now time.Time, always bool) rules.Room {
	return e.quotas.reserve(login, transaction, l, now, always)
}

// Finish implements Ledger.
func (e *Embedded) Finish(ctx context.Context, transaction string, accepted bool, now time.Time) error {
	r, charge := e.quotas.finish(transaction, accepted, now)
	if !charge {
		return nil
	}
	return e.writeQuota(ctx, putQuota(r.login, r.recipients, now))
}

// Charge implements Ledger.
func (e *Embedded) Charge(ctx context.Context, c Charge, l rules.Limits, now time.Time) (rules.Room, error) {
	room, taken := e.quotas.charge(c, l, now)
	if !taken {
		return room, nil
	}
	return room, e.writeQuota(ctx, putQuota(c.Login, c.Recipients, now))
}

func (e *Embedded) writeQuota(ctx context.Context, write func(store.Tx) error) error {
	if err := e.db.Write(ctx, write); err != nil {
		return fmt.Errorf("charging a message: %w", err)
	}
	return nil
}

func putQuota(login string, recipients int, now time.Time) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec(insertQuota, login, now.Unix()/60, recipients)
		return err
	}
}

// Usage implements Ledger.
func (e *Embedded) Usage(login string, now time.Time) Usage { return e.quotas.usage(login, now) }

// Reset implements Ledger.
func (e *Embedded) Reset(ctx context.Context, login string) error {
	e.quotas.reset(login)
	err := e.db.Write(ctx, dropQuota(login))
	if err != nil {
		return fmt.Errorf("starting a quota afresh: %w: it is fresh until the daemon restarts", err)
	}
	return nil
}

func dropQuota(login string) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec("delete from quotas where login = ?", login)
		return err
	}
}

func (e *Embedded) loadQuotas(ctx context.Context, now time.Time) error {
	return e.each(ctx, "select login, minute, messages, recipients from quotas where minute > ? order by minute",
		[]any{now.Unix()/60 - quotaMinutes}, func(rows *sql.Rows) error {
			var login string
			var m minute
			if err := rows.Scan(&login, &m.at, &m.messages, &m.recipients); err != nil {
				return err
			}
			e.quotas.mu.Lock()
			defer e.quotas.mu.Unlock()
			u := e.quotas.of(login)
			u.minutes = append(u.minutes, m)
			return nil
		})
}

func (e *Embedded) pruneQuotas(ctx context.Context, now time.Time) error {
	e.quotas.prune(now)
	err := e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec("delete from quotas where minute <= ?", now.Unix()/60-quotaMinutes)
		return err
	})
	if err != nil {
		return fmt.Errorf("pruning the quotas: %w", err)
	}
	return nil
}
