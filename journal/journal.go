// Package journal records every refusal under the id that the client was told.
package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"portreeve/internal/store"
)

// Entry is one refusal, real or observed, with the facts it was decided from.
// Its JSON is what the verbs print.
type Entry struct {
	ID         string          `json:"id"`
	Time       time.Time       `json:"time"`
	Host       string          `json:"host"`
	Rule       string          `json:"rule"`
	Reason     string          `json:"reason"`
	Observed   bool            `json:"observed"`
	Protocol   string          `json:"protocol"`
	Stage      string          `json:"stage"`
	Reply      string          `json:"reply"`
	Client     string          `json:"client"`
	Port       uint16          `json:"port"`
	TLS        bool            `json:"tls"`
	Helo       string          `json:"helo,omitempty"`
	Login      string          `json:"login"`
	Sender     string          `json:"sender"`
	Recipients []string        `json:"recipients,omitempty"`
	QueueID    string          `json:"queue_id,omitempty"`
	Facts      json.RawMessage `json:"facts"`
	Count      int             `json:"count"` // equal refusals under this id
	Last       time.Time       `json:"last"`  // the latest of them
}

// Journal writes and finds entries.
type Journal struct {
	db     *store.DB
	others Others // nil: this host's alone
	late   late   // what the store has not taken yet
}

// New keeps the journal in an open store.
func New(db *store.DB) *Journal { return &Journal{db: db} }

const insert = `insert into decisions(id, rule, client, login, sender, port, observed, count, last, entry)
	values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict(id) do nothing`

// Write records an entry and returns when it is committed: its id may then be
// told to a client. Writing an id twice changes nothing. An entry that the store
// does not take is kept in memory for Deliver, and Get knows it.
func (j *Journal) Write(ctx context.Context, e Entry) error {
	err := j.write(ctx, e)
	if _, noID := ParseID(e.ID); err != nil && noID == nil {
		j.late.keep(e)
	}
	return err
}

func (j *Journal) write(ctx context.Context, e Entry) error {
	id, err := ParseID(e.ID)
	if err != nil {
		return fmt.Errorf("recording %q: %w", e.ID, err)
	}
	body := appendEntry(make([]byte, 0, 1<<10), &e)
	tell, told := func(store.Tx) error { return nil }, func(error) {}
	if j.others != nil {
		tell, told = j.others.Tell(e.ID)
	}
	err = j.db.Write(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(insert, id[:], e.Rule, e.Client, e.Login, e.Sender,
			e.Port, e.Observed, e.Count, e.Last.UnixNano(), body); err != nil {
			return err
		}
		return tell(tx)
	})
	told(err)
	if err != nil {
		return fmt.Errorf("recording %s: %w", e.ID, err)
	}
	return nil
}

// Repeats are further refusals under an id that is recorded already.
type Repeats struct {
	Times    int
	Last     time.Time
	Observed bool // all of them
	// Port and Sender are the last one's. An entry that has none takes them: that
	// of a block, which began at AUTH, before there was either.
	Port   uint16
	Sender string
}

const again = `update decisions set count = count + ?1, last = max(last, ?2), observed = observed and ?3,
	port = iif(?4 <> 0, ?4, port), sender = iif(?5 <> '', ?5, sender) where id = ?6`

// Again counts refusals under a recorded id. Nobody waits for it; under a flood
// counts may be lost, ids never.
func (j *Journal) Again(id string, r Repeats) {
	key, err := ParseID(id)
	if err != nil || j.late.again(id, r) {
		return
	}
	j.count(key, id, r)
	if j.others != nil {
		j.others.Again(id, r)
	}
}

// count adds to an entry, now or, while the store takes nothing, in Deliver.
func (j *Journal) count(key ID, id string, r Repeats) {
	if j.db.Healthy() != nil {
		j.late.count(id, r)
		return
	}
	j.db.Later(func(tx store.Tx) error {
		_, err := tx.Exec(again, r.Times, r.Last.UnixNano(), r.Observed, r.Port, r.Sender, key[:])
		return err
	})
}

// ErrUnknown is returned for an id that is not in the journal.
var ErrUnknown = errors.New("no such id in the journal")

