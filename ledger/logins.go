package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"portreeve/internal/store"
	"portreeve/rules"
)

// seenCoarse is how exactly the time of an address's last login is kept: mail
// programs log in every few minutes.
const seenCoarse = time.Hour

// visit is a login and a client that has logged in with it.
type visit struct {
	login  string
	client netip.Prefix
}

// Guessed is a login above the limit of [login_failures].
type Guessed struct {
	Login string // as it may be shown
	ID    string // journal entry; empty while nobody was told of it
	Since time.Time
	Until time.Time
	Count int
}

// addLogin remembers a login's client. news is false when that was known, and
// need not be stored.
func (m *memory) addLogin(v visit, now time.Time) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.seen.Get(v); ok && now.Sub(last).Abs() < seenCoarse {
		return false
	}
	m.seen.Add(v, now)
	return true
}

// HasLoggedIn implements Ledger.
func (m *memory) HasLoggedIn(login string, client netip.Prefix, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, ok := m.seen.Peek(visit{login, client}) // an attempt does not make it younger
	return ok && now.Sub(last) < rules.KnownFor
}

// LoginTally implements Ledger.
func (m *memory) LoginTally(login string, now time.Time, w Window) rules.Tally {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logins.tally([]byte(login), now, w)
}

// LoginFailures implements Ledger.
func (m *memory) LoginFailures(login string, since time.Time) []rules.Failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logins.failures([]byte(login), since)
}

// Guessed implements Ledger.
func (m *memory) Guessed(now time.Time, w Window) []Guessed {
	if w.Limit == 0 {
		return nil // off; what was counted before is left to age
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Guessed
	m.logins.inForce(now, w, func(_ []byte, c *counter, t rules.Tally) {
		shown := c.failures[len(c.failures)-1].Shown
		list = append(list, Guessed{Login: shown, ID: t.Block, Since: t.Since, Until: t.Until, Count: t.Count})
	})
	slices.SortFunc(list, func(a, b Guessed) int { return b.Since.Compare(a.Since) })
	return list
}

// counted is the key that a failure of the login counts under; false for what can
// be no account here.
func counted(f rules.Failure, w Window) (string, bool) {
	return f.Login, w.Limit > 0 && !f.Vague && strings.Contains(f.Login, "@")
}

const insertSeen = `insert into logins(login, client, last) values(?, ?, ?)
	on conflict(login, client) do update set last = excluded.last`

// AddLogin implements Ledger.
func (e *Embedded) AddLogin(ctx context.Context, login string, client netip.Prefix, now time.Time) error {
	v := visit{login, client}
	if !e.addLogin(v, now) {
		return nil
	}
	err := e.db.Write(ctx, v.write(now))
	if err != nil {
		err = fmt.Errorf("remembering a login: %w", err)
	}
	return err
}

func (v visit) write(now time.Time) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Exec(insertSeen, v.login, v.client.String(), now.UnixNano())
		return err
	}
}

const insertGuessed = `insert into guessed(login, id, since) values(?, ?, ?)
	on conflict(login) do update set id = excluded.id, since = excluded.since`

// BeginGuessed implements Ledger.
func (e *Embedded) BeginGuessed(ctx context.Context, login, id string, now time.Time, w Window) (string, error) {
	e.mu.Lock()
	inForce := e.logins.begin([]byte(login), id, now, w)
	shown := ""
	if c := e.logins.find([]byte(login)); c != nil {
		shown = c.failures[len(c.failures)-1].Shown
	}
	e.mu.Unlock()
	// What failed without an @ may be a password: a default domain has made it look
	// like an address. It is not kept, and begins anew after a restart.
	if inForce != id || !strings.Contains(shown, "@") {
		return inForce, nil
	}
	err := e.db.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(insertGuessed, login, id, now.UnixNano())
		return err
	})
	if err != nil {
		err = fmt.Errorf("remembering a guessed login: %w", err)
	}
	return inForce, err
}

// loadLogins reads rule 11's tables; the failures are there already.
func (e *Embedded) loadLogins(ctx context.Context, now time.Time, w Window) error {
	err := e.each(ctx, "select login, id, since from guessed", nil, func(rows *sql.Rows) error {
		var (
			login, id string
			since     int64
		)
		if err := rows.Scan(&login, &id, &since); err != nil {
			return err
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.logins.restore([]byte(login), id, time.Unix(0, since), now, w)
		return nil
	})
	if err != nil {
		return err
	}
	return e.each(ctx, "select login, client, last from logins where last > ? order by last",
		[]any{now.Add(-rules.KnownFor).UnixNano()}, func(rows *sql.Rows) error {
			var (
				login, client string
				last          int64
			)
			if err := rows.Scan(&login, &client, &last); err != nil {
				return err
			}
			p, err := netip.ParsePrefix(client)
			if err != nil {
				return fmt.Errorf("a remembered login: %w", err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			// What a clock that was set back has left in the future happened just now.
			e.seen.Add(visit{login, p}, minTime(time.Unix(0, last), now))
			return nil
		})
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// pruneLogins deletes what is too old, and the oldest visits above the bound.
func (e *Embedded) pruneLogins(ctx context.Context, now time.Time, c Counting) error {
	ended, err := e.endedGuesses(ctx, now, c)
	if err != nil {
		return err
	}
	e.mu.Lock()
	full := e.seen.Len() == e.most // only then may the file have more
	e.mu.Unlock()
	err = e.db.Write(ctx, func(tx store.Tx) error {
		for _, login := range ended {
			if _, err := tx.Exec("delete from guessed where login = ?", login); err != nil {
				return err
			}
		}
		if e.aged.Load() {
			if _, err := tx.Exec("delete from logins where last <= ?", now.Add(-rules.KnownFor).UnixNano()); err != nil {
				return err
			}
		}
		if !full {
			return nil
		}
		_, err := tx.Exec(`delete from logins where (login, client) in (select login, client from logins
			order by last desc limit -1 offset ?)`, e.most)
		return err
	})
	if err == nil {
		e.aged.Store(false)
	}
	return err
}

// endedGuesses lists the stored ones that are over.
func (e *Embedded) endedGuesses(ctx context.Context, now time.Time, c Counting) (ended []string, err error) {
	err = e.each(ctx, "select login from guessed", nil, func(rows *sql.Rows) error {
		var login string
		if err := rows.Scan(&login); err != nil {
			return err
		}
		if e.LoginTally(login, now, c.Login).Block == "" {
			ended = append(ended, login)
		}
		return nil
	})
	return ended, err
}
