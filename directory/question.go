package directory

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"portreeve/internal/tomlfile"
)

// maxRows is more than one account's or one domain's share of a directory; a
// query that gives more has lost its condition.
const maxRows = 5000

// question is one query, in the driver's own notation.
type question struct {
	name   string
	text   string // empty: there is none
	values int    // how often it needs the value
}

// CheckQuery tells what is wrong with a query before anybody runs it.
func CheckQuery(d Driver, query string) *tomlfile.Mistake {
	if _, err := newQuestion(d, "", query); err != nil {
		if m, ok := errors.AsType[*tomlfile.Mistake](err); ok {
			return m
		}
	}
	return nil
}

func newQuestion(d Driver, name, query string) (question, error) {
	query = strings.TrimSpace(query)
	if query == "" {
		return question{name: name}, nil
	}
	translated, n, err := placeholders(d, query)
	if err != nil {
		return question{}, &tomlfile.Mistake{What: err.Error(), Remedy: "close it"}
	}
	if n == 0 {
		return question{}, &tomlfile.Mistake{What: "has no ?, so it would answer the same for everybody", Remedy: "write ? where the login or the domain is compared"}
	}
	return question{name: name, text: translated, values: n}, nil
}

// run checks the columns, whose names are in lower case, and hands out every row.
func (q question) run(ctx context.Context, db *sql.DB, value string, check func(columns []string) error, each func(columns []string, values []any) error) (err error) {
	args := make([]any, q.values)
	for i := range args {
		args[i] = value
	}
	rows, err := db.QueryContext(ctx, q.text, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for i := range columns {
		columns[i] = strings.ToLower(columns[i])
	}
	if err := check(columns); err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for n := 0; rows.Next(); n++ {
		if n == maxRows {
			return dataErrorf("the %s query gives more than %d rows: see that it compares with ?", q.name, maxRows)
		}
		clear(values)
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := each(columns, values); err != nil {
			return err
		}
	}
	return rows.Err() // half of the rows is no answer
}

// isNo tells whether a value means that there is none.
func isNo(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case float64:
		return v == 0
	}
	yes, err := truth("", v)
	return err == nil && !yes
}
