package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"portreeve/journal"
	"portreeve/rules"
)

// load fills the memory from the file, oldest first.
func (e *Embedded) load(ctx context.Context, now time.Time, c Counting, validity time.Duration) error {
	if err := e.loadLast(ctx); err != nil {
		return err
	}
	if err := e.loadCounters(ctx, now, c); err != nil {
		return err
	}
	if err := e.loadQuotas(ctx, now); err != nil {
		return err
	}
	if err := e.loadLogins(ctx, now, c.Login); err != nil {
		return err
	}
	return e.each(ctx, "select client, login, last from grants where last > ? order by last",
		[]any{now.Add(-validity).UnixNano()}, e.loadGrant)
}

// loadCounters takes over what the last process has left, and counts again what came
// after that.
func (e *Embedded) loadCounters(ctx context.Context, now time.Time, c Counting) error {
	from := journal.After(now.Add(-c.retention()))
	m, good, err := e.loadSnapshot(ctx, now, c)
	if err != nil {
		return fmt.Errorf("what the last process has left: %w", err)
	}
	if good {
		if err := e.loadClearings(ctx, m.last); err != nil {
			return err
		}
		from = m.last
	}
	if err := e.loadFailures(ctx, from, now, c); err != nil {
		return err
	}
	return e.each(ctx, "select prefix, id, since from blocks", nil, func(rows *sql.Rows) error {
		return e.loadBlock(rows, now, c.Client)
	})
}

// loadFailures counts each failure from an id on.
func (e *Embedded) loadFailures(ctx context.Context, from journal.ID, now time.Time, c Counting) error {
	// A failure that was cleared by an unblock is history, but for its login. Ids of
	// failures and clearings come from one sequence, so their order is certain.
	return e.each(ctx, `select f.prefix, f.client, f.time, f.login, f.service, f.password, f.counted, f.id,
		c.id is not null and f.id <= c.id
		from failures f left join cleared c on c.prefix = f.prefix
		where f.id >= ? order by f.id`, []any{from[:]}, func(rows *sql.Rows) error {
		return e.loadFailure(rows, now, c)
	})
}

func (e *Embedded) each(ctx context.Context, query string, args []any, use func(*sql.Rows) error) error {
	rows, err := e.db.Reader().QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := use(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// lastID is the highest id that the file has given to a failure or a clearing, or nothing;
// that one may have been pruned since, and then the snapshot knows it. Each max is a look at
// the end of its table only where it stands alone.
const lastID = "select max(coalesce((select max(id) from failures), x''), coalesce((select max(id) from cleared), x''), " +
	"coalesce((select last from packed_until), x''))"

// loadLast finds the latest id, which the next ones must be above.
func (e *Embedded) loadLast(ctx context.Context) error {
	var raw []byte
	if err := e.db.Reader().QueryRowContext(ctx, lastID).Scan(&raw); err != nil || len(raw) == 0 {
		return err
	}
	var id journal.ID
	if copy(id[:], raw) != len(id) {
		return fmt.Errorf("a remembered failure has an id of %d bytes", len(raw))
	}
	e.last = id.Time()
	return nil
}

func (e *Embedded) loadFailure(rows *sql.Rows, now time.Time, c Counting) error {
	var (
		f              rules.Failure
		prefix, client string
		at             int64
		id             []byte
		cleared        bool
	)
	if err := rows.Scan(&prefix, &client, &at, &f.Shown, &f.Protocol, &f.Password, &f.Counted, &id, &cleared); err != nil {
		return err
	}
	if len(id) != len(journal.ID{}) {
		return fmt.Errorf("a remembered failure has an id of %d bytes", len(id))
	}
	var (
		p   netip.Prefix // of nobody, unless it is said
		err error
	)
	if prefix != "" && !cleared {
		if p, err = netip.ParsePrefix(prefix); err != nil {
			return fmt.Errorf("a remembered failure: %w", err)
		}
	}
	if f.Client, err = parseAddr(client); err != nil {
		return fmt.Errorf("a remembered failure: %w", err)
	}
	if f.Time = time.Unix(0, at); f.Time.Sub(now) > ahead {
		f.Time = now // the clock was set back
	}
	// Only the shown form was kept; of a login without @ that is no address either.
	f.Login, _ = rules.Logins{}.Canonical(f.Shown)
	f.ID = eventOf(journal.ID(id))
	f.Vague = f.Shown != "" && !strings.Contains(f.Shown, "@")
	e.mu.Lock()
	defer e.mu.Unlock()
	e.addFailure(p, f, c)
	e.loose++
	return nil
}

// parseAddr reads what addrText wrote.
func parseAddr(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	return netip.ParseAddr(text)
}

func (e *Embedded) loadBlock(rows *sql.Rows, now time.Time, w Window) error {
	var (
		prefix, id sql.RawBytes
		since      int64
	)
	if err := rows.Scan(&prefix, &id, &since); err != nil {
		return err
	}
	p, err := netip.ParsePrefix(string(prefix))
	if err != nil {
		return fmt.Errorf("a remembered block: %w", err)
	}
	var key [prefixKey]byte
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clients.restore(appendPrefix(key[:0], p), string(id), time.Unix(0, since), now, w)
	return nil
}

func (e *Embedded) loadGrant(rows *sql.Rows) error {
	var (
		client, login string
		last          int64
	)
	if err := rows.Scan(&client, &login, &last); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return fmt.Errorf("a remembered POP login: %w", err)
	}
	e.addGrant(addr, rules.Grant{Login: login, Last: time.Unix(0, last)})
	return nil
}