const columns = `select id, port, sender, observed, count, last, entry from decisions `

// own finds an entry of this host.
func (j *Journal) own(ctx context.Context, id string) (Entry, error) {
	key, err := ParseID(id)
	if err != nil {
		return Entry{}, fmt.Errorf("%q: %w", id, err)
	}
	if kept, ok := j.late.get(id); ok {
		return kept, nil
	}
	e, err := scan(j.db.Reader().QueryRowContext(ctx, columns+"where id = ?", key[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, ErrUnknown
	}
	if err != nil {
		return Entry{}, fmt.Errorf("reading %s from the journal: %w", id, j.db.Read(err))
	}
	return e, nil
}

// Query selects entries; a zero field selects everything.
type Query struct {
	Login  string
	Client netip.Prefix
	Sender string
	Rule   string
	// Observed selects those that were only observed, or those that were not.
	Observed *bool
	Since    time.Time
	Until    time.Time
	Limit    int // 0: 1,000

	contains string  // text of the entry's JSON in any case; a narrowing, for JSON has other spellings
	either   *either // see Near
	oldest   bool    // the oldest come first
}

// Find lists entries, newest first.
func (j *Journal) Find(ctx context.Context, q Query) ([]Entry, error) {
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	return j.find(ctx, q, q.matches)
}

// find lists q.Limit entries of those that the predicate accepts: the newest, or
// the oldest where the query says so.
func (j *Journal) find(ctx context.Context, q Query, wanted func(Entry) bool) ([]Entry, error) {
	where, args := q.where()
	order := " order by id desc"
	if q.oldest {
		order = " order by id"
	}
	rows, err := j.db.Reader().QueryContext(ctx, columns+where+order, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", j.db.Read(err))
	}
	defer rows.Close()
	var found []Entry
	for len(found) < q.Limit && rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the journal: %w", j.db.Read(err))
		}
		if wanted(e) {
			found = append(found, e)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", j.db.Read(err))
	}
	return found, nil
}

// where narrows by what the table has as columns; there is no second index
// (FACTS.md 5.2), so it is a scan of the time range.
func (q Query) where() (string, []any) {
	from, to := After(q.Since), ID{}
	where, args := "where id >= ?", []any{from[:]}
	if !q.Until.IsZero() {
		to = After(q.Until)
		where, args = where+" and id < ?", append(args, to[:])
	}
	for _, c := range []struct{ column, value string }{
		{"rule", q.Rule}, {"login", q.Login}, {"sender", q.Sender},
	} {
		if c.value != "" {
			where, args = where+" and "+c.column+" = ? collate nocase", append(args, c.value)
		}
	}
	if q.Client.IsValid() && q.Client.IsSingleIP() { // to read an entry costs more than to compare
		where, args = where+" and client = ?", append(args, q.Client.Addr().String())
	}
	if q.Observed != nil {
		where, args = where+" and observed = ?", append(args, *q.Observed)
	}
	if q.either != nil {
		where += " and (client = nullif(?, '') or login = nullif(?, '') collate nocase)"
		args = append(args, q.either.client, q.either.login)
	}
	if q.contains != "" {
		where, args = where+" and instr(lower(cast(entry as text)), lower(?)) > 0", append(args, q.contains)
	}
	return where, args
}

func (q Query) matches(e Entry) bool {
	if !q.Client.IsValid() {
		return true
	}
	client, err := netip.ParseAddr(e.Client)
	return err == nil && q.Client.Contains(client)
}

// scan reads an entry, with what has changed since it was written.
func scan(row interface{ Scan(...any) error }) (Entry, error) {
	var (
		e        Entry
		id, body []byte
		sender   string
		port     uint16
		last     int64
		count    int
		observed bool
	)
	if err := row.Scan(&id, &port, &sender, &observed, &count, &last, &body); err != nil {
		return Entry{}, err
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return Entry{}, fmt.Errorf("an entry is not readable: %w", err)
	}
	if e.Port == 0 {
		e.Port = port
	}
	if e.Sender == "" {
		e.Sender = sender
	}
	e.Observed, e.Count, e.Last = observed, count, time.Unix(0, last).UTC()
	return e, nil
}
