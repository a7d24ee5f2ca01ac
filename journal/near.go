package journal

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Near lists entries of a client's address or of a login, within reach of a
// time, the nearest first, limit at most. more tells that there are others. An
// empty client or login selects nothing.
func (j *Journal) Near(ctx context.Context, client, login string, at time.Time, reach time.Duration, limit int) (found []Entry, more bool, err error) {
	if client == "" && login == "" {
		return nil, false, nil
	}
	q := Query{Since: at, Until: at.Add(reach), Limit: limit + 1, either: &either{client, login}, oldest: true}
	after, err := j.find(ctx, q, q.matches)
	if err != nil {
		return nil, false, err
	}
	q.Since, q.Until, q.oldest = at.Add(-reach), at, false
	before, err := j.find(ctx, q, q.matches)
	if err != nil {
		return nil, false, err
	}
	found = slices.Concat(before, after)
	slices.SortStableFunc(found, func(a, b Entry) int {
		return cmp.Compare(a.Time.Sub(at).Abs(), b.Time.Sub(at).Abs())
	})
	return found[:min(len(found), limit)], len(found) > limit, nil
}

// either selects entries of a client or of a login.
type either struct{ client, login string }
